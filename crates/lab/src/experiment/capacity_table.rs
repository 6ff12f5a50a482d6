//! Results of controllers, as a table and as figures.

use anyhow::Context as _;
use forebay_process::out;
use forebay_sim::{FleetRun, Step, StepBounds};
use serde_json::{Value, json};
use std::path::Path;

/// A controller's runs, one per seed.
pub(crate) struct Played {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<FleetRun>,
}

/// Whether the table shows bounds of waits.
#[derive(Clone, Copy)]
pub(crate) enum Bounds {
    None,
    /// The bounds after this step.
    Of(Step),
}

/// The form of the table.
pub(crate) struct Table {
    seeds: u64,
    bounds: Bounds,
}

/// The median; of two middle values, the greater.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Table {
    pub(crate) fn new(seeds: u64, bounds: Bounds) -> Table {
        Table { seeds, bounds }
    }

    pub(crate) fn print_head(&self) -> anyhow::Result<()> {
        out::line(format_args!(
            "seeds: {}; refused and requests are sums, the longest wait is the longest of all, the rest are medians; times in seconds",
            self.seeds
        ))?;
        let bounds = match self.bounds {
            Bounds::None => String::new(),
            Bounds::Of(_) => format!(" {:>6} {:>6}", "T1", "T5"),
        };
        out::line(format_args!(
            "  {:<18} {:>9} {:>10} {:>12}{bounds} {:>9} {:>17} {:>14} {:>8}",
            "controller",
            "refused",
            "requests",
            "longest wait",
            "p99 wait",
            "instance-seconds",
            "most instances",
            "changes"
        ))?;
        Ok(())
    }

    pub(crate) fn print(&self, played: &Played) -> anyhow::Result<()> {
        let sum = |of: fn(&FleetRun) -> usize| played.runs.iter().map(of).sum::<usize>();
        let middle = |of: fn(&FleetRun) -> f64| median(played.runs.iter().map(of).collect());
        let longest = played.runs.iter().map(FleetRun::longest_wait).max();
        let bounds = match self.bounds(played) {
            None => String::new(),
            Some(bounds) => format!(" {:>6.2} {:>6.2}", bounds.fluid, bounds.sure),
        };
        out::line(format_args!(
            "  {:<18} {:>9} {:>10} {:>12.2}{bounds} {:>9.2} {:>17.0} {:>14.0} {:>8.0}",
            played.name,
            sum(FleetRun::refused),
            sum(|run| run.seen.len()),
            longest.unwrap_or_default().as_secs_f64(),
            middle(|run| run.wait(0.99).as_secs_f64()),
            middle(|run| run.instance_seconds),
            middle(|run| f64::from(run.largest)),
            middle(|run| run.changes.len() as f64),
        ))?;
        Ok(())
    }

    /// Medians of the bounds, if the table shows them.
    fn bounds(&self, played: &Played) -> Option<StepBounds> {
        let Bounds::Of(step) = self.bounds else {
            return None;
        };
        let found: Vec<StepBounds> = played.runs.iter().map(|run| run.step_bounds(&step)).collect();
        let middle = |of: fn(&StepBounds) -> f64| median(found.iter().map(of).collect());
        Some(StepBounds {
            fluid: middle(|bounds| bounds.fluid),
            sure: middle(|bounds| bounds.sure),
        })
    }

    /// Writes the figures of all runs.
    pub(crate) fn write(&self, file: &Path, title: &str, all: &[Played]) -> anyhow::Result<()> {
        let of_run = |run: &FleetRun| {
            let mut figures = json!({
                "refused": run.refused(), "requests": run.seen.len(), "longest_wait": run.longest_wait().as_secs_f64(),
                "p99_wait": run.wait(0.99).as_secs_f64(), "instance_seconds": run.instance_seconds,
                "most_instances": run.largest, "changes": run.changes.len(), "failed_launches": run.failed_launches,
            });
            if let Bounds::Of(step) = &self.bounds {
                let bounds = run.step_bounds(step);
                figures["t1"] = bounds.fluid.into();
                figures["t5"] = bounds.sure.into();
            }
            figures
        };
        let controllers = all.iter().map(|played| {
            let runs: Vec<Value> = played.runs.iter().map(of_run).collect();
            json!({"controller": played.name, "runs": runs})
        });
        let figures = json!({"title": title, "controllers": controllers.collect::<Vec<Value>>()});
        std::fs::write(file, serde_json::to_vec_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}
