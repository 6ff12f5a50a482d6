//! Auto Scaling groups of workers on a queue, as of one reading of the metrics.

use super::text::Sample;
use forebay_telemetry::metrics::{Dimension, names};
use std::collections::BTreeMap;

/// A group that is sized by its queue's backlog.
#[derive(Clone, Debug, Default)]
struct Backlog {
    visible: f64,
    in_flight: f64,
    late: f64,
    processing: f64,
    each: f64,
    acceptable: f64,
    desired: f64,
    needed: f64,
    ready: f64,
    pending: f64,
}

/// All such groups, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlogs(BTreeMap<String, Backlog>);

impl Backlogs {
    /// Adds a sample, if it is about such a group.
    pub(super) fn take(&mut self, sample: &Sample) -> bool {
        if !sample.name.starts_with(names::BACKLOG) {
            return false;
        }
        let name = sample.label(Dimension::AutoScalingGroup.label());
        let backlog = self.0.entry(name.to_owned()).or_default();
        let figure = match &*sample.name {
            names::BACKLOG_VISIBLE => &mut backlog.visible,
            names::BACKLOG_IN_FLIGHT => &mut backlog.in_flight,
            names::BACKLOG_LATE => &mut backlog.late,
            names::BACKLOG_PROCESSING_SECONDS => &mut backlog.processing,
            names::BACKLOG_PER_INSTANCE => &mut backlog.each,
            names::BACKLOG_ACCEPTABLE_PER_INSTANCE => &mut backlog.acceptable,
            names::BACKLOG_DESIRED => &mut backlog.desired,
            names::BACKLOG_NEEDED => &mut backlog.needed,
            names::BACKLOG_READY => &mut backlog.ready,
            names::BACKLOG_PENDING => &mut backlog.pending,
            _ => return true,
        };
        *figure = sample.value;
        true
    }

    /// A table of the groups; empty if there are none.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let head = format!(
            "{:<24} {:>8} {:>9} {:>6} {:>10} {:>8} {:>10} {:>7} {:>7} {:>6} {:>7}",
            "WORKERS ON A QUEUE",
            "visible",
            "in flight",
            "late",
            "s/message",
            "BPI",
            "acceptable",
            "wanted",
            "needed",
            "ready",
            "pending",
        );
        let lines = self.0.iter().map(|(name, of)| {
            format!(
                "{name:<24} {:>8} {:>9} {:>6} {:>10.2} {:>8.1} {:>10} {:>7} {:>7} {:>6} {:>7}",
                of.visible,
                of.in_flight,
                of.late,
                of.processing,
                of.each,
                of.acceptable,
                of.desired,
                of.needed,
                of.ready,
                of.pending,
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
    fn workers_are_a_table_of_their_own() {
        let text = "\
forebay_backlog_visible_messages{auto_scaling_group=\"g\"} 43
forebay_backlog_processing_seconds{auto_scaling_group=\"g\"} 24.218
forebay_backlog_orders_total{auto_scaling_group=\"g\"} 1
forebay_planner_needed_capacity{auto_scaling_group=\"h\"} 3
";
        let mut backlogs = Backlogs::default();
        let taken = samples(text).filter(|sample| backlogs.take(sample)).count();
        assert_eq!(taken, 3);
        let lines = backlogs.lines();
        assert!(
            lines.len() == 3
                && lines[2].starts_with("g ")
                && lines[2].contains(" 43 ")
                && lines[2].contains(" 24.22 "),
            "{lines:?}"
        );
        assert!(Backlogs::default().lines().is_empty());
    }
}
