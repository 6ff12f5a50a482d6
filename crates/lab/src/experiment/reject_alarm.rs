//! `forebay experiment reject-alarm`: requests are refused, an alarm notices, and a group grows until none are.

use super::asks::{self, Services};
use super::plot::try_file;
use super::refusals::Refusals;
use super::reject_alarm_args::RejectAlarmArgs;
use super::reject_alarm_simulated::simulate;
use super::scaling_scene::{ScalingScene, Setup, until_interrupted};
use forebay_process::{out, runtime};
use indicatif::{ProgressBar, ProgressStyle};
use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The port for the control channel of agents.
const CONTROL_PORT: u16 = 3000;
/// An application, and an agent beside it that admits one request at a time. All listen at the instance's own address,
/// because without namespaces instances share one network.
const COMMAND: &str = "\"$FOREBAY\" sample-target --listen \"$FOREBAY_ADDRESS:9000\" --name \"$INSTANCE_ID\" & \
    exec \"$FOREBAY\" --log error agent --data-address \"$FOREBAY_ADDRESS:$PORT\" --control-address \"$FOREBAY_ADDRESS:3000\" \
    --destination-address \"$FOREBAY_ADDRESS:9000\" --max-concurrency 1";
/// Interval between looks at the group.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &RejectAlarmArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.instances <= args.most, "--instances is more than --most");
    args.plot
        .iter()
        .chain(&args.json)
        .try_for_each(|file| try_file(file))?;
    let title = format!(
        "{}{} instances, one request at a time, {:.1} requests of {} ms a second, periods of {} s",
        if args.simulated { "simulated: " } else { "" },
        args.instances,
        args.rate(),
        args.service,
        args.period
    );
    out::line(format_args!("{title}"))?;
    let run = if args.simulated {
        simulate(args)?
    } else {
        runtime()?.block_on(live(args))?
    };
    run.print()?;
    if let Some(file) = &args.plot {
        run.draw(file, &title)?;
    }
    if let Some(file) = &args.json {
        run.write(file, &title)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn live(args: &RejectAlarmArgs) -> anyhow::Result<Refusals> {
    let mut scene = ScalingScene::start(Setup {
        pool: args.address_pool,
        command: COMMAND.to_owned(),
        control_port: Some(CONTROL_PORT),
        instances: args.instances,
        most: args.most,
        target_tags: Vec::new(),
        group_tags: Vec::new(),
    })
    .await?;
    let played = until_interrupted(play(args, &mut scene)).await;
    let closed = scene.close().await;
    let played = played?;
    closed?;
    Ok(played)
}

async fn play(args: &RejectAlarmArgs, scene: &mut ScalingScene) -> anyhow::Result<Refusals> {
    scene.make().await?;
    scene
        .scale_on_refusals(args.period, args.more, args.warm_up())
        .await?;
    let bar = ProgressBar::new(args.warm_up() * 1000);
    bar.set_style(ProgressStyle::with_template("{msg:28} {bar:40} {eta}")?);
    warm_up(args, &bar).await;
    let services = Services {
        low: args.service(),
        high: args.service(),
        shape: 2.0,
    };
    let asks = asks::plan_by(args.arrivals, args.rate(), args.time(), services, args.seed);
    bar.set_length(args.time().as_millis() as u64);
    bar.reset();
    let mut run = Refusals::new(args.time());
    run.in_service(Duration::ZERO, args.instances);
    let watched = watch(args, scene, &mut run, &bar);
    let met = tokio::select! {
        met = asks::ask_all(scene.nodes(), &asks, |at| bar.set_position(at.as_millis() as u64)) => met,
        error = watched => return error.map(|never| match never {}),
    };
    bar.finish_and_clear();
    for met in met {
        run.count(met.at, met.status);
    }
    Ok(run)
}

/// Waits until the first instances are older than the policy's warm-up. Until then the policy counts none of them, so what
/// it adds to zero is no more than what exists.
async fn warm_up(args: &RejectAlarmArgs, bar: &ProgressBar) {
    bar.set_message("instances warm up");
    let over = Instant::now() + Duration::from_secs(args.warm_up());
    while Instant::now() < over {
        tokio::time::sleep(LOOK).await;
        bar.inc(LOOK.as_millis() as u64);
    }
}

/// Looks at the group and its alarm until it is stopped.
async fn watch(
    args: &RejectAlarmArgs,
    scene: &ScalingScene,
    run: &mut Refusals,
    bar: &ProgressBar,
) -> anyhow::Result<Infallible> {
    let began = Instant::now();
    let mut served_before = usize::from(args.instances);
    loop {
        let alarmed = scene.is_alarmed().await?;
        let (desired, _) = scene.group().await?;
        let healthy = scene.healthy().await?;
        let at = began.elapsed();
        if alarmed {
            run.alarm.get_or_insert(at);
        }
        if desired > args.instances {
            run.scaled.get_or_insert(at);
            if healthy >= usize::from(desired) {
                run.serving.get_or_insert(at);
            }
        }
        if healthy != served_before {
            served_before = healthy;
            run.in_service(at, u16::try_from(healthy).unwrap_or(u16::MAX));
        }
        let word = if alarmed { "ALARM" } else { "no alarm" };
        bar.set_message(format!("{healthy} instances, {word}"));
        tokio::time::sleep(LOOK).await;
    }
}
