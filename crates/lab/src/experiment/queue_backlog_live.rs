//! The queue experiment with a Forebay of its own, real workers and the real API, observed from outside: each scene has a
//! queue and a group, and all are played side by side.

use super::queue_backlog_args::QueueBacklogArgs;
use super::queue_backlog_scenes::{Stage, Who};
use super::scaling_scene::until_interrupted;
use super::workers_scene::{Wanted, Workers, WorkersScene};
use anyhow::{bail, ensure};
use forebay_process::log::say;
use forebay_scaling::backlog::Settings;
use forebay_server::pools::free_pool;
use forebay_sim::{BacklogRun, BacklogSecond, Done};
use forebay_units::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tracing::Level;

/// Interval between looks at queues and groups.
const LOOK: Duration = Duration::from_millis(100);
/// Latencies, plus a minute, after which a run is given up.
const PATIENCE: u32 = 3;
/// Interval between progress lines where no progress bar can be drawn.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Most instances of a group.
const MOST: u32 = 40;

/// A scene that was played.
pub(crate) struct Observed {
    pub(crate) run: BacklogRun,
    pub(crate) shortfall: Option<String>,
}

/// What is observed of a scene.
struct Watched {
    name: &'static str,
    workers: Workers,
    sent: u64,
    run: BacklogRun,
    shortfall: Option<String>,
    /// Time and desired number of instances at the last look.
    before: Duration,
    desired: u32,
    text: String,
}

/// Plays these scenes side by side, with Forebay sizing the groups; returns them in the order of the scenes.
pub(crate) async fn play(args: &QueueBacklogArgs, stages: &[Stage]) -> anyhow::Result<Vec<Observed>> {
    let pool = args
        .address_pool
        .map_or_else(|| anyhow::Ok(free_pool("127.224.0.0/12".parse()?)), anyhow::Ok)?;
    let mut scene = WorkersScene::start(pool).await?;
    let played = until_interrupted(observe(args, stages, &mut scene)).await;
    let closed = scene.close().await;
    let played = played?;
    closed?;
    Ok(played)
}

async fn observe(
    args: &QueueBacklogArgs,
    stages: &[Stage],
    scene: &mut WorkersScene,
) -> anyhow::Result<Vec<Observed>> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:20} {elapsed:>4} {wide_msg}")?);
    bar.set_message("workers start");
    scene.prepare().await?;
    let mut all = Vec::new();
    for stage in stages {
        let workers = scene.make(&wanted(args, stage)).await?;
        all.push(Watched::new(stage, workers));
    }
    for (watched, stage) in all.iter().zip(stages) {
        scene.until_there(&watched.workers, stage.initial).await?;
    }
    // A worker counts as in service once its process has started.
    tokio::time::sleep(Duration::from_secs_f64(args.start_up)).await;
    let (began, began_at) = (Instant::now(), Timestamp::now());
    for (watched, stage) in all.iter().zip(stages) {
        scene.send(&watched.workers, &durations(args, stage)).await?;
    }
    let patience = stages.iter().map(|stage| stage.latency).max().unwrap_or_default() * PATIENCE
        + Duration::from_secs(60);
    bar.set_length(all.iter().map(|watched| watched.sent).sum());
    bar.reset_elapsed();
    let (mut ended, mut said) = (None, Duration::ZERO);
    let after = Duration::from_secs_f64(args.after);
    loop {
        for watched in &mut all {
            watched.look(scene, began).await?;
        }
        let done = all.iter().map(|watched| watched.run.done.len() as u64);
        bar.set_position(done.sum());
        let texts: Vec<&str> = all.iter().map(|watched| &*watched.text).collect();
        let text = texts.join("; ");
        let at = began.elapsed();
        if bar.is_hidden() && at >= said {
            said = at + SAID_EVERY;
            say(Level::INFO, format_args!("{:.0} s: {text}", at.as_secs_f64()));
        }
        bar.set_message(text);
        if all.iter().all(Watched::is_done) && at >= *ended.get_or_insert(at) + after {
            break;
        }
        if at > patience {
            bail!(
                "not all messages were done within {patience:?}: {}",
                texts.join("; ")
            );
        }
        tokio::time::sleep(LOOK).await;
    }
    bar.finish_and_clear();
    for watched in &mut all {
        let received = scene.received(&watched.workers, began_at, watched.sent).await?;
        ensure!(
            received >= watched.sent,
            "{}: {received} receives of {} messages were counted",
            watched.name,
            watched.sent
        );
        // A worker that was cut off did not delete its message, which was received again.
        watched.run.cut = u32::try_from(received - watched.sent).unwrap_or(u32::MAX);
    }
    let observed = all.into_iter().map(|watched| Observed {
        run: watched.run,
        shortfall: watched.shortfall,
    });
    Ok(observed.collect())
}

/// A scene's queue and group.
fn wanted(args: &QueueBacklogArgs, stage: &Stage) -> Wanted {
    let Settings {
        latency,
        processing,
        start_up,
        ..
    } = stage.settings(args, Who::Forebay);
    let mut tags = vec![
        ("forebay:backlog-latency", latency.as_secs_f64().to_string()),
        (
            "forebay:backlog-start-up-seconds",
            start_up.as_secs_f64().to_string(),
        ),
    ];
    if let Some(seconds) = processing {
        tags.push(("forebay:backlog-processing-seconds", seconds.to_string()));
    }
    Wanted {
        name: format!("workers-{}", stage.name),
        visibility: stage.visibility().as_secs(),
        start_up: args.start_up,
        minimum: stage.initial,
        maximum: MOST,
        tags,
    }
}

/// Seconds that each message takes.
fn durations(args: &QueueBacklogArgs, stage: &Stage) -> Vec<f64> {
    let mut rng = Rng::named(args.seed, stage.name);
    let share = f64::from(args.spread) / 100.0;
    let one = |_| {
        let drawn = rng.below(1 << 53) as f64 / (1_u64 << 53) as f64;
        stage.processing * (1.0 + share * (2.0 * drawn - 1.0))
    };
    (0..stage.messages).map(one).collect()
}

impl Watched {
    fn new(stage: &Stage, workers: Workers) -> Watched {
        Watched {
            name: stage.name,
            workers,
            sent: stage.messages.into(),
            run: BacklogRun {
                done: Vec::new(),
                timeline: Vec::new(),
                instance_seconds: 0.0,
                all_instance_seconds: 0.0,
                largest: 0,
                cut: 0,
                changes: Vec::new(),
            },
            shortfall: None,
            before: Duration::ZERO,
            desired: stage.initial,
            text: String::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.run.done.len() as u64 >= self.sent
    }

    /// Looks at the queue and the group, and once a second at the planner's page. Messages that are no longer in the queue
    /// are done; their age counts from the first message, because all were sent at that moment.
    async fn look(&mut self, scene: &WorkersScene, began: Instant) -> anyhow::Result<()> {
        let depth = scene.depth(&self.workers).await?;
        let at = began.elapsed();
        let size = scene.size(&self.workers).await?;
        let run = &mut self.run;
        let seconds = f64::from(size.instances) * at.saturating_sub(self.before).as_secs_f64();
        self.before = at;
        run.all_instance_seconds += seconds;
        if (run.done.len() as u64) < self.sent {
            run.instance_seconds += seconds;
        }
        let done = self.sent.checked_sub(depth.all());
        let Some(done) = done else {
            bail!("{}: there are more messages than were sent", self.name);
        };
        ensure!(
            done >= run.done.len() as u64,
            "{}: a message that was deleted has come back",
            self.name
        );
        run.done
            .extend((run.done.len() as u64..done).map(|_| Done { at, age: at }));
        run.largest = run.largest.max(size.instances);
        if size.desired != self.desired {
            self.desired = size.desired;
            run.changes.push((at, size.desired));
        }
        self.text = format!(
            "{}: {} visible, {} in flight, {} done, {} of {} instances",
            self.name, depth.visible, depth.in_flight, done, size.in_service, size.desired
        );
        if run.timeline.len() as u64 > at.as_secs() {
            return Ok(());
        }
        let plan = scene.plan(&self.workers).await?.unwrap_or_default();
        if self.shortfall.is_none() {
            self.shortfall = plan["shortfall"].as_str().map(str::to_owned);
        }
        let figure = |name: &str| plan[name].as_f64().unwrap_or(0.0);
        run.timeline.push(BacklogSecond {
            at: Duration::from_secs(at.as_secs()),
            visible: depth.visible,
            in_flight: depth.in_flight,
            ready: size.in_service,
            instances: size.instances,
            processing: figure("processing_seconds"),
            backlog: depth.visible as f64 / f64::from(size.in_service.max(1)),
            acceptable: figure("rounds") * figure("concurrency"),
        });
        Ok(())
    }
}
