//! The groups that have a gate, the targets that may be picked there, and the channels to agents.

use super::{Group, Node, Output};
use crate::gate::{ChannelOrder, GroupGate};
use crate::ids::ZoneId;
use crate::pressure::Pressure;
use crate::snapshot::{Eligible, GroupView};
use core::time::Duration;
use forebay_admission::{Limit, Member, Rules};
use forebay_model::{Algorithm, Concurrency, QueueSettings};
use forebay_units::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often gates are checked for what becomes due by itself.
pub(super) const GATE_LOOK: Duration = Duration::from_millis(100);

fn rules(queue: &QueueSettings, algorithm: Algorithm) -> Rules {
    Rules {
        limit: match queue.concurrency {
            Concurrency::Open => Limit::Open,
            Concurrency::Agent => Limit::Permits,
            Concurrency::Fixed(limit) => Limit::Fixed(limit),
            Concurrency::Auto => Limit::Auto(Default::default()),
        },
        length: queue.length as usize,
        wait: queue.wait,
        balanced: algorithm.needs().balanced_slots,
    }
}

/// The settings of a gate that is about to be removed: all waiting requests are sent out.
fn open() -> Rules {
    Rules {
        limit: Limit::Open,
        length: 0,
        wait: Duration::ZERO,
        balanced: false,
    }
}

impl Group {
    /// Makes the gate that the blueprint asks for, or changes its settings. A gate that is no longer asked for lets all
    /// waiting requests through and is removed.
    pub(super) fn take_gate(&mut self, now: Mono, pressure: &Pressure) {
        let settings = &self.blueprint.settings;
        match (&settings.queue, &self.gate) {
            (Some(queue), Some(gate)) => gate.set_rules(now, rules(queue, settings.algorithm)),
            (Some(queue), None) => {
                self.gate = Some(Arc::new(GroupGate::new(
                    rules(queue, settings.algorithm),
                    pressure.clone(),
                )));
            }
            (None, Some(gate)) => {
                gate.set_rules(now, open());
                // Without a target they could not be let through; they are refused instead of waiting at a gate that no
                // longer exists.
                gate.dissolve(now);
                self.gate = None;
            }
            (None, None) => {}
        }
    }
}

/// Gives the group's gate its members.
pub(super) fn arrange(now: Mono, view: &GroupView) {
    let Some(gate) = &view.gate else { return };
    let mut members = BTreeMap::new();
    let mut add = |zone: Option<ZoneId>, eligible: &Eligible| {
        for &index in &eligible.targets {
            let Some(target) = view.targets.get(index as usize) else {
                continue;
            };
            members
                .entry(target.id.0)
                // Eligible in several zones: it may be used from all of them.
                .and_modify(|member: &mut Member<_>| member.zone = None)
                .or_insert_with(|| Member {
                    key: target.id.0,
                    zone: zone.map(|zone| zone.0),
                    weight: target.weight,
                    target: Arc::clone(target),
                });
        }
    };
    match &view.zones {
        None => add(None, &view.eligible),
        Some(zones) => zones
            .iter()
            .for_each(|(zone, eligible)| add(Some(*zone), eligible)),
    }
    gate.arrange(now, members.into_values().collect());
}

impl Node {
    /// Orders the channels that must be open, if they have changed.
    pub(super) fn order_channels(&mut self) {
        let mut wanted = Vec::new();
        for group in self.groups.values() {
            let (Some(gate), Some(port)) = (&group.gate, group.blueprint.settings.control_port) else {
                continue;
            };
            if !group.blueprint.in_use {
                continue;
            }
            for target in group.targets.values() {
                // A draining target keeps its channel: its agent still counts what is in flight.
                if let Some(mut address) = target.blueprint.address {
                    address.set_port(port);
                    wanted.push(ChannelOrder {
                        target: target.id,
                        address,
                        gate: Arc::clone(gate),
                    });
                }
            }
        }
        let keys = |orders: &[ChannelOrder]| -> Vec<_> {
            orders.iter().map(|order| (order.target, order.address)).collect()
        };
        if keys(&wanted) != keys(&self.channels) {
            self.channels.clone_from(&wanted);
            self.outputs.push_back(Output::Channels(wanted));
        }
    }

    /// Lets gates handle what becomes due by itself.
    pub(super) fn look_at_gates(&mut self, now: Mono) {
        let gates = self.groups.values().filter_map(|group| group.gate.as_ref());
        let mut any = false;
        for gate in gates {
            gate.tick(now);
            any = true;
        }
        self.gate_look = any.then_some(now + GATE_LOOK);
    }

    /// The ARN and gate of each group that has a gate.
    pub fn gates(&self) -> impl Iterator<Item = (&str, &Arc<GroupGate>)> {
        self.groups
            .iter()
            .filter_map(|(arn, group)| Some((arn.as_str(), group.gate.as_ref()?)))
    }
}
