//! The lines of a metric in a snapshot, for every output: a value for each set of labels.

use super::metric::{Metric, Sample, Value};
use std::collections::BTreeMap;

/// Names and values of labels, in the metric's order.
pub(crate) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Samples by their labels, in order of first appearance. Samples that differ only in what has no label are added up.
pub(crate) fn lines<'a>(metric: &Metric, samples: &'a [Sample<'_>]) -> Vec<(Labels<'a>, Value)> {
    let mut lines: Vec<(Labels<'a>, Value)> = Vec::new();
    let mut places: BTreeMap<Labels<'a>, usize> = BTreeMap::new();
    for sample in samples {
        let labels: Labels<'a> = metric
            .dimensions()
            .filter_map(|label| {
                let found = sample.dimensions.iter().find(|(known, _)| *known == label);
                found.map(|(_, value)| (label.label(), &**value))
            })
            .collect();
        match places.get(&labels) {
            Some(&place) => lines[place].1.add(&sample.value),
            None => {
                places.insert(labels.clone(), lines.len());
                lines.push((labels, sample.value.clone()));
            }
        }
    }
    lines
}
