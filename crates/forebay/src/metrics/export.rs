//! `forebay metrics export`.

use super::client::{Client, Metric, now};
use super::wanted::{Wanted, since};
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Most queries of one call of GetMetricData.
const QUERIES: usize = 500;

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// Flags of `forebay metrics export`.
#[derive(Args, Debug, Clone)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// Only metrics of this name
    #[arg(long)]
    name: Option<String>,
    /// Statistic; may be repeated
    #[arg(long = "stat", default_value = "Sum")]
    stats: Vec<String>,
    /// Format of the output
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// File to write, completely or not at all [default: standard output]
    #[arg(long)]
    output: Option<PathBuf>,
    /// How far back to go
    #[arg(long, default_value = "3h", value_parser = since, conflicts_with_all = ["from", "to"])]
    since: i64,
    /// Start time, such as 2030-01-31T08:00:00Z
    #[arg(long, requires = "to", value_parser = moment)]
    from: Option<i64>,
    /// End time
    #[arg(long, requires = "from", value_parser = moment)]
    to: Option<i64>,
    /// Seconds per point: 1, 5, 10, 20, 30 or a multiple of 60
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    period: u32,
}

fn moment(text: &str) -> anyhow::Result<i64> {
    let at = text.parse::<Timestamp>();
    Ok(at
        .map_err(|_| anyhow!("'{text}' is not a time such as 2030-01-31T08:00:00Z"))?
        .as_second())
}

/// A statistic of a metric, and its points.
struct Series {
    metric: Metric,
    stat: String,
    points: Vec<(i64, f64)>,
}

pub(super) async fn run(client: &Client, args: &ExportArgs) -> anyhow::Result<()> {
    let to = args.to.unwrap_or_else(|| now().seconds());
    let from = args.from.unwrap_or(to - args.since);
    let metrics = client.metrics(&args.wanted, args.name.as_deref()).await?;
    if metrics.is_empty() {
        bail!("there is no such metric: `forebay metrics list` prints those that there are");
    }
    let pairs = metrics
        .iter()
        .flat_map(|metric| args.stats.iter().map(move |stat| (metric, stat)));
    let pairs: Vec<(&Metric, &String)> = pairs.collect();
    let bar = ProgressBar::new(pairs.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} series")?);
    let mut all = Vec::new();
    for chunk in pairs.chunks(QUERIES) {
        let queries = chunk.iter().enumerate().map(|(number, (metric, stat))| {
            json!({"Id": format!("q{number}"), "MetricStat": {"Metric": metric.json(), "Period": args.period, "Stat": stat}})
        });
        let queries: Vec<_> = queries.collect();
        let mut results = client.data(&queries, from, to).await?;
        for (number, (metric, stat)) in chunk.iter().enumerate() {
            let id = format!("q{number}");
            let mut points = Vec::new();
            for result in results.iter_mut().filter(|result| result.0 == id) {
                points.append(&mut result.2);
            }
            all.push(Series {
                metric: (*metric).clone(),
                stat: (*stat).clone(),
                points,
            });
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let text = match args.format {
        Format::Csv => csv(&all)?,
        Format::Json => json_of(&all)?,
    };
    match &args.output {
        Some(path) => write(path, &text),
        None => std::io::stdout()
            .write_all(&text)
            .context("cannot write to standard output"),
    }
}

fn csv(all: &[Series]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(["time", "namespace", "metric", "dimensions", "stat", "value"])?;
    for one in all {
        let dimensions = one.metric.dimensions();
        for (at, value) in &one.points {
            let at = Timestamp::from_second(*at)?.to_string();
            let (metric, value) = (&one.metric, value.to_string());
            writer.write_record([
                &at,
                &metric.namespace,
                &metric.name,
                &dimensions,
                &one.stat,
                &value,
            ])?;
        }
    }
    Ok(writer.into_inner()?)
}

fn json_of(all: &[Series]) -> anyhow::Result<Vec<u8>> {
    let mut shown = Vec::new();
    for one in all {
        let mut series = one.metric.json();
        series["Stat"] = json!(one.stat);
        let points: Result<Vec<_>, jiff::Error> = one
            .points
            .iter()
            .map(|(at, value)| Ok(json!([Timestamp::from_second(*at)?.to_string(), value])))
            .collect();
        series["Points"] = json!(points?);
        shown.push(series);
    }
    let mut text = serde_json::to_vec_pretty(&shown)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a complete file: under another name first, then renamed.
fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let told = || format!("cannot write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(told)?;
    file.write_all(text).with_context(told)?;
    file.persist(path).with_context(told)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        let metric = Metric {
            namespace: "App".to_owned(),
            name: "a,\"b\"".to_owned(),
            dimensions: vec![("Host".to_owned(), "x".to_owned())],
        };
        let series = Series {
            metric,
            stat: "Sum".to_owned(),
            points: vec![(0, 1.5)],
        };
        let text = String::from_utf8(csv(&[series]).unwrap()).unwrap();
        assert_eq!(
            text,
            "time,namespace,metric,dimensions,stat,value\r\n1970-01-01T00:00:00Z,App,\"a,\"\"b\"\"\",Host=x,Sum,1.5\r\n"
        );
    }
}
