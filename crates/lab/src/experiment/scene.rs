//! The scene of an experiment: a fresh server with a load balancer, and single-threaded targets.

use crate::aws_client::AwsClient;
use crate::demo_balancer::{DemoBalancer, free_port, make, register};
use crate::sample::{self, SampleArgs};
use anyhow::Context as _;
use clap::Parser as _;
use forebay_awswire::Service;
use forebay_model::Algorithm;
use forebay_server::Daemon;
use forebay_server::UpArgs;
use ipnet::Ipv4Net;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::sync::watch;

/// Health checks that tolerate a target busy for long: one that is taken out would change the experiment.
const PATIENT_CHECKS: [(&str, &str); 3] = [
    ("HealthCheckIntervalSeconds", "120"),
    ("HealthCheckTimeoutSeconds", "100"),
    ("UnhealthyThresholdCount", "10"),
];

#[derive(clap::Parser)]
struct SampleCli {
    #[command(flatten)]
    args: SampleArgs,
}

/// A target: its name, and the flags of its `forebay sample-target`.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) flags: Vec<String>,
}

/// Running targets, and a directory. The targets' threads end with it.
pub(crate) struct Stage {
    targets: Vec<(String, SocketAddr)>,
    over: watch::Sender<()>,
    dir: tempfile::TempDir,
}

impl Stage {
    /// Starts these targets.
    pub(crate) fn open(actors: &[Actor]) -> anyhow::Result<Stage> {
        let dir = tempfile::Builder::new()
            .prefix("forebay-experiment-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a fresh directory")?;
        let over = watch::Sender::new(());
        let targets = actors
            .iter()
            .map(|actor| Ok((actor.name.clone(), start(actor, &over)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Stage { targets, over, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Names and addresses.
    pub(crate) fn targets(&self) -> &[(String, SocketAddr)] {
        &self.targets
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.targets.iter().map(|target| target.1).collect()
    }
}

/// A running scene.
pub(crate) struct Scene {
    daemon: Daemon,
    caller: AwsClient,
    made: DemoBalancer,
    stage: Stage,
}

/// Starts a target on its own thread, which ends with `over`.
fn start(actor: &Actor, over: &watch::Sender<()>) -> anyhow::Result<SocketAddr> {
    let mut over = over.subscribe();
    let stop = async move { while over.changed().await.is_ok() {} };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot start a target")?;
    let address = listener.local_addr()?;
    let flags = ["sample-target", "--name", &actor.name]
        .into_iter()
        .chain(actor.flags.iter().map(String::as_str));
    let args = SampleCli::try_parse_from(flags)?.args;
    std::thread::Builder::new()
        .name(actor.name.clone())
        .spawn(move || {
            if let Err(error) = sample::serve(args, listener, stop) {
                tracing::error!(%error, "a target ended");
            }
        })?;
    Ok(address)
}

impl Scene {
    /// Starts these targets behind a fresh load balancer, and waits until all are healthy.
    pub(crate) async fn open(pool: Ipv4Net, actors: &[Actor]) -> anyhow::Result<Scene> {
        let stage = Stage::open(actors)?;
        let targets = stage.targets.clone();
        Scene::before(stage, pool, &targets, &[]).await
    }

    /// Puts a fresh load balancer in front of these addresses, the stage's targets or what is in front of them, in a group
    /// created with these parameters besides the usual ones; waits until all are healthy.
    pub(crate) async fn before(
        stage: Stage,
        pool: Ipv4Net,
        targets: &[(String, SocketAddr)],
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Scene> {
        let daemon = Daemon::start(UpArgs {
            workers: Some(1),
            ..UpArgs::scratch(stage.dir(), pool)
        })
        .await?;
        let caller = AwsClient::from_file(daemon.api, "local-1", &daemon.credentials)?;
        let targets: Vec<_> = targets
            .iter()
            .map(|(name, address)| (name.as_str(), *address))
            .collect();
        let parameters: Vec<_> = PATIENT_CHECKS.iter().chain(parameters).copied().collect();
        let port = free_port(0)?;
        let made = make(&caller, "experiment", port, &targets, &parameters).await?;
        Ok(Scene {
            daemon,
            caller,
            made,
            stage,
        })
    }

    /// The addresses for requests, one per node.
    pub(crate) fn nodes(&self) -> &[SocketAddr] {
        &self.made.nodes
    }

    /// The address for requests.
    pub(crate) fn address(&self) -> SocketAddr {
        self.made.nodes[0]
    }

    async fn set(&self, pairs: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut input = vec![("TargetGroupArn".to_owned(), self.made.group.clone())];
        for (index, (key, value)) in (1..).zip(pairs) {
            input.push((format!("Attributes.member.{index}.Key"), (*key).to_owned()));
            input.push((format!("Attributes.member.{index}.Value"), (*value).to_owned()));
        }
        let input: Vec<(&str, &str)> = input.iter().map(|(key, value)| (&**key, &**value)).collect();
        self.caller
            .call(Service::Elbv2, "ModifyTargetGroupAttributes", &input)
            .await?;
        Ok(())
    }

    /// Changes the algorithm.
    pub(crate) async fn balance(&self, algorithm: Algorithm, mitigation: bool) -> anyhow::Result<()> {
        let kind = "load_balancing.algorithm.type";
        let mitigate = "load_balancing.algorithm.anomaly_mitigation";
        self.untag("forebay:algorithm").await?;
        match algorithm {
            Algorithm::WeightedRandom if mitigation => {
                self.set(&[(kind, algorithm.word()), (mitigate, "on")]).await
            }
            _ if algorithm.is_albs() => self.set(&[(mitigate, "off"), (kind, algorithm.word())]).await,
            _ => {
                self.set(&[(mitigate, "off"), (kind, "round_robin")]).await?;
                self.tag("forebay:algorithm", algorithm.word()).await
            }
        }
    }

    /// Sets a tag on the target group.
    pub(crate) async fn tag(&self, key: &str, value: &str) -> anyhow::Result<()> {
        let input = [
            ("ResourceArns.member.1", self.made.group.as_str()),
            ("Tags.member.1.Key", key),
            ("Tags.member.1.Value", value),
        ];
        self.caller.call(Service::Elbv2, "AddTags", &input).await?;
        Ok(())
    }

    async fn untag(&self, key: &str) -> anyhow::Result<()> {
        let input = [
            ("ResourceArns.member.1", self.made.group.as_str()),
            ("TagKeys.member.1", key),
        ];
        self.caller.call(Service::Elbv2, "RemoveTags", &input).await?;
        Ok(())
    }

    /// Starts a target and registers it.
    pub(crate) async fn join(&self, actor: &Actor) -> anyhow::Result<()> {
        let address = start(actor, &self.stage.over)?;
        register(&self.caller, &self.made.group, &[(&actor.name, address)]).await
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.daemon.stop().await
    }
}
