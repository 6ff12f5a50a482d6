//! Planned Auto Scaling groups, as of one reading of the metrics.

use super::text::Sample;
use forebay_telemetry::metrics::{Dimension, names};
use std::collections::BTreeMap;

/// A planned group. Figures of its target groups are those of the worst of them.
#[derive(Clone, Debug, Default)]
struct Planner {
    desired: f64,
    needed: f64,
    ready: f64,
    pending: f64,
    lead: f64,
    arrivals: f64,
    longest_wait: f64,
    margin: Option<f64>,
}

/// All planned groups, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Planners(BTreeMap<String, Planner>);

impl Planners {
    /// Adds a sample, if it is about a planned group.
    pub(super) fn take(&mut self, sample: &Sample) -> bool {
        let name = sample.label(Dimension::AutoScalingGroup.label());
        if name.is_empty() {
            return false;
        }
        let planner = self.0.entry(name.to_owned()).or_default();
        let value = sample.value;
        match &*sample.name {
            names::PLANNER_DESIRED => planner.desired = value,
            names::PLANNER_NEEDED => planner.needed = value,
            names::PLANNER_READY => planner.ready = value,
            names::PLANNER_PENDING => planner.pending = value,
            names::PLANNER_LEAD_SECONDS => planner.lead = value,
            names::PLANNER_ARRIVAL_RATE => planner.arrivals += value,
            names::PLANNER_LONGEST_WAIT_SECONDS => planner.longest_wait = planner.longest_wait.max(value),
            names::PLANNER_MARGIN_SECONDS => {
                planner.margin = Some(planner.margin.map_or(value, |margin| margin.min(value)));
            }
            _ => {}
        }
        true
    }

    /// A table of the groups; empty if there are none.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let head = format!(
            "{:<24} {:>8} {:>7} {:>7} {:>6} {:>7} {:>8} {:>9} {:>10}",
            "AUTO SCALING GROUP",
            "req/s",
            "wanted",
            "needed",
            "ready",
            "pending",
            "lead",
            "max wait",
            "to refusal",
        );
        let lines = self.0.iter().map(|(name, planner)| {
            let margin = planner
                .margin
                .map_or("-".to_owned(), |margin| format!("{margin:.1} s"));
            format!(
                "{name:<24} {:>8.1} {:>7} {:>7} {:>6} {:>7} {:>8} {:>9} {margin:>10}",
                planner.arrivals,
                planner.desired,
                planner.needed,
                planner.ready,
                planner.pending,
                format!("{:.1} s", planner.lead),
                format!("{:.2} s", planner.longest_wait),
            )
        });
        [String::new(), head].into_iter().chain(lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::samples;
    use super::*;

    #[test]
    fn planned_groups_are_a_table_of_their_own() {
        let text = "\
forebay_planner_needed_capacity{auto_scaling_group=\"g\"} 3
forebay_planner_arrival_rate{auto_scaling_group=\"g\",target_group=\"a\"} 2.5
forebay_planner_margin_seconds{auto_scaling_group=\"g\",target_group=\"a\"} 7
forebay_surge_queue_length{target_group=\"a\"} 1
";
        let mut planners = Planners::default();
        let taken = samples(text).filter(|sample| planners.take(sample)).count();
        assert_eq!(taken, 3);
        let lines = planners.lines();
        assert!(
            lines[2].starts_with("g ") && lines[2].contains(" 2.5 ") && lines[2].ends_with("7.0 s"),
            "{lines:?}"
        );
        assert!(Planners::default().lines().is_empty());
    }
}
