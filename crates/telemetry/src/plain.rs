//! Converts OpenMetrics to Prometheus' older text format, 0.0.4, where HELP and TYPE lines name a counter with its
//! `_total`.

use std::collections::BTreeSet;

/// The same metrics in the older format.
pub(crate) fn plain(open: &str) -> String {
    let kinds = open.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: BTreeSet<&str> = kinds.filter_map(|line| line.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let comment = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        match comment.map(|(what, rest)| (what, rest.split_once(' ').unwrap_or((rest, "")))) {
            Some((what @ ("HELP" | "TYPE"), (name, rest))) => {
                let total = if counters.contains(name) { "_total" } else { "" };
                text.extend(["# ", what, " ", name, total, " ", rest, "\n"]);
            }
            // The older format has no UNIT lines; names carry the units.
            Some(_) => {}
            None if line == "# EOF" => {}
            None => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression: every reader got OpenMetrics, so readers of 0.0.4 saw counters without type and text.
    #[test]
    fn counters_are_named_as_they_are_read() {
        let open = "# HELP a_requests Begun.\n# TYPE a_requests counter\na_requests_total{x=\"# EOF\"} 3\n\
                    # HELP b_seconds Waits.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n\
                    b_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let wanted = "# HELP a_requests_total Begun.\n# TYPE a_requests_total counter\na_requests_total{x=\"# EOF\"} 3\n\
                      # HELP b_seconds Waits.\n# TYPE b_seconds histogram\nb_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(plain(open), wanted);
    }
}
