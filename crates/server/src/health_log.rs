//! Logs at the default level what an operator must know, once each time: targets that fail and recover, groups without a
//! healthy target, error answers that were made here instead of by a target.

use forebay_model::HealthState;
use forebay_node::{Node, Reason};
use forebay_proxy::DataPlane;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Time between two looks; what comes and goes in between is left to metrics and request logs.
const LOOK: Duration = Duration::from_secs(1);
/// Shortest time between two lines about a load balancer's answers for the same reason.
const TELLING: Duration = Duration::from_secs(10);

/// Looks as long as the data plane exists.
pub(crate) fn start(plane: &Arc<DataPlane>) {
    let plane: Weak<DataPlane> = Arc::downgrade(plane);
    tokio::spawn(async move {
        let mut watch = HealthLog::default();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let Some(plane) = plane.upgrade() else {
                return;
            };
            let reading = plane.with_node(Observed::of);
            drop(plane);
            for line in watch.look(Instant::now(), reading) {
                tracing::warn!("{line}");
            }
        }
    });
}

/// The observation of one moment.
#[derive(Debug, Default)]
struct Observed {
    /// State and reason, by group and target.
    targets: BTreeMap<(String, String), (HealthState, String)>,
    /// Number of answers since the beginning, by load balancer and reason.
    failures: BTreeMap<(String, Reason), u64>,
}

impl Observed {
    fn of(node: &Node) -> Observed {
        let mut reading = Observed::default();
        for (arn, id, port, _, _) in node.targets() {
            if let Some(health) = node.health(arn, id, port) {
                let why = health.reason.as_ref().map_or("", |reason| reason.code());
                let key = (short(arn), format!("{id}:{port}"));
                reading.targets.insert(key, (health.state, why.to_owned()));
            }
        }
        for (arn, shards) in node.balancers() {
            for (index, reason) in Reason::IN_PLACE_OF_A_TARGET.into_iter().enumerate() {
                let count: u64 = shards
                    .iter()
                    .map(|shard| shard.failures[index].load(Relaxed))
                    .sum();
                if count > 0 {
                    reading.failures.insert((short(arn), reason), count);
                }
            }
        }
        reading
    }

    /// Groups with targets of which none is healthy.
    fn down(&self) -> Vec<&str> {
        let mut groups: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
        for ((group, _), (state, _)) in &self.targets {
            let (healthy, unhealthy) = groups.entry(group).or_default();
            *healthy |= !matches!(state, HealthState::Unhealthy | HealthState::Draining);
            *unhealthy |= *state == HealthState::Unhealthy;
        }
        let down = groups
            .into_iter()
            .filter(|(_, (healthy, unhealthy))| *unhealthy && !healthy);
        down.map(|(group, _)| group).collect()
    }
}

/// `NAME/ID` of a load balancer or a target group.
fn short(arn: &str) -> String {
    let mut parts: Vec<&str> = arn.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}

/// What was seen and logged before.
#[derive(Debug, Default)]
struct HealthLog {
    before: Observed,
    told: BTreeMap<(String, Reason), (u64, Instant)>,
}

impl HealthLog {
    /// The lines for this observation.
    fn look(&mut self, now: Instant, reading: Observed) -> Vec<String> {
        let mut lines = Vec::new();
        for (key @ (group, target), (state, why)) in &reading.targets {
            let before = self.before.targets.get(key).map(|before| before.0);
            match (before, *state) {
                (Some(HealthState::Unhealthy), HealthState::Healthy) => {
                    lines.push(format!("target {target} of {group} is healthy again"));
                }
                (before, HealthState::Unhealthy) if before != Some(HealthState::Unhealthy) => {
                    lines.push(format!("target {target} of {group} is unhealthy: {why}"));
                }
                _ => {}
            }
        }
        let before = self.before.down();
        for group in reading.down().into_iter().filter(|group| !before.contains(group)) {
            lines.push(format!(
                "no target of {group} is healthy: requests go to all of them"
            ));
        }
        // Entries of load balancers that are gone are dropped.
        self.told.retain(|key, _| reading.failures.contains_key(key));
        for (key @ (balancer, reason), &count) in &reading.failures {
            let told = self.told.get(key).copied();
            let (before, due) = told.map_or((0, true), |(before, at)| (before, now >= at + TELLING));
            let more = count.saturating_sub(before);
            if more > 0 && due {
                self.told.insert(key.clone(), (count, now));
                lines.push(format!(
                    "{balancer} answered {} itself: {more} requests, {}",
                    reason.status(),
                    reason.word()
                ));
            }
        }
        self.before = reading;
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(states: &[HealthState], refused: u64) -> Observed {
        let targets = states.iter().enumerate().map(|(index, &state)| {
            let key = ("shop/1".to_owned(), format!("10.0.0.{index}:80"));
            (key, (state, "Target.Timeout".to_owned()))
        });
        Observed {
            targets: targets.collect(),
            failures: BTreeMap::from([(("web/2".to_owned(), Reason::Refused), refused)]),
        }
    }

    /// Nothing was once logged at the default level, whatever happened to targets and requests.
    #[test]
    fn changes_are_told_once_and_failures_not_too_often() {
        use HealthState::{Healthy, Initial, Unhealthy};
        let (mut watch, now) = (HealthLog::default(), Instant::now());
        assert_eq!(watch.look(now, reading(&[Initial, Initial], 0)).len(), 0);
        assert_eq!(watch.look(now, reading(&[Healthy, Healthy], 0)).len(), 0);
        assert_eq!(
            watch.look(now, reading(&[Unhealthy, Healthy], 3)),
            [
                "target 10.0.0.0:80 of shop/1 is unhealthy: Target.Timeout",
                "web/2 answered 502 itself: 3 requests, refused"
            ]
        );
        assert_eq!(
            watch.look(now, reading(&[Unhealthy, Unhealthy], 5)),
            [
                "target 10.0.0.1:80 of shop/1 is unhealthy: Target.Timeout",
                "no target of shop/1 is healthy: requests go to all of them"
            ]
        );
        assert_eq!(
            watch.look(now + TELLING, reading(&[Unhealthy, Healthy], 7)),
            [
                "target 10.0.0.1:80 of shop/1 is healthy again",
                "web/2 answered 502 itself: 4 requests, refused"
            ]
        );
        assert_eq!(
            watch
                .look(now + TELLING * 2, reading(&[Unhealthy, Healthy], 7))
                .len(),
            0
        );
    }
}
