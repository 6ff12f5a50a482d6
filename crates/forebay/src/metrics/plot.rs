//! `forebay metrics plot`.

use super::client::{Client, Metric, now};
use super::text::{plot, printable, short};
use super::wanted::{Wanted, since};
use anyhow::bail;
use clap::Args;
use forebay_process::out;
use rustix::termios::tcgetwinsize;
use serde_json::json;
use std::time::Duration;

/// Flags of `forebay metrics plot`.
#[derive(Args, Debug, Clone)]
pub(super) struct PlotArgs {
    /// Name of the metric; with --expression the names of m1, m2 and so on
    #[arg(required = true)]
    metrics: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Metric math over m1, m2 and so on
    #[arg(long)]
    expression: Option<String>,
    /// Statistic: Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p99
    #[arg(long, default_value = "Sum")]
    stat: String,
    /// Seconds per point: 1, 5, 10, 20, 30 or a multiple of 60
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    period: u32,
    /// How far back to go
    #[arg(long, default_value = "15m", value_parser = since)]
    since: i64,
    /// Draw again each period, until Ctrl-C
    #[arg(long)]
    follow: bool,
}

pub(super) async fn run(client: &Client, args: &PlotArgs) -> anyhow::Result<()> {
    if args.metrics.len() > 1 && args.expression.is_none() {
        bail!("several metrics need an --expression that combines them, such as m1/m2");
    }
    let mut metrics = Vec::new();
    for name in &args.metrics {
        metrics.push(one(client, args, name).await?);
    }
    loop {
        let text = page(client, args, &metrics).await?;
        let home = if args.follow { "\x1b[H\x1b[2J" } else { "" };
        out::line(format_args!("{home}{text}"))?;
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(u64::from(args.period))).await;
    }
}

/// The only metric that matches, or of several the one without further dimensions than those given.
async fn one(client: &Client, args: &PlotArgs, name: &str) -> anyhow::Result<Metric> {
    let mut found = client.metrics(&args.wanted, Some(name)).await?;
    if found.len() > 1 {
        let exact = |metric: &Metric| metric.dimensions.len() == args.wanted.dimensions.len();
        if found.iter().filter(|metric| exact(metric)).count() == 1 {
            found.retain(exact);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            bail!("there is no such metric '{name}': `forebay metrics list` prints all metrics")
        }
        several => {
            let lines = several.iter().take(10).map(|metric| {
                printable(&format!(
                    "  {} {} {}",
                    metric.namespace,
                    metric.name,
                    metric.dimensions()
                ))
            });
            let lines = lines.collect::<Vec<_>>().join("\n");
            bail!(
                "{} metrics match: choose with --namespace and --dimension. Among them:\n{lines}",
                several.len()
            )
        }
    }
}

async fn page(client: &Client, args: &PlotArgs, metrics: &[Metric]) -> anyhow::Result<String> {
    let queries = metrics.iter().zip(1..).map(|(metric, number)| {
        json!({"Id": format!("m{number}"), "ReturnData": args.expression.is_none(),
            "MetricStat": {"Metric": metric.json(), "Period": args.period, "Stat": args.stat}})
    });
    let mut queries: Vec<_> = queries.collect();
    if let Some(expression) = &args.expression {
        queries.push(json!({"Id": "e", "Expression": expression, "Period": args.period}));
    }
    let period = i64::from(args.period);
    let to = now().seconds();
    let from = (to - args.since).div_euclid(period) * period;
    let results = client.data(&queries, from, to).await?;
    let points = match results.as_slice() {
        [one] => &one.2,
        [] => bail!("this expression has no result"),
        several => bail!(
            "the expression has {} series, and only one can be plotted",
            several.len()
        ),
    };
    let title = match (&args.expression, metrics) {
        (Some(expression), _) => expression.clone(),
        (None, [metric, ..]) => format!("{} {} {}", metric.name, args.stat, metric.dimensions()),
        (None, []) => String::new(),
    };
    let title = printable(&format!("{title}, each {period} s"));
    let Some(last) = points.last() else {
        return Ok(format!("{title}\nno datapoints in this time"));
    };
    let size = tcgetwinsize(std::io::stdout())
        .ok()
        .filter(|size| size.ws_col > 0);
    let (columns, rows) = size.map_or((80, 20), |size| {
        (usize::from(size.ws_col), usize::from(size.ws_row))
    });
    let title: String = title.chars().take(columns).collect();
    let values = || points.iter().map(|point| point.1);
    let (least, most) = (
        values().fold(f64::MAX, f64::min),
        values().fold(f64::MIN, f64::max),
    );
    let periods = (to - from + period - 1) / period;
    let absent = periods - i64::try_from(points.len()).unwrap_or(periods);
    let mut lines = vec![title];
    lines.extend(plot(
        points,
        from,
        to,
        period,
        columns,
        rows.saturating_sub(6).min(18),
    ));
    lines.push(format!(
        "min {}  max {}  last {}  ({absent} of {periods} periods without a datapoint)",
        short(least),
        short(most),
        short(last.1)
    ));
    Ok(lines.join("\n"))
}
