//! What becomes due by time alone, without a call: `tick` decides, and `apply` carries it out. Both are pure; the
//! caller supplies the clock.

use crate::autoscaling;
use crate::cloudwatch::changes::{self, AlarmCommand};
use crate::cloudwatch::evaluate::due;
use crate::elbv2::draining::{Drain, drains, finish_deregistration};
use crate::ports::{Actions, Left, Ports};
use crate::state::State;
use core::time::Duration;
use forebay_units::Wall;

/// When a drain's delay is over, the data plane aborts the requests that are still in flight. This is how long that may
/// take.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// Something that is due. To add a kind: a variant, its condition in [`tick`], and its effect in [`apply`].
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A target has drained and is removed from its group.
    FinishDeregistration {
        /// The group's ARN.
        group_arn: String,
        /// The id that the target was registered by.
        id: String,
        /// The target's port.
        port: u16,
        /// Why the drain has ended.
        why: DrainEnd,
    },
    /// An alarm changes its state or its actions are due.
    Alarm(AlarmCommand),
    /// A topic is notified of something that happened to an Auto Scaling group.
    Tell {
        /// The topic's region.
        region: String,
        /// The notice's key.
        key: String,
    },
    /// A region's instances or Auto Scaling groups need attention.
    Settle {
        /// The region.
        region: String,
    },
}

/// Why a drain has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainEnd {
    /// No request is in flight.
    Idle,
    /// The deregistration delay is over.
    DelayOver,
}

/// Everything that is due at `now`, given what the data plane has observed. For recurring work (alarms), what became
/// due since `before`, the time of the previous call. Calling late or too often does no harm.
pub fn tick(state: &State, ports: &Ports<'_>, before: Wall, now: Wall) -> Vec<Command> {
    let mut commands = drained(state, ports, now);
    commands.extend(notices(state));
    let alarms = due(state, ports.datapoints, before, now);
    commands.extend(alarms.into_iter().map(Command::Alarm));
    let mut regions = autoscaling::due::due(state, ports, now);
    // An alarm may change a group's capacity.
    let alarmed = commands.iter().filter_map(|command| match command {
        Command::Alarm(command) => Some(command.region()),
        _ => None,
    });
    for region in alarmed {
        let has_groups = |region: &crate::Region| !region.scaling_groups.is_empty();
        if state.existing_region(region).is_some_and(has_groups)
            && !regions.iter().any(|known| known == region)
        {
            regions.push(region.to_owned());
        }
    }
    commands.extend(regions.into_iter().map(|region| Command::Settle { region }));
    commands
}

fn notices(state: &State) -> impl Iterator<Item = Command> + use<'_> {
    state.regions().flat_map(|(name, region)| {
        region.notices.keys().map(|key| Command::Tell {
            region: name.to_owned(),
            key: key.clone(),
        })
    })
}

/// The state without a notice, which is sent now. It is removed even if sending fails, so it is not retried; whoever
/// sends it logs the failure.
fn told(state: &State, region: &str, key: &str, actions: &dyn Actions) -> State {
    let known = state.existing_region(region);
    let Some(notice) = known.and_then(|region| region.notices.get(key)) else {
        return state.clone();
    };
    let _ = actions.tell(&notice.topic, &notice.notification());
    let mut next = state.clone();
    next.region_mut(region).notices.remove(key);
    next.grow();
    next
}

fn drained(state: &State, ports: &Ports<'_>, now: Wall) -> Vec<Command> {
    let drains = drains(state);
    if drains.is_empty() {
        return Vec::new();
    }
    let left = ports.observations.left_in_flight(&drains);
    drains
        .into_iter()
        .zip(left)
        .filter_map(|(drain, left)| drain_end(drain, left, now))
        .collect()
}

fn drain_end(drain: Drain, left: Option<Left>, now: Wall) -> Option<Command> {
    // The wall clock may have been set forward. A target with requests in flight has its full delay by the data plane's
    // monotonic clock, too.
    let is_cut = left.is_none_or(|left| left.is_cut);
    let why = if left.is_some_and(|left| left.in_flight == 0) {
        DrainEnd::Idle
    } else if is_cut && now.since(drain.since) >= drain.delay + CUT_GRACE {
        DrainEnd::DelayOver
    } else {
        return None;
    };
    Some(Command::FinishDeregistration {
        group_arn: drain.group_arn,
        id: drain.id,
        port: drain.port,
        why,
    })
}

/// The state after these commands. A command whose object has changed in the meantime (a target that was registered
/// again) has no effect.
pub fn apply(
    state: &State,
    commands: &[Command],
    ports: &Ports<'_>,
    actions: &dyn Actions,
    now: Wall,
) -> State {
    commands
        .iter()
        .fold(state.clone(), |state, command| match command {
            Command::FinishDeregistration {
                group_arn, id, port, ..
            } => finish_deregistration(&state, group_arn, id, *port),
            Command::Alarm(command) => changes::apply(&state, command, actions, now),
            Command::Tell { region, key } => told(&state, region, key, actions),
            Command::Settle { region } => {
                let settled = autoscaling::due::settled(&state, region, ports, now);
                settled.unwrap_or(state)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Caller;
    use crate::{NoDatapoints, NobodyActs, NothingObserved, Observations};
    use forebay_model::TargetHealth;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    /// The number of requests in flight by target id, and whether they are being aborted.
    struct InFlight(BTreeMap<&'static str, u32>, bool);

    impl Observations for InFlight {
        fn target_health(&self, _: &str, _: &str, _: u16) -> Option<TargetHealth> {
            None
        }

        fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
            let left = |drain: &Drain| {
                let in_flight = *self.0.get(&*drain.id)?;
                Some(Left {
                    in_flight,
                    is_cut: self.1,
                })
            };
            drains.iter().map(left).collect()
        }
    }

    /// A group with two draining targets, in virtual time.
    struct Scene {
        caller: Caller,
        group: String,
    }

    impl Scene {
        fn new() -> Scene {
            let mut caller = Caller::new();
            let (balancer, group) = (caller.balancer("web"), caller.group("g"));
            caller.listener(&balancer, 80, &group);
            caller.ok("RegisterTargets", targets(&group));
            caller.ok("DeregisterTargets", targets(&group));
            Scene { caller, group }
        }

        /// Advances time and carries out what is due. Returns which targets were removed, and why.
        fn after(&mut self, seconds: u64, observed: &dyn Observations) -> Vec<(String, DrainEnd)> {
            self.caller.now = self.caller.now + Duration::from_secs(seconds);
            let commands = due_of(&self.caller, observed);
            self.caller.state = apply(
                &self.caller.state,
                &commands,
                &ports(observed),
                &NobodyActs,
                self.caller.now,
            );
            let left = due_of(&self.caller, observed);
            assert_eq!(left, [], "what was due is done");
            commands
                .into_iter()
                .map(|command| match command {
                    Command::FinishDeregistration { id, why, .. } => (id, why),
                    other => panic!("{other:?}"),
                })
                .collect()
        }
    }

    /// What is due, regardless of when it was last checked.
    fn due_of(caller: &Caller, observations: &dyn Observations) -> Vec<Command> {
        tick(&caller.state, &ports(observations), Wall(0), caller.now)
    }

    fn ports(observations: &dyn Observations) -> Ports<'_> {
        Ports {
            observations,
            datapoints: &NoDatapoints,
        }
    }

    fn targets(group: &str) -> Value {
        json!({"TargetGroupArn": group, "Targets": [{"Id": "127.0.0.2"}, {"Id": "127.0.0.3"}]})
    }

    fn in_flight(counts: &[(&'static str, u32)]) -> InFlight {
        InFlight(counts.iter().copied().collect(), false)
    }

    #[test]
    fn idle_target_goes_at_once_and_a_busy_one_when_it_is_idle() {
        let mut scene = Scene::new();
        let gone = scene.after(0, &in_flight(&[("127.0.0.2", 0), ("127.0.0.3", 2)]));
        assert_eq!(gone, [("127.0.0.2".to_owned(), DrainEnd::Idle)]);
        assert_eq!(scene.after(200, &in_flight(&[("127.0.0.3", 1)])), []);
        let gone = scene.after(1, &in_flight(&[("127.0.0.3", 0)]));
        assert_eq!(gone, [("127.0.0.3".to_owned(), DrainEnd::Idle)]);
    }

    #[test]
    fn busy_targets_go_when_the_delay_is_over_and_what_was_cut_has_ended() {
        let mut scene = Scene::new();
        let mut busy = in_flight(&[("127.0.0.2", 1), ("127.0.0.3", 1)]);
        busy.1 = true;
        // 300 seconds is the default of deregistration_delay.timeout_seconds.
        assert_eq!(scene.after(301, &busy), []);
        let gone = scene.after(1, &busy);
        assert_eq!(gone.len(), 2);
        assert!(
            gone.iter().all(|(_, why)| *why == DrainEnd::DelayOver),
            "{gone:?}"
        );
        assert_eq!(scene.after(1000, &busy), [], "late and needless calls do nothing");
    }

    #[test]
    fn a_wall_clock_that_is_set_ahead_ends_no_request() {
        let mut scene = Scene::new();
        let mut busy = in_flight(&[("127.0.0.2", 1), ("127.0.0.3", 1)]);
        assert_eq!(scene.after(100_000, &busy), []);
        busy.1 = true;
        assert_eq!(scene.after(0, &busy).len(), 2);
    }

    /// A target that the data plane does not know to be draining yet may still be picked, so it is not idle.
    #[test]
    fn target_that_nobody_has_observed_waits_for_its_delay() {
        let mut scene = Scene::new();
        assert_eq!(scene.after(301, &NothingObserved), []);
        assert_eq!(scene.after(1, &NothingObserved).len(), 2);
    }

    #[test]
    fn target_that_is_registered_again_stays() {
        let mut scene = Scene::new();
        let idle = in_flight(&[("127.0.0.2", 0), ("127.0.0.3", 0)]);
        let due = due_of(&scene.caller, &idle);
        assert_eq!(due.len(), 2);
        let again = targets(&scene.group);
        scene.caller.ok("RegisterTargets", again);
        let after = apply(
            &scene.caller.state,
            &due,
            &ports(&idle),
            &NobodyActs,
            scene.caller.now,
        );
        assert_eq!(after, scene.caller.state);
        assert_eq!(scene.after(1000, &idle), []);
    }
}
