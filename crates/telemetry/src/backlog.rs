//! Groups of workers on the planner page: why they have the capacity that they have.

use forebay_scaling::backlog::Plan;
use serde_json::{Value, json};

/// A group that is sized by its workers' queue, as of the last look at it.
#[derive(Clone, Debug)]
pub struct BacklogMetrics {
    /// The group's region.
    pub region: String,
    /// The group's name.
    pub group: String,
    /// The queue's ARN.
    pub queue_arn: String,
    /// The planner only reports what it would do.
    pub is_dry_run: bool,
    /// How its costs are bounded, in words, if they are.
    pub costs: Option<String>,
    /// The latest plan; none if the queue does not exist.
    pub plan: Option<Plan>,
    /// How often capacity was added.
    pub orders: u64,
    /// How often capacity was removed.
    pub releases: u64,
}

impl BacklogMetrics {
    fn text(&self) -> String {
        let head = format!("queue         {}", self.queue_arn);
        match &self.plan {
            Some(plan) => format!("{head}\n{}", plan.explain()),
            None => format!(
                "{head}\nThis queue does not exist, so nothing is ordered and nothing taken away. Make it (aws sqs create-queue), or name \
                 another one by the group's tag forebay:backlog-queue."
            ),
        }
    }
}

pub(crate) fn group(backlog: &BacklogMetrics) -> Value {
    let mut figures = json!({
        "group": backlog.group,
        "region": backlog.region,
        "queue": backlog.queue_arn,
        "queue_exists": backlog.plan.is_some(),
        "dry_run": backlog.is_dry_run,
        "costs": backlog.costs,
        "orders": backlog.orders,
        "releases": backlog.releases,
        "text": backlog.text(),
    });
    let (Some(plan), Some(all)) = (&backlog.plan, figures.as_object_mut()) else {
        return figures;
    };
    let (work, fleet) = (&plan.work, &plan.workers.fleet);
    let more = json!({
        "desired": fleet.desired,
        "ready": fleet.ready,
        "pending_seconds": fleet.pending.iter().map(core::time::Duration::as_secs_f64).collect::<Vec<_>>(),
        "minimum": fleet.minimum,
        "maximum": fleet.maximum,
        "protected": plan.workers.protected,
        "start_up_seconds": fleet.start_up.map(|time| time.as_secs_f64()),
        "visible": work.visible,
        "in_flight": work.in_flight,
        "delayed": work.delayed,
        "oldest_seconds": work.oldest.map(|age| age.as_secs_f64()),
        "latency_seconds": plan.settings.latency.as_secs_f64(),
        "concurrency": plan.settings.concurrency,
        "processing_seconds": plan.processing,
        "spread_seconds": plan.spread,
        "lead_seconds": plan.lead.as_secs_f64(),
        "rounds": plan.rounds,
        "shortfall": plan.shortfall(),
        "needed_by_backlog": plan.by_backlog,
        "needed_by_guard": plan.guard.needed,
        "late": plan.guard.late,
        "needed": plan.needed,
        "greatest_need": plan.greatest,
        "hold_seconds": plan.hold.as_secs_f64(),
        "verdict": plan.verdict.text(),
        "order": plan.desired,
    });
    if let Value::Object(more) = more {
        all.extend(more);
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use forebay_scaling::backlog::{Planner, Settings, Work, Workers};
    use forebay_scaling::planner::Fleet;
    use forebay_units::Mono;

    #[test]
    fn a_group_is_told_in_figures_and_in_words() {
        let work = Work {
            visible: 50,
            ..Work::default()
        };
        let workers = Workers {
            fleet: Fleet {
                maximum: 100,
                start_up: Some(Duration::from_secs(2)),
                ..Fleet::default()
            },
            ..Workers::default()
        };
        let settings = Settings {
            processing: Some(25.0),
            ..Settings::default()
        };
        let mut told = BacklogMetrics {
            region: "local-1".to_owned(),
            group: "g".to_owned(),
            queue_arn: "arn:aws:sqs:local-1:000000000000:jobs".to_owned(),
            is_dry_run: false,
            costs: None,
            plan: Some(Planner::new().plan(Mono::ZERO, &work, &[], &workers, &settings)),
            orders: 1,
            releases: 0,
        };
        let page = group(&told);
        assert_eq!((&page["order"], &page["rounds"]), (&json!(5), &json!(11)));
        let text = page["text"].as_str().unwrap();
        for wanted in [
            ":jobs",
            "0 -> 5: more is ordered",
            "50 visible, 0 in flight",
            "25.000 s a message, as told",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        told.plan = None;
        let page = group(&told);
        assert_eq!(page["queue_exists"], false);
        assert!(
            page["text"]
                .as_str()
                .unwrap()
                .contains("This queue does not exist")
        );
    }
}
