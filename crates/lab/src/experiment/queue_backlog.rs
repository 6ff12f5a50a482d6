//! `forebay experiment queue-backlog`: workers on a queue whose messages take longer than before, sized as published and by
//! Forebay.

use super::plot::try_file;
use super::queue_backlog_args::QueueBacklogArgs;
use super::queue_backlog_live::{self as live, Observed};
use super::queue_backlog_plot;
use super::queue_backlog_scenes::{STAGES, Stage, Who};
use super::queue_backlog_table::{self as table, Played};
use anyhow::{Context as _, bail};
use forebay_process::{out, runtime};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The default scenes of live runs.
const LIVE: [&str; 2] = ["25s", "50s"];

pub(crate) fn run(args: &QueueBacklogArgs) -> anyhow::Result<ExitCode> {
    let (args, stages) = (&args.scaled(), stages(args)?);
    let drawn: Vec<Option<PathBuf>> = stages
        .iter()
        .map(|stage| {
            let plot = args.plot.as_deref()?;
            Some(if stages.len() == 1 {
                plot.to_owned()
            } else {
                named(plot, stage.name)
            })
        })
        .collect();
    drawn
        .iter()
        .flatten()
        .chain(&args.json)
        .try_for_each(|file| try_file(file))?;
    let mut observed = if args.live {
        runtime()?.block_on(live::play(args, &stages))?
    } else {
        Vec::new()
    }
    .into_iter();
    out::line(format_args!(
        "{}in virtual time, {} seeds: medians and ranges; instance-seconds until all is done, and in {}",
        if args.live { "live, and alongside " } else { "" },
        args.seeds,
        if args.live {
            "all (live: as long as it was observed)"
        } else {
            "30 minutes"
        }
    ))?;
    let mut figures: Vec<Value> = Vec::new();
    for (stage, drawn) in stages.iter().zip(drawn) {
        let title = stage.title(args);
        out::line(format_args!("{title}"))?;
        table::print_head()?;
        let mut all: Vec<Played> = observed.next().map(seen).into_iter().collect();
        all.iter()
            .try_for_each(|played| table::print(played, stage.latency))?;
        for (who, published) in stage.by.iter().filter(|(who, _)| is_chosen(args, *who)) {
            let played = simulated(args, stage, *who, published);
            table::print(&played, stage.latency)?;
            all.push(played);
        }
        if let Some(file) = drawn {
            queue_backlog_plot::draw(&file, &title, &all)?;
        }
        figures.push(table::figures(stage.name, &title, stage.latency, &all));
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&json!({ "scenes": figures }))?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a controller is wanted in virtual time; with --live, only the controller that runs live.
fn is_chosen(args: &QueueBacklogArgs, who: Who) -> bool {
    if args.live {
        return who == Who::Forebay;
    }
    args.controllers.is_empty() || args.controllers.iter().any(|name| name == who.name())
}

fn seen(observed: Observed) -> Played {
    Played {
        name: "forebay, live",
        is_live: true,
        published: "",
        runs: vec![observed.run],
        shortfall: observed.shortfall,
    }
}

fn simulated(args: &QueueBacklogArgs, stage: &Stage, who: Who, published: &'static str) -> Played {
    let seeds = args.seed..args.seed + args.seeds;
    let (runs, shortfalls): (Vec<_>, Vec<_>) = seeds.map(|seed| stage.play(args, who, seed)).unzip();
    Played {
        name: who.name(),
        is_live: false,
        published,
        runs,
        shortfall: shortfalls.into_iter().flatten().next(),
    }
}

/// The selected scenes, in the order of all scenes.
fn stages(args: &QueueBacklogArgs) -> anyhow::Result<Vec<Stage>> {
    let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
    if let Some(unknown) = args.scenes.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no scene '{unknown}', but {}", names.join(", "));
    }
    let controllers: Vec<&str> = STAGES
        .iter()
        .flat_map(|stage| stage.by.iter().map(|(who, _)| who.name()))
        .collect();
    if let Some(unknown) = args
        .controllers
        .iter()
        .find(|name| !controllers.contains(&name.as_str()))
    {
        bail!("there is no controller '{unknown}': see --help");
    }
    let is_wanted = |stage: &&Stage| match args.scenes.is_empty() {
        true => !args.live || LIVE.contains(&stage.name),
        false => args.scenes.iter().any(|name| name == stage.name),
    };
    let wanted = STAGES.iter().filter(is_wanted);
    Ok(wanted.map(|stage| stage.scaled(args.scale)).collect())
}

/// `plot.svg` for a scene: `plot-scene.svg`.
fn named(file: &Path, scene: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = match file.extension() {
        Some(ending) => format!("{stem}-{scene}.{}", ending.to_string_lossy()),
        None => format!("{stem}-{scene}"),
    };
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::super::queue_backlog_scenes::Who;
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: QueueBacklogArgs,
    }

    fn args(flags: &[&str]) -> QueueBacklogArgs {
        Cli::parse_from(["queue-backlog"].iter().chain(flags)).args
    }

    /// The largest number of instances, seconds until all was done, and the share that was in time.
    fn played(scene: &str, who: Who, seed: u64) -> (u32, f64, f64) {
        let stage = STAGES.iter().find(|stage| stage.name == scene).unwrap();
        let (run, _) = stage.play(&args(&[]), who, seed);
        (
            run.largest,
            run.finished().as_secs_f64(),
            run.within(stage.latency),
        )
    }

    #[test]
    fn a_thousand_images_are_kept_in_time_by_the_moving_target() {
        for seed in 1..=5 {
            for (scene, who, instances, seconds) in [
                ("images-1s", Who::LawStatic, 10..=10, 98.0..103.0),
                ("images-2s", Who::LawStatic, 10..=10, 197.0..206.0),
                ("images-2s", Who::LawMoving, 20..=20, 98.0..106.0),
                // Three points of a minute come too late.
                ("images-2s", Who::AwsMoving, 10..=10, 197.0..206.0),
                ("images-1s", Who::Forebay, 11..=12, 80.0..100.0),
                ("images-2s", Who::Forebay, 20..=23, 80.0..100.0),
            ] {
                let (largest, took, _) = played(scene, who, seed);
                assert!(
                    instances.contains(&largest) && seconds.contains(&took),
                    "{scene} {who:?} {seed}: {largest} instances, {took} s"
                );
            }
        }
    }

    #[test]
    fn a_latency_that_a_boot_does_not_leave_is_said_to_be_too_short() {
        let stage = STAGES.iter().find(|stage| stage.name == "images-1s").unwrap();
        let (_, shortfall) = stage.play(&args(&[]), Who::ForebayBoot, 1);
        assert!(shortfall.unwrap().contains("a latency of 100.0 s can't be met"));
        let (_, shortfall) = STAGES[0].play(&args(&[]), Who::ForebayBoot, 1);
        assert_eq!(shortfall, None);
    }

    #[test]
    fn scenes_and_controllers_are_chosen_by_name() {
        assert_eq!(stages(&args(&[])).unwrap().len(), 4);
        assert_eq!(stages(&args(&["--scenes", "50s,25s"])).unwrap()[0].name, "25s");
        assert!(stages(&args(&["--scenes", "75s"])).is_err());
        assert!(stages(&args(&["--controllers", "crystal-ball"])).is_err());
        assert_eq!(named(Path::new("a/p.svg"), "50s"), Path::new("a/p-50s.svg"));
    }

    #[test]
    fn the_dashboard_is_drawn_and_figures_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let (plot, json) = (dir.path().join("p.svg"), dir.path().join("f.json"));
        let flags = [
            "--scenes",
            "25s",
            "--seeds",
            "1",
            "--plot",
            plot.to_str().unwrap(),
            "--json",
            json.to_str().unwrap(),
        ];
        run(&args(&flags)).unwrap();
        let text = std::fs::read_to_string(plot).unwrap();
        for wanted in [
            "visible messages",
            "backlog an instance",
            "forebay",
            "aws-moving",
            "polyline",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
        let figures: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        assert_eq!(figures["scenes"][0]["controllers"][0]["controller"], "aws-moving");
    }
}
