//! `forebay experiment scale-in`: servers that come and go with their clients, and what clients see when servers go.

use super::plot::try_file;
use super::scale_in_args::{ScaleInArgs, Turn};
use super::statuses::{self, Played};
use super::{scale_in_live, scale_in_simulated};
use forebay_process::{out, runtime};
use std::process::ExitCode;

pub(crate) fn run(args: &ScaleInArgs) -> anyhow::Result<ExitCode> {
    args.plot
        .iter()
        .chain(&args.json)
        .try_for_each(|file| try_file(file))?;
    let steps = args.steps();
    let (shortest, longest) = args.request.bounds();
    let title = format!(
        "{}up to {} servers and {} clients, requests of {:.1} to {:.1} s, {} steps of {} s",
        if args.simulated { "simulated: " } else { "" },
        args.servers,
        args.clients,
        shortest.as_secs_f64(),
        longest.as_secs_f64(),
        steps.len(),
        args.step().as_secs()
    );
    out::line(format_args!("{title}"))?;
    let mut turns: Vec<Played> = Vec::new();
    for turn in Turn::BOTH {
        let played = if args.simulated {
            scale_in_simulated::turn(args, turn)
        } else {
            runtime()?.block_on(scale_in_live::turn(args, turn))?
        };
        played.print()?;
        turns.push(played);
    }
    if let Some(file) = &args.plot {
        statuses::draw(file, &title, &turns)?;
    }
    if let Some(file) = &args.json {
        statuses::write(file, &title, &turns)?;
    }
    Ok(ExitCode::SUCCESS)
}
