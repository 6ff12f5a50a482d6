//! Surge queues, slots and control channels of groups that have them.

use crate::histogram::Histogram;
use crate::labels::dimension;
use forebay_node::{Figures, GroupGate, Node, Why};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::Ordering::Relaxed;

/// Upper bounds of the wait histogram, in seconds.
const WAITS: [f64; 17] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    target_group: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    target_group: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabels {
    target_group: String,
    why: &'static str,
}

/// Adds them to the registry.
pub(crate) fn queues(node: &Node, registry: &mut Registry) {
    let gates: Vec<(String, Figures, &GroupGate)> = node
        .gates()
        .map(|(arn, gate)| (dimension(arn), gate.figures(), &**gate))
        .collect();
    gauges(&gates, registry);
    counters(&gates, registry);
    channels(&gates, registry);
}

type Gates<'a> = [(String, Figures, &'a GroupGate)];

fn gauges(gates: &Gates<'_>, registry: &mut Registry) {
    let length = Family::<GroupLabels, Gauge>::default();
    let slots = Family::<StateLabels, Gauge>::default();
    registry.register(
        "surge_queue_length",
        "Requests that wait for a slot (SurgeQueueLength)",
        length.clone(),
    );
    registry.register(
        "slots",
        "Slots of a group's targets, in use and free; their utilisation is busy / (busy + free)",
        slots.clone(),
    );
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for (target_group, figures, _) in gates {
        let group = GroupLabels {
            target_group: target_group.clone(),
        };
        length.get_or_create(&group).set(number(figures.waiting as u64));
        for (state, count) in [("busy", figures.busy), ("free", figures.free)] {
            let labels = StateLabels {
                target_group: target_group.clone(),
                state,
            };
            slots.get_or_create(&labels).set(number(count));
        }
    }
}

fn counters(gates: &Gates<'_>, registry: &mut Registry) {
    let spilled = Family::<WhyLabels, Counter>::default();
    let admitted = Family::<GroupLabels, Counter>::default();
    let queued = Family::<GroupLabels, Counter>::default();
    let left = Family::<GroupLabels, Counter>::default();
    let waits = Family::<GroupLabels, Histogram>::default();
    registry.register(
        "spillover",
        "Requests that got no slot and were answered 503, by reason (SpilloverCount)",
        spilled.clone(),
    );
    registry.register("slots_taken", "Requests that got a slot", admitted.clone());
    registry.register("queued", "Requests that got one after a wait", queued.clone());
    registry.register(
        "queue_left",
        "Requests whose client left while they waited",
        left.clone(),
    );
    registry.register(
        "queue_wait_seconds",
        "How long those waited that got a slot after a wait",
        waits.clone(),
    );
    for (target_group, figures, _) in gates {
        let group = GroupLabels {
            target_group: target_group.clone(),
        };
        for why in Why::ALL {
            let labels = WhyLabels {
                target_group: target_group.clone(),
                why: why.word(),
            };
            spilled.get_or_create(&labels).inc_by(figures.refused_for(why));
        }
        admitted.get_or_create(&group).inc_by(figures.admitted);
        queued.get_or_create(&group).inc_by(figures.queued);
        left.get_or_create(&group).inc_by(figures.gone);
        let waited = &figures.waits;
        waits
            .get_or_create(&group)
            .fill(&WAITS, waited.buckets(), waited.sum());
    }
}

/// ALB's seven metrics of Target Optimizer.
fn channels(gates: &Gates<'_>, registry: &mut Registry) {
    type Read = fn(&Figures, &GroupGate) -> u64;
    let counters: [(&str, &str, Read); 5] = [
        (
            "target_control_requests",
            "Requests sent to agents (TargetControlRequestCount)",
            |_, gate| gate.channels.requests.load(Relaxed),
        ),
        (
            "target_control_request_rejects",
            "Requests refused because no agent had a slot for them (TargetControlRequestRejectCount)",
            |figures, _| figures.refused.iter().sum(),
        ),
        (
            "target_control_new_channels",
            "Control channels made (TargetControlNewChannelCount)",
            |_, gate| gate.channels.opened.load(Relaxed),
        ),
        (
            "target_control_channel_errors",
            "Control channels that broke or could not be made (TargetControlChannelErrorCount)",
            |_, gate| gate.channels.errors.load(Relaxed),
        ),
        (
            "target_control_processed_bytes",
            "Bytes of requests to agents and their answers (TargetControlProcessedBytes)",
            |_, gate| gate.channels.bytes.load(Relaxed),
        ),
    ];
    let gauges: [(&str, &str, Read); 2] = [
        (
            "target_control_active_channels",
            "Control channels that stand (TargetControlActiveChannelCount)",
            |_, gate| gate.channels.active.load(Relaxed) as u64,
        ),
        (
            "target_control_work_queue_length",
            "Permits at hand (TargetControlWorkQueueLength)",
            |figures, _| figures.free,
        ),
    ];
    let controlled = || gates.iter().filter(|entry| entry.2.is_controlled());
    let labels = |target_group: &str| GroupLabels {
        target_group: target_group.to_owned(),
    };
    for (name, help, read) in counters {
        let family = Family::<GroupLabels, Counter>::default();
        registry.register(name, help, family.clone());
        for (group, figures, gate) in controlled() {
            family.get_or_create(&labels(group)).inc_by(read(figures, gate));
        }
    }
    for (name, help, read) in gauges {
        let family = Family::<GroupLabels, Gauge>::default();
        registry.register(name, help, family.clone());
        for (group, figures, gate) in controlled() {
            let value = i64::try_from(read(figures, gate)).unwrap_or(i64::MAX);
            family.get_or_create(&labels(group)).set(value);
        }
    }
}
