//! `forebay metrics`: data of a running Forebay's CloudWatch API, as a table, a plot or a file.
//!
//! In reading order: `wanted` (flags that the commands share), `client` (calls of the API), `list`, `plot` with `text`
//! (drawing), `export`.

mod client;
mod export;
mod list;
mod plot;
mod text;
mod wanted;

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
    /// List the metrics
    List(list::ListArgs),
    /// Plot a metric, or an expression over several, in the terminal
    Plot(plot::PlotArgs),
    /// Write the values of all matching metrics as CSV or JSON
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
