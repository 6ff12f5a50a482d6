//! The capacity experiments with real instances, real requests and the real API: the controllers that Forebay itself has,
//! in turn.

use super::asks::{Ask, Met, ask_all};
use super::capacity_args::CapacityArgs;
use super::capacity_load::Load;
use super::scaling_scene::{ScalingScene, Setup, until_interrupted};
use anyhow::bail;
use forebay_sim::controllers::TARGET;
use forebay_sim::{Asked, FleetRun, Flow, Kind, Second, Seen};
use forebay_units::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// The live controllers, named like their models.
const PLANNER: &str = "planner";
const TRACKING: [(&str, u32); 2] = [("aws-tracking-10s", 10), ("aws-tracking-60s", 60)];
/// Interval between looks at the group.
const LOOK: Duration = Duration::from_millis(200);

/// The selected controllers; by default those that react within seconds.
pub(crate) fn names(args: &CapacityArgs) -> anyhow::Result<Vec<&'static str>> {
    let known = || std::iter::once(PLANNER).chain(TRACKING.map(|tracking| tracking.0));
    if let Some(unknown) = args
        .controllers
        .iter()
        .find(|name| !known().any(|one| one == *name))
    {
        bail!(
            "live there is no controller '{unknown}', but {}; all are there with --simulated",
            known().collect::<Vec<_>>().join(", ")
        );
    }
    if args.failing > 0 {
        bail!("live launches do not fail: --failing is for --simulated");
    }
    let is_wanted = |name: &&str| match args.controllers.is_empty() {
        true => [PLANNER, TRACKING[0].0].contains(name),
        false => args.controllers.iter().any(|one| one == name),
    };
    Ok(known().filter(is_wanted).collect())
}

/// When requests are sent, and how long each holds its slot.
fn asks(args: &CapacityArgs, load: &Load, seed: u64) -> Vec<Ask> {
    let rate = match load.flow(args, seed) {
        Flow::Rate(rate) => rate,
        Flow::Trace(asked) => {
            let of = |asked: &Asked| Ask {
                at: asked.at,
                service: asked.takes,
            };
            return asked.iter().map(of).collect();
        }
    };
    let (mut arrivals, mut services) = (Rng::named(seed, "arrivals"), Rng::named(seed, "services"));
    let (least, most) = args.service.bounds();
    let mut asks = Vec::new();
    let mut before = Duration::ZERO;
    // Candidates arrive at random at the highest rate, and each is kept with the ratio of the rate at its time to the
    // highest.
    let highest = rate.most().max(1e-3);
    loop {
        let chance = (arrivals.below(1 << 53) as f64 + 1.0) / (1_u64 << 53) as f64;
        before += Duration::from_secs_f64(-chance.ln() / highest);
        if before >= load.end() {
            return asks;
        }
        let kept = arrivals.below(1 << 53) as f64 / (1_u64 << 53) as f64;
        if kept * highest < rate.at(before) {
            let share = services.below(1 << 53) as f64 / (1_u64 << 53) as f64;
            asks.push(Ask {
                at: before,
                service: least + (most - least).mul_f64(share),
            });
        }
    }
}

/// Plays the load once under a controller.
pub(crate) async fn run(
    args: &CapacityArgs,
    load: &Load,
    name: &'static str,
    seed: u64,
    initial: u32,
) -> anyhow::Result<FleetRun> {
    let tag = |key: &'static str, value: String| (key, value);
    let mut group_tags = Vec::new();
    if name == PLANNER {
        group_tags.push(tag("forebay:planner", "on".to_owned()));
    }
    let mut scene = ScalingScene::start(Setup {
        pool: args.address_pool,
        command: format!(
            "sleep {}; exec \"$FOREBAY\" sample-target --listen \"$FOREBAY_ADDRESS:$PORT\" --name \"$INSTANCE_ID\"",
            args.start_up
        ),
        control_port: None,
        instances: u16::try_from(initial)?,
        most: u16::try_from(args.most)?,
        target_tags: vec![
            tag("forebay:concurrency", args.slots.to_string()),
            tag("forebay:queue-length", args.length.to_string()),
            tag("forebay:queue-wait", args.wait.to_string()),
        ],
        group_tags,
    })
    .await?;
    let played = until_interrupted(play(args, load, name, seed, &mut scene)).await;
    let closed = scene.close().await;
    let played = played?;
    closed?;
    Ok(played)
}

async fn play(
    args: &CapacityArgs,
    load: &Load,
    name: &'static str,
    seed: u64,
    scene: &mut ScalingScene,
) -> anyhow::Result<FleetRun> {
    scene.make().await?;
    if let Some((_, period)) = TRACKING.iter().find(|tracking| tracking.0 == name) {
        scene
            .track_utilization(TARGET, *period, args.start_up as u64)
            .await?;
    }
    let asks = asks(args, load, seed);
    let bar = ProgressBar::new(load.end().as_millis() as u64);
    bar.set_style(ProgressStyle::with_template("{msg:36} {bar:40} {eta}")?);
    let mut run = FleetRun {
        seen: Vec::new(),
        timeline: Vec::new(),
        instance_seconds: 0.0,
        largest: 0,
        changes: Vec::new(),
        failed_launches: 0,
    };
    let watched = watch(name, scene, &mut run, &bar);
    let met = tokio::select! {
        met = ask_all(scene.nodes(), &asks, |at| bar.set_position(at.as_millis() as u64)) => met,
        error = watched => return error.map(|never| match never {}),
    };
    bar.finish_and_clear();
    run.seen = met.iter().map(seen).collect();
    counted(&mut run, load.end());
    Ok(run)
}

fn seen(met: &Met) -> Seen {
    Seen {
        at: met.at,
        kind: Kind::Get,
        took: met.took,
        waited: if met.is_served() { met.wait } else { met.took },
        target: met.is_served().then_some(0),
        status: met.status.unwrap_or(0),
    }
}

/// Adds what clients saw in each second to the group's figures. What came after the end is left out.
fn counted(run: &mut FleetRun, end: Duration) {
    run.timeline.retain(|second| second.at <= end);
    for second in &mut run.timeline {
        let to = second.at;
        let from = to.saturating_sub(Duration::from_secs(1));
        let during = run.seen.iter().filter(|seen| (from..to).contains(&seen.at));
        let (mut arrivals, mut refused) = (0, 0);
        for seen in during {
            arrivals += 1;
            refused += u64::from(seen.target.is_none());
        }
        (second.arrivals, second.refused) = (arrivals, refused);
        let at = |from: Duration, to: Duration| from <= second.at && second.at < to;
        let waits = run.seen.iter().filter(|seen| at(seen.at, seen.at + seen.waited));
        second.waiting = waits.count() as u32;
        let sent = run.seen.iter().filter(|seen| seen.target.is_some());
        let busy = sent.filter(|seen| at(seen.at + seen.waited, seen.at + seen.took));
        second.in_flight = busy.count() as u32;
    }
}

/// Looks at the group until it is stopped.
async fn watch(
    name: &str,
    scene: &ScalingScene,
    run: &mut FleetRun,
    bar: &ProgressBar,
) -> anyhow::Result<Infallible> {
    let began = Instant::now();
    let (mut before, mut wanted) = (Duration::ZERO, None);
    loop {
        let (desired, members) = scene.group().await?;
        let ready = scene.healthy().await? as u32;
        let (at, desired) = (began.elapsed(), u32::from(desired));
        let instances = members.len() as u32;
        run.instance_seconds += f64::from(instances) * (at - before).as_secs_f64();
        before = at;
        run.largest = run.largest.max(instances);
        if wanted.is_some_and(|wanted| wanted != desired) {
            run.changes.push((at, desired));
        }
        wanted = Some(desired);
        if run.timeline.len() < at.as_secs() as usize {
            run.timeline.push(Second {
                at: Duration::from_secs(at.as_secs()),
                arrivals: 0,
                refused: 0,
                waiting: 0,
                in_flight: 0,
                ready,
                desired,
                instances,
            });
        }
        bar.set_message(format!("{name}: {ready} of {desired} instances"));
        tokio::time::sleep(LOOK).await;
    }
}
