//! TLS handshakes, of listeners with clients and of targets with us.

use crate::labels::dimension;
use forebay_node::{ListenerStats, Node};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target_group: String,
    target: String,
}

/// Adds the counters to the registry.
pub(crate) fn handshakes(node: &Node, registry: &mut Registry) {
    let mut counter = |name: &str, help: &str, read: fn(&ListenerStats) -> &AtomicU64| {
        let family = Family::<ListenerLabels, Counter>::default();
        registry.register(name, help, family.clone());
        for (arn, shards) in node.listeners() {
            let listener = dimension(arn);
            let count = shards.iter().map(|shard| read(shard).load(Relaxed)).sum();
            family.get_or_create(&ListenerLabels { listener }).inc_by(count);
        }
    };
    counter(
        "tls_handshakes",
        "TLS handshakes that led to a connection",
        |stats| &stats.handshakes,
    );
    counter("tls_resumed", "TLS handshakes that resumed a session", |stats| {
        &stats.resumed
    });
    counter(
        "tls_handshake_failures",
        "TLS handshakes that failed (ClientTLSNegotiationErrorCount)",
        |stats| &stats.handshake_failures,
    );
    let targets = Family::<TargetLabels, Counter>::default();
    registry.register(
        "target_tls_errors",
        "TLS handshakes with a target that failed (TargetTLSNegotiationErrorCount)",
        targets.clone(),
    );
    for (arn, id, port, _, stats) in node.targets() {
        let labels = TargetLabels {
            target_group: dimension(arn),
            target: format!("{id}:{port}"),
        };
        let count = stats
            .totals
            .iter()
            .map(|totals| totals.tls_errors.load(Relaxed))
            .sum();
        targets.get_or_create(&labels).inc_by(count);
    }
}
