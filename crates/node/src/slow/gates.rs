//! Which groups have a gate, who may be picked there, and which channels to agents must stand.

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

/// How often gates are looked at for what is due by itself.
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

/// What a group without a queue has left of its gate: whoever waits there goes out.
fn open() -> Rules {
    Rules {
        limit: Limit::Open,
        length: 0,
        wait: Duration::ZERO,
        balanced: false,
    }
}

impl Group {
    /// Makes the gate that the blueprint asks for, or changes its rules. A gate that is asked for no longer lets everyone
    /// through and is forgotten.
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
                gate.dissolve(now);
                self.gate = None;
            }
            (None, None) => {}
        }
    }
}

/// Tells the group's gate who may be picked.
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
                // In several zones: in all.
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
    /// Says which channels must stand, if that has changed.
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
                // A draining target's channel stays: its agent still counts what is in flight.
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

    /// Lets gates do what is due by itself.
    pub(super) fn look_at_gates(&mut self, now: Mono) {
        let gates = self.groups.values().filter_map(|group| group.gate.as_ref());
        let mut any = false;
        for gate in gates {
            gate.tick(now);
            any = true;
        }
        self.gate_look = any.then_some(now + GATE_LOOK);
    }

    /// Every group's ARN and gate, where it has one.
    pub fn gates(&self) -> impl Iterator<Item = (&str, &Arc<GroupGate>)> {
        self.groups
            .iter()
            .filter_map(|(arn, group)| Some((arn.as_str(), group.gate.as_ref()?)))
    }
}
