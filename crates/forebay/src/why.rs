//! `forebay why`: explains why a planned Auto Scaling group has the capacity that it has.

use crate::ask::{AdminAddress, ask};
use anyhow::{Context as _, bail};
use clap::Args;
use forebay_process::{out, runtime};
use hyper::StatusCode;
use serde_json::Value;
use std::process::ExitCode;

/// Flags of `forebay why`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
A group is planned if it has the tag forebay:planner (docs/planner.md) or, where its instances work on a queue,
forebay:backlog-queue (docs/queue-workers.md). Without a name all planned groups are shown.

Examples:
  forebay why
  forebay why web-workers
  forebay why web-workers --json | jq '.groups[0].needed'
  watch -n 1 forebay why web-workers")]
pub(crate) struct WhyArgs {
    /// Name of the Auto Scaling group
    #[arg(value_name = "GROUP")]
    group: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: AdminAddress,
}

pub(crate) fn run(args: &WhyArgs) -> anyhow::Result<ExitCode> {
    let admin = args.asked.admin;
    let path = match &args.group {
        Some(group) => format!("/planner?group={}", encoded(group)),
        None => "/planner".to_owned(),
    };
    let (status, body) = runtime()?.block_on(ask(admin, &path))?;
    if status != StatusCode::OK {
        bail!("http://{admin}{path} answers {status}");
    }
    let page: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
    let groups = page["groups"].as_array().map_or(&[][..], Vec::as_slice);
    if groups.is_empty() {
        bail!("{}", nothing(args.group.as_deref(), &page["names"]));
    }
    if args.json {
        out::line(format_args!("{page:#}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for group in groups {
        out::line(format_args!("{}", told(group)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A group's name, percent-encoded for a URL.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The message when no group was found.
fn nothing(group: Option<&str>, names: &Value) -> String {
    let names: Vec<&str> = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let advice = "tag one with forebay:planner=on, for instance with \
                  aws autoscaling create-or-update-tags --tags ResourceId=GROUP,ResourceType=auto-scaling-group,\
                  Key=forebay:planner,Value=on,PropagateAtLaunch=false, or forebay:backlog-queue=QUEUE if its instances work on a queue";
    match group {
        Some(group) if !names.is_empty() => {
            format!(
                "'{group}' is not a planned group; planned are: {}",
                names.join(", ")
            )
        }
        Some(group) => format!("'{group}' is not a planned group, and there are none: {advice}"),
        None => format!("no Auto Scaling group is planned: {advice}"),
    }
}

fn told(group: &Value) -> String {
    let text = |name: &str| group[name].as_str().unwrap_or_default();
    let dry = if group["dry_run"] == true {
        ", a dry run: nothing is ordered"
    } else {
        ""
    };
    let mut lines = vec![
        format!("{} in {}{dry}", text("group"), text("region")),
        String::new(),
    ];
    lines.push(text("text").to_owned());
    if let Some(costs) = group["costs"].as_str() {
        lines.push(format!("\ncosts         {costs}"));
    }
    for told in group["forecasts"].as_array().into_iter().flatten() {
        lines.push(format!("\nforecast      {}", told.as_str().unwrap_or_default()));
    }
    lines.push(format!(
        "\nsince the start: capacity added {} times, removed {} times",
        group["orders"], group["releases"]
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_are_told_and_what_is_missing_is_said() {
        assert_eq!(encoded("a b/ü"), "a%20b%2F%C3%BC");
        let group = json!({"group": "g", "region": "local-1", "dry_run": true, "text": "needed 3", "costs": null, "orders": 2, "releases": 1});
        let text = told(&group);
        assert!(
            text.starts_with("g in local-1, a dry run") && text.contains("needed 3"),
            "{text}"
        );
        assert!(
            text.ends_with("capacity added 2 times, removed 1 times"),
            "{text}"
        );
        assert!(nothing(Some("x"), &json!(["g", "h"])).contains("planned are: g, h"));
        assert!(nothing(None, &json!([])).contains("forebay:planner=on"));
    }
}
