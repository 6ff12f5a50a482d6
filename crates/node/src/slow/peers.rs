//! Finds targets that behave unlike their peers, every five seconds (user guide for Application Load Balancers,
//! "Automatic Target Weights").

use super::{Group, Node, Output, Target};
use forebay_balance::anomaly::{Change, Counts, FEWEST_HEALTHY, LOOK, Latencies, Policy, Subject, look};
use forebay_model::Anomaly;
use forebay_units::Mono;
use std::collections::BTreeMap;

/// A change of one target of a group: id, port and change.
type Changed = (String, u16, Change);

impl Group {
    fn policy(&self) -> Policy {
        let settings = &self.blueprint.settings;
        Policy {
            mitigate: settings.anomaly_mitigation && settings.algorithm.needs().weights_of_peers,
            latency: settings.anomaly_latency,
        }
    }

    fn look_at_peers(&mut self) -> Vec<Changed> {
        let policy = self.policy();
        let cross_zone = self.blueprint.settings.cross_zone;
        let mut sides: BTreeMap<Option<String>, u64> = BTreeMap::new();
        let mut changes = Vec::new();
        let mut subjects = Vec::new();
        let mut names = Vec::new();
        for ((id, port), target) in &mut self.targets {
            // Also for targets that are skipped below: what they did while they were out must not count when they
            // return.
            let (counts, latencies) = target.since_last_look(policy.latency);
            if !target.tracker.is_healthy() || target.blueprint.draining {
                let forgotten = target.peers.forget();
                changes.extend(forgotten.map(|change| (id.clone(), *port, change)));
                continue;
            }
            let zone = target.blueprint.zone.clone().filter(|_| !cross_zone);
            let next = sides.len() as u64;
            let side = *sides.entry(zone).or_insert(next);
            names.push((id, *port));
            subjects.push(Subject {
                record: &mut target.peers,
                counts,
                latencies,
                side,
            });
        }
        for (index, change) in look(&mut subjects, policy) {
            let (id, port) = names[index];
            changes.push((id.clone(), port, change));
        }
        changes
    }
}

impl Target {
    /// Its counts and latencies since the last look; zero at the first one.
    fn since_last_look(&mut self, latency: bool) -> (Counts, Option<Latencies>) {
        let counts = self.stats.counts();
        let before = self.counted.replace(counts).unwrap_or(counts);
        let counts = Counts {
            requests: counts.requests.saturating_sub(before.requests),
            errors: counts.errors.saturating_sub(before.errors),
            connections: counts.connections.saturating_sub(before.connections),
        };
        if !latency {
            self.timed = None;
            return (counts, None);
        }
        let all = self.stats.all_latencies();
        let before = self.timed.replace(Box::new(all.clone()));
        let mut window = all;
        let before = before.map_or_else(|| window.clone(), |before| *before);
        for (count, before) in window.0.iter_mut().zip(&before.0) {
            *count = count.wrapping_sub(*before);
        }
        (counts, Some(window))
    }
}

impl Node {
    /// Whether any group has enough targets to compare, or a target whose verdict must be dropped because it no longer
    /// has.
    pub(super) fn has_peers(&self) -> bool {
        let judged = |target: &Target| target.peers.is_anomalous() || target.peers.is_mitigated();
        let mut groups = self.groups.values();
        groups.any(|group| {
            (group.blueprint.in_use && group.targets.len() >= FEWEST_HEALTHY)
                || group.targets.values().any(judged)
        })
    }

    pub(super) fn look_at_peers(&mut self, now: Mono) {
        self.peers_look = self.has_peers().then(|| now + LOOK);
        let mut changed = Vec::new();
        for (arn, group) in &mut self.groups {
            let changes = group.look_at_peers();
            if !changes.is_empty() {
                changed.push((arn.clone(), changes));
            }
        }
        for (group, changes) in changed {
            self.reweigh(now, &group);
            for (target, port, change) in changes {
                self.outputs.push_back(Output::Weighed {
                    group: group.clone(),
                    target,
                    port,
                    change,
                });
            }
        }
    }

    /// How a target compares with its peers; `None` if it is not registered.
    pub fn anomaly(&self, group: &str, target: &str, port: u16) -> Option<Anomaly> {
        let group = self.groups.get(group)?;
        let target = group.targets.get(&(target.to_owned(), port))?;
        Some(Anomaly {
            anomalous: target.peers.is_anomalous(),
            mitigated: target.peers.is_mitigated(),
            reason: target.peers.change().map(|change| change.to_string()),
        })
    }
}
