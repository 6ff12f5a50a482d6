//! `forebay schedules`: shows what runs next, and what ran.

use crate::ask::{AdminAddress, ask};
use anyhow::{Context as _, bail};
use clap::Args;
use forebay_process::{out, runtime};
use hyper::StatusCode;
use serde_json::Value;
use std::process::ExitCode;

/// Flags of `forebay schedules`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Schedules are created with aws scheduler create-schedule, or aws events put-rule and put-targets, or Terraform (docs/schedules.md). The
latest 20 runs of each are stored.

Examples:
  forebay schedules                             next runs, last runs, and their results
  forebay schedules nightly --runs              all stored runs of schedules with 'nightly' in their name
  forebay schedules --json | jq '.schedules[] | select(.runs[0].status == \"failed\")'
  watch -n 1 forebay schedules")]
pub(crate) struct SchedulesArgs {
    /// Only schedules with this in their name
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show each stored run
    #[arg(long)]
    runs: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: AdminAddress,
}

pub(crate) fn run(args: &SchedulesArgs) -> anyhow::Result<ExitCode> {
    let admin = args.asked.admin;
    let (status, body) = runtime()?.block_on(ask(admin, "/schedules"))?;
    if status != StatusCode::OK {
        bail!("http://{admin}/schedules answers {status}");
    }
    let mut page: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
    if let (Some(name), Some(schedules)) = (&args.name, page["schedules"].as_array_mut()) {
        schedules.retain(|schedule| text(schedule, "name").contains(name.as_str()));
    }
    if args.json {
        out::line(format_args!("{page:#}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let schedules = page["schedules"].as_array().map_or(&[][..], Vec::as_slice);
    if schedules.is_empty() {
        match &args.name {
            Some(name) => bail!("no schedule or rule has '{name}' in its name"),
            None => bail!(
                "there are no schedules: create one with aws scheduler create-schedule (docs/schedules.md)"
            ),
        }
    }
    for line in table(schedules) {
        out::line(format_args!("{line}"))?;
    }
    if args.runs {
        for schedule in schedules {
            for line in runs(schedule) {
                out::line(format_args!("{line}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A time without the fraction of a second if it is zero.
fn time(text: &str) -> String {
    text.replace(".000Z", "Z").replace('T', " ")
}

/// One line per schedule, in columns as wide as their contents.
fn table(schedules: &[Value]) -> Vec<String> {
    let mut rows = vec![["NAME", "KIND", "EXPRESSION", "NEXT", "LAST", "RESULT"].map(str::to_owned)];
    rows.extend(schedules.iter().map(row));
    let widths: Vec<usize> = (0..6)
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |row: &[String; 6]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(schedule: &Value) -> [String; 6] {
    let zone = schedule["timezone"]
        .as_str()
        .map_or(String::new(), |zone| format!(" {zone}"));
    let next = match (schedule["enabled"] == true, schedule["next"].as_str()) {
        (false, _) => "disabled".to_owned(),
        (true, Some(next)) => time(next),
        (true, None) => "never".to_owned(),
    };
    let last = &schedule["runs"][0];
    let missed = schedule["missed"].as_u64().unwrap_or_default();
    let missed = if missed == 0 {
        String::new()
    } else {
        format!(" ({missed} missed)")
    };
    [
        text(schedule, "name").to_owned(),
        text(schedule, "kind").to_owned(),
        format!("{}{zone}", text(schedule, "expression")),
        next,
        last["scheduled"].as_str().map_or("-".to_owned(), time),
        format!("{}{missed}", result(last)),
    ]
}

/// The result of a run.
fn result(run: &Value) -> String {
    match (text(run, "status"), run["why"].as_str()) {
        ("", _) => "-".to_owned(),
        (status, None) => status.to_owned(),
        (status, Some(why)) => format!("{status}: {why}"),
    }
}

fn runs(schedule: &Value) -> Vec<String> {
    let mut lines = vec![format!("\n{}", text(schedule, "name"))];
    for run in schedule["runs"].as_array().into_iter().flatten() {
        let late = if run["caught_up"] == true {
            ", caught up"
        } else {
            ""
        };
        lines.push(format!(
            "  {}  {}  {}{late}",
            time(text(run, "scheduled")),
            text(run, "target"),
            result(run)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schedules_are_told_in_columns() {
        let schedules = [
            json!({
                "name": "default/nightly", "kind": "schedule", "expression": "cron(0 3 * * ? *)", "timezone": "Europe/Berlin",
                "enabled": true, "next": "2026-11-30T02:00:00.000Z", "missed": 2,
                "runs": [{"scheduled": "2026-11-29T02:00:00.000Z", "status": "failed", "why": "X: y", "target": "t", "caught_up": true}],
            }),
            json!({"name": "r", "kind": "rule", "expression": "rate(1 minute)", "enabled": false, "missed": 0, "runs": []}),
        ];
        let table = table(&schedules);
        assert!(table[0].starts_with("NAME             KIND"), "{table:?}");
        assert!(
            table[1].ends_with("2026-11-30 02:00:00Z  2026-11-29 02:00:00Z  failed: X: y (2 missed)"),
            "{table:?}"
        );
        assert!(
            table[2].contains("disabled") && table[2].ends_with('-'),
            "{table:?}"
        );
        assert_eq!(
            runs(&schedules[0])[1],
            "  2026-11-29 02:00:00Z  t  failed: X: y, caught up"
        );
    }
}
