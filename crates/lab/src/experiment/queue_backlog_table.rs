//! Results of workers on a queue, as a table and as figures. Runs may be simulated or observed.

use forebay_process::out;
use forebay_sim::{BacklogRun, BacklogSecond};
use serde_json::{Value, json};
use std::time::Duration;

/// A controller's runs in a scene.
pub(crate) struct Played {
    pub(crate) name: &'static str,
    /// Whether the run was observed, not simulated.
    pub(crate) is_live: bool,
    /// The published result; empty if there is none.
    pub(crate) published: &'static str,
    pub(crate) runs: Vec<BacklogRun>,
    /// Why the latency could not be promised, if that was reported.
    pub(crate) shortfall: Option<String>,
}

/// The least value, the median (of two middle ones, the greater), and the greatest.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

fn range((least, middle, most): (f64, f64, f64)) -> String {
    if (most - least).abs() < 0.5 {
        return format!("{middle:.0}");
    }
    format!("{middle:.0} ({least:.0} to {most:.0})")
}

impl Played {
    fn spread(&self, of: impl Fn(&BacklogRun) -> f64) -> (f64, f64, f64) {
        spread(self.runs.iter().map(of))
    }

    /// The share of messages that were done in time, over all runs.
    fn within(&self, latency: Duration) -> f64 {
        let shares = self.runs.iter().map(|run| run.within(latency));
        shares.sum::<f64>() / self.runs.len().max(1) as f64
    }
}

pub(crate) fn print_head() -> anyhow::Result<()> {
    out::line(format_args!(
        "  {:<17} {:>14} {:>21} {:>7} {:>9} {:>17} {:>10}  published",
        "controller", "most instances", "all done after s", "min", "in time", "instance-seconds", "in 30 min"
    ))?;
    Ok(())
}

pub(crate) fn print(played: &Played, latency: Duration) -> anyhow::Result<()> {
    let took = played.spread(|run| run.finished().as_secs_f64());
    out::line(format_args!(
        "  {:<17} {:>14} {:>21} {:>7.1} {:>7.1} % {:>17.0} {:>10.0}  {}",
        played.name,
        range(played.spread(|run| f64::from(run.largest))),
        range(took),
        took.1 / 60.0,
        played.within(latency) * 100.0,
        played.spread(|run| run.instance_seconds).1,
        played.spread(|run| run.all_instance_seconds).1,
        played.published,
    ))?;
    if let Some(text) = &played.shortfall {
        out::line(format_args!("    it says: {text}"))?;
    }
    Ok(())
}

/// Each second of a run.
fn timeline(run: &BacklogRun) -> Value {
    let second = |second: &BacklogSecond| {
        json!({
            "second": second.at.as_secs(),
            "visible": second.visible,
            "in_flight": second.in_flight,
            "in_service": second.ready,
            "instances": second.instances,
            "processing_seconds": second.processing,
            "backlog_per_instance": second.backlog,
            "acceptable_backlog_per_instance": second.acceptable,
        })
    };
    run.timeline.iter().map(second).collect()
}

/// The figures of all runs of a scene.
pub(crate) fn figures(name: &str, title: &str, latency: Duration, all: &[Played]) -> Value {
    let of_run = |run: &BacklogRun, is_live: bool| {
        json!({
            "most_instances": run.largest,
            "done_seconds": run.finished().as_secs_f64(),
            "longest_seconds": run.longest().as_secs_f64(),
            "in_time": run.within(latency),
            "messages": run.done.len(),
            "cut": run.cut,
            "instance_seconds": run.instance_seconds,
            "all_instance_seconds": run.all_instance_seconds,
            "timeline": if is_live { timeline(run) } else { Value::Null },
            "changes": run.changes.iter().map(|(at, to)| json!([at.as_secs_f64(), to])).collect::<Vec<_>>(),
        })
    };
    let controllers = all.iter().map(|played| {
        json!({
            "controller": played.name,
            "live": played.is_live,
            "published": played.published,
            "shortfall": played.shortfall,
            "runs": played.runs.iter().map(|run| of_run(run, played.is_live)).collect::<Vec<_>>(),
        })
    });
    json!({
        "scene": name,
        "title": title,
        "latency_seconds": latency.as_secs_f64(),
        "controllers": controllers.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_have_a_middle() {
        assert_eq!(range(spread([3.0, 1.0, 2.0].into_iter())), "2 (1 to 3)");
        assert_eq!(range(spread([2.1, 2.2].into_iter())), "2");
        assert_eq!(range(spread(core::iter::empty())), "0");
    }
}
