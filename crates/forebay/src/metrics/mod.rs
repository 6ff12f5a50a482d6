//! `forebay metrics`: what CloudWatch's API of a running Forebay knows, as a table, as a plot and as a file.

mod client;
mod export;
mod list;
mod plot;
mod text;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use client::{ApiArgs, Client};
use forebay_process::runtime;

/// Flags of `forebay metrics`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  forebay metrics list --namespace AWS/ApplicationELB --name RequestCount
  forebay metrics plot RequestCount --dimension LoadBalancer=app/web/0123456789abcdef --period 10 --since 15m
  forebay metrics plot HTTPCode_Target_5XX_Count RequestCount --expression '100*m1/m2'
  forebay metrics export --name RequestCount --stat Sum --format csv --since 3h --output requests.csv")]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug, Clone)]
enum Verb {
    /// Print which metrics there are
    List(list::ListArgs),
    /// Plot a metric, or an expression over several, in the terminal
    Plot(plot::PlotArgs),
    /// Write the values of all metrics that fit as CSV or JSON
    Export(export::ExportArgs),
}

pub(crate) fn run(args: &MetricsArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.api)?;
    runtime()?.block_on(async {
        match &args.verb {
            Verb::List(args) => list::run(&client, args).await,
            Verb::Plot(args) => plot::run(&client, args).await,
            Verb::Export(args) => export::run(&client, args).await,
        }
    })
}

/// Which metrics are meant.
#[derive(Args, Debug, Clone)]
struct Wanted {
    /// Only of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only with this dimension; may be given several times
    #[arg(long = "dimension", value_name = "NAME=VALUE", value_parser = dimension)]
    dimensions: Vec<(String, String)>,
}

fn dimension(text: &str) -> anyhow::Result<(String, String)> {
    let pair = text.split_once('=').filter(|pair| !pair.0.is_empty());
    let (name, value) = pair.ok_or_else(|| anyhow!("'{text}' is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Seconds, from `90s`, `15m`, `3h` or `2d`.
fn since(text: &str) -> anyhow::Result<i64> {
    let wrong = || anyhow!("'{text}' is not a length of time such as 90s, 15m, 3h or 2d");
    let last = text.chars().last().ok_or_else(wrong)?;
    let unit = match last {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(unit)
        .filter(|seconds| (1..=455 * 86_400).contains(seconds));
    seconds.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_dimensions_are_read() {
        assert_eq!(since("15m").unwrap(), 900);
        for wrong in ["", "15", "m", "-3h", "9999d", "3é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert_eq!(dimension("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(dimension("=b").is_err() && dimension("A").is_err());
    }
}
