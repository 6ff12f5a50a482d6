//! A turn of the scale-in experiment with real instances and real clients.

use super::scale_in_args::{ScaleInArgs, Turn, Wanted};
use super::scaling_scene::{ScalingScene, Setup, until_interrupted};
use super::statuses::Played;
use crate::sample::Millis;
use bytes::Bytes;
use forebay_units::Rng;
use http_body_util::{BodyExt as _, Empty};
use hyper::Method;
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Has no handler for SIGTERM, so it ends at once, whatever it is doing.
const COMMAND: &str =
    "exec \"$FOREBAY\" sample-target --listen \"$FOREBAY_ADDRESS:$PORT\" --name \"$INSTANCE_ID\"";
/// An answer that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays one turn.
pub(crate) async fn turn(args: &ScaleInArgs, turn: Turn) -> anyhow::Result<Played> {
    let steps = args.steps();
    let mut scene = ScalingScene::start(Setup {
        pool: args.address_pool,
        command: COMMAND.to_owned(),
        control_port: None,
        instances: steps[0].servers,
        most: args.servers + 1,
        target_tags: Vec::new(),
        group_tags: Vec::new(),
    })
    .await?;
    let played = until_interrupted(play(args, turn, &steps, &mut scene)).await;
    let closed = scene.close().await;
    let played = played?;
    closed?;
    Ok(played)
}

async fn play(
    args: &ScaleInArgs,
    turn: Turn,
    steps: &[Wanted],
    scene: &mut ScalingScene,
) -> anyhow::Result<Played> {
    scene.make().await?;
    if turn == Turn::Before {
        scene.overlook_deaths().await?;
    }
    let (now, _) = watch::channel((0, 0));
    let (sender, mut met) = mpsc::unbounded_channel();
    for number in 0..args.clients {
        let client = Client {
            number,
            nodes: scene.nodes().to_vec(),
            method: if args.get { Method::GET } else { Method::POST },
            request: args.request,
            pause: args.pause(),
            rng: Rng::named(args.seed, &format!("client-{number}")),
        };
        tokio::spawn(client.run(now.subscribe(), sender.clone()));
    }
    drop(sender);
    let bar = ProgressBar::new(steps.len() as u64);
    bar.set_style(ProgressStyle::with_template("{msg:44} {bar:30} {eta}")?);
    let mut servers = Servers {
        scene,
        turn,
        killed: BTreeSet::new(),
        rng: Rng::named(args.seed, "kills"),
    };
    let began = Instant::now();
    for (step, wanted) in steps.iter().enumerate() {
        bar.set_message(format!("{}, {} servers", turn.word(), wanted.servers));
        // Clients and servers change together, as if one script scaled both.
        now.send_replace((step, wanted.clients));
        servers.become_so_many(wanted.servers).await?;
        tokio::time::sleep_until(began + args.step() * (step as u32 + 1)).await;
        bar.inc(1);
    }
    // Clients end with their last request.
    drop(now);
    let mut played = Played::new(turn, steps);
    while let Some((step, status)) = met.recv().await {
        played.count(step, status);
    }
    bar.finish_and_clear();
    Ok(played)
}

/// The servers of a turn.
struct Servers<'a> {
    scene: &'a ScalingScene,
    turn: Turn,
    killed: BTreeSet<String>,
    rng: Rng,
}

impl Servers<'_> {
    async fn become_so_many(&mut self, wanted: u16) -> anyhow::Result<()> {
        let (desired, members) = self.scene.group().await?;
        let alive = members
            .into_iter()
            .filter(|member| member.state == "InService" && !self.killed.contains(&member.id));
        let mut alive: Vec<String> = alive.map(|member| member.id).collect();
        if self.turn == Turn::After || (self.killed.is_empty() && wanted >= desired) {
            return self.scene.desire(wanted).await;
        }
        while alive.len() > usize::from(wanted) {
            let victim = alive.swap_remove(self.rng.below(alive.len() as u64) as usize);
            self.scene.kill(&victim)?;
            self.killed.insert(victim);
        }
        Ok(())
    }
}

/// A client that sends one request after another while its number is below the number of clients.
struct Client {
    number: u16,
    nodes: Vec<SocketAddr>,
    method: Method,
    request: Millis,
    pause: Duration,
    rng: Rng,
}

impl Client {
    /// `now` is the step and the number of clients. Ends when `now` does.
    async fn run(
        mut self,
        mut now: watch::Receiver<(usize, u16)>,
        met: mpsc::UnboundedSender<(usize, Option<u16>)>,
    ) {
        for node in (usize::from(self.number)..).map(|number| number % self.nodes.len()) {
            if now.wait_for(|now| now.1 > self.number).await.is_err() || now.has_changed().is_err() {
                return;
            }
            let work = self.request.draw(&mut self.rng);
            let asked = tokio::time::timeout(PATIENCE, ask(self.nodes[node], &self.method, work)).await;
            let status = asked.ok().and_then(Result::ok);
            // An answer counts in the step in which it came, as the published script does.
            let step = now.borrow().0;
            if met.send((step, status)).is_err() {
                return;
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}

/// One request on its own connection; returns the status once the whole answer is there.
async fn ask(node: SocketAddr, method: &Method, work: Duration) -> anyhow::Result<u16> {
    let stream = tokio::net::TcpStream::connect(node).await?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("/?delay={}", work.as_millis()))
        .header("host", "experiment.test")
        .header("content-length", "0")
        .header("connection", "close");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await?;
    Ok(status)
}
