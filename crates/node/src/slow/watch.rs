//! Scheduled probes, refused connections and drains.

use super::{CUT_GRACE, DRAIN_LOOK, DRAIN_REPORT, Event, Node, Output, Target};
use crate::ids::TargetId;
use crate::probe_order::{FunctionProbe, ProbeOrder};
use core::sync::atomic::Ordering::Relaxed;
use forebay_model::{GroupBlueprint, HealthPort, ProbeKind};
use forebay_units::Mono;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Node {
    /// Handles an event.
    pub fn handle(&mut self, now: Mono, event: Event) {
        self.handle_all(now, [event]);
    }

    /// Handles events that came together. Their changes are weighed and published once, so that a group with many
    /// targets that become healthy at once is rebuilt once, not for each of them.
    pub fn handle_all(&mut self, now: Mono, events: impl IntoIterator<Item = Event>) {
        let mut changed = BTreeSet::new();
        for event in events {
            let arn = self.take_event(now, event);
            changed.extend(arn.filter(|arn| !changed.contains(arn)));
        }
        for arn in &changed {
            self.reweigh(now, arn);
        }
        self.publish(now);
    }

    /// Handles an event; returns the ARN of the group if a target's state has changed.
    fn take_event(&mut self, now: Mono, event: Event) -> Option<String> {
        let (Event::Probed { target, .. } | Event::Refused { target }) = event;
        let (arn, key) = self.by_id.get(&target)?;
        let group = self.groups.get_mut(arn)?;
        let blueprint = Arc::clone(&group.blueprint);
        let check = &blueprint.health;
        let target = group.targets.get_mut(key)?;
        let changed = match event {
            // A result may come in after the target stopped being probed; then it no longer counts.
            Event::Probed { result, .. } if target.due.is_some() => {
                let changed = target.probed(now, result, check);
                // Until it has passed once, a target is probed more often than its settings say. Not so a function:
                // each probe invokes it.
                let since = now.since(target.probed_since);
                if blueprint.probe != ProbeKind::Function
                    && let Some(soon) = target.tracker.first_look(since, check)
                    && let Some(due) = target.due.filter(|due| *due > now + soon)
                {
                    self.probes.remove(&(due, target.id));
                    self.probes.insert((now + soon, target.id));
                    target.due = Some(now + soon);
                }
                changed
            }
            // Only while it is probed: nothing else could bring it back.
            Event::Refused { .. } if target.due.is_some() && target.tracker.is_healthy() => {
                let changed = target.tracker.refused();
                // Probe it soon: after a restart it should not be out for a whole interval.
                if let Some(due) = target.due.replace(now + target.tracker.interval(check)) {
                    self.probes.remove(&(due, target.id));
                }
                self.probes.extend(target.due.map(|due| (due, target.id)));
                changed
            }
            _ => false,
        };
        if !changed {
            return None;
        }
        group.view = None;
        group.ramp(now, key);
        self.stale = true;
        Some(blueprint.arn.clone())
    }

    /// When `handle_deadline` must be called next.
    pub fn next_deadline(&self) -> Option<Mono> {
        let probe = self.probes.first().map(|probe| probe.0);
        [
            probe,
            self.drain_look,
            self.ramp_look,
            self.peers_look,
            self.gate_look,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due. A late call does no harm.
    pub fn handle_deadline(&mut self, now: Mono) {
        while let Some(&(due, id)) = self.probes.first() {
            if due > now {
                break;
            }
            self.probes.pop_first();
            self.order_probe(now, due, id);
        }
        if self.drain_look.is_some_and(|look| look <= now) {
            self.look_at_drains(now);
        }
        if self.ramp_look.is_some_and(|look| look <= now) {
            self.look_at_ramps(now);
        }
        if self.peers_look.is_some_and(|look| look <= now) {
            self.look_at_peers(now);
        }
        if self.gate_look.is_some_and(|look| look <= now) {
            self.look_at_gates(now);
        }
    }

    fn order_probe(&mut self, now: Mono, due: Mono, id: TargetId) {
        let Some((arn, key)) = self.by_id.get(&id) else {
            return;
        };
        let Some(group) = self.groups.get_mut(arn) else {
            return;
        };
        let blueprint = Arc::clone(&group.blueprint);
        let check = &blueprint.health;
        let Some(target) = group.targets.get_mut(key) else {
            return;
        };
        let Some(order) = order(&blueprint, target) else {
            return;
        };
        target.tracker.probing();
        // The schedule is fixed: the time of an answer does not shift it. After a stall, missed probes are not made up.
        let interval = target.tracker.interval(check);
        let next = if due + interval > now {
            due + interval
        } else {
            now + interval
        };
        target.due = Some(next);
        self.probes.insert((next, id));
        self.outputs.push_back(order);
    }

    fn look_at_drains(&mut self, now: Mono) {
        let mut more = false;
        for (arn, group) in &mut self.groups {
            let delay = group.blueprint.settings.deregistration_delay;
            for ((name, port), target) in &mut group.targets {
                let Some(since) = target.draining_since else {
                    continue;
                };
                more = true;
                if target.drained.is_some_and(|at| now.since(at) < DRAIN_REPORT) {
                    continue;
                }
                // A drain ends when the target is idle, not only after its delay (docs/decisions/0003).
                let idle = target.stats.in_flight.load(Relaxed) == 0;
                let over = now.since(since) >= delay;
                if over {
                    target.stats.cut.store(true, Relaxed);
                }
                if idle || now.since(since) >= delay + CUT_GRACE {
                    target.drained = Some(now);
                    self.outputs.push_back(Output::Drained {
                        group: arn.clone(),
                        target: name.clone(),
                        port: *port,
                    });
                }
            }
        }
        self.drain_look = more.then_some(now + DRAIN_LOOK);
    }
}

/// The probe of this target; `None` if it has no address.
fn order(group: &GroupBlueprint, target: &Target) -> Option<Output> {
    let check = &group.health;
    if group.probe == ProbeKind::Function {
        return Some(Output::ProbeFunction(FunctionProbe {
            target: target.id,
            function: target.blueprint.id.clone(),
            group: group.arn.clone(),
            path: check.path.clone(),
            multi_value_headers: group.settings.multi_value_headers,
            timeout: check.timeout,
        }));
    }
    let mut address = target.blueprint.address?;
    if let HealthPort::At(port) = check.port {
        address.set_port(port);
    }
    Some(Output::Probe(ProbeOrder {
        target: target.id,
        address,
        path: check.path.clone(),
        tls: group.probe_tls(),
        kind: group.probe,
        proxy_protocol: group.settings.proxy_protocol,
        timeout: check.timeout,
    }))
}
