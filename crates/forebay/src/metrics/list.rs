//! `forebay metrics list`.

use super::client::Client;
use super::text::printable;
use super::wanted::Wanted;
use anyhow::bail;
use clap::Args;
use forebay_process::out;

/// Flags of `forebay metrics list`.
#[derive(Args, Debug, Clone)]
pub(super) struct ListArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// Only metrics of this name
    #[arg(long)]
    name: Option<String>,
    /// Print JSON: a list of metrics in ListMetrics' form
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: &ListArgs) -> anyhow::Result<()> {
    let metrics = client.metrics(&args.wanted, args.name.as_deref()).await?;
    if args.json {
        let all: Vec<_> = metrics.iter().map(|metric| metric.json()).collect();
        return out::line(format_args!("{}", serde_json::to_string_pretty(&all)?));
    }
    if metrics.is_empty() {
        bail!(
            "there is no such metric: a metric exists once it has a datapoint; leave out --name and --dimension to list all"
        );
    }
    let width = |of: fn(&super::client::Metric) -> &str, head: usize| {
        metrics
            .iter()
            .map(|metric| of(metric).chars().count())
            .max()
            .unwrap_or(0)
            .max(head)
    };
    let (first, second) = (
        width(|metric| &metric.namespace, 9),
        width(|metric| &metric.name, 6),
    );
    let mut text = format!("{:<first$}  {:<second$}  DIMENSIONS", "NAMESPACE", "METRIC");
    for metric in &metrics {
        let (namespace, name) = (printable(&metric.namespace), printable(&metric.name));
        text.push_str(&format!(
            "\n{namespace:<first$}  {name:<second$}  {}",
            printable(&metric.dimensions())
        ));
    }
    out::line(format_args!("{text}"))
}
