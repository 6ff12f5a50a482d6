//! Instances from order to end: which are launched, taken back, cancelled or drained to reach the desired number.

use super::controller::Fleet;
use core::time::Duration;
use forebay_units::Rng;
use std::collections::BTreeMap;

/// Most launches from which the start-up time is estimated.
const STARTS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is starting; the flag says whether that will fail.
    Starting(bool),
    /// It is in service as this target.
    Ready(u16),
    /// It finishes its requests as this target, and gets no more.
    Draining(u16),
}

#[derive(Clone, Copy, Debug)]
struct Instance {
    ordered: u64,
    phase: Phase,
}

/// What must be done to reach the desired number of instances.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Targets to register.
    pub(crate) join: Vec<u16>,
    /// Targets to deregister.
    pub(crate) leave: Vec<u16>,
    /// Ordered instances: each id, and when its start-up is over, in nanoseconds.
    pub(crate) start: Vec<(u64, u64)>,
    /// When to try again because orders wait after a failure, in nanoseconds.
    pub(crate) again: Option<u64>,
}

/// All instances of a group. Times are in nanoseconds.
#[derive(Debug)]
pub(crate) struct Instances {
    pub(crate) fleet: Fleet,
    all: BTreeMap<u64, Instance>,
    ordered: u64,
    numbers: u16,
    vacant: Vec<u16>,
    pub(crate) desired: u32,
    failures: u32,
    not_before: u64,
    /// Durations of the last launches.
    starts: Vec<Duration>,
    started: usize,
    /// Nanoseconds of instances that have ended.
    ended: u128,
    pub(crate) failed: u64,
    pub(crate) largest: u32,
    rng: Rng,
}

impl Instances {
    /// The first instances are in service from the beginning, as targets 0 and on, and their start-up times are known.
    pub(crate) fn new(fleet: &Fleet, seed: u64) -> Instances {
        let initial = u16::try_from(fleet.initial).unwrap_or(u16::MAX);
        let mut rng = Rng::named(seed, "launches");
        let starts = (0..STARTS.min(usize::from(initial)))
            .map(|_| Duration::from_nanos(fleet.start_up.draw(&mut rng) as u64));
        let starts: Vec<Duration> = starts.collect();
        let first = (0..initial).map(|target| {
            let phase = Phase::Ready(target);
            (u64::from(target), Instance { ordered: 0, phase })
        });
        Instances {
            fleet: fleet.clone(),
            all: first.collect(),
            ordered: u64::from(initial),
            numbers: initial,
            vacant: Vec::new(),
            desired: u32::from(initial),
            failures: 0,
            not_before: 0,
            started: starts.len(),
            starts,
            ended: 0,
            failed: 0,
            largest: u32::from(initial),
            rng,
        }
    }

    /// Brings the group to the desired number. Draining instances are taken back first, because that needs no start-up.
    /// Starting instances are removed first, the newest before others, and then those with the fewest requests. `loads` are
    /// requests in flight by target. O(instances log instances).
    pub(crate) fn settle(&mut self, now: u64, loads: &[u32]) -> Steps {
        let mut steps = Steps::default();
        let wanted = self.desired as usize;
        let staying = self.count(|phase| !matches!(phase, Phase::Draining(_)));
        if staying < wanted {
            self.take_back(wanted - staying, loads, &mut steps);
            let missing = wanted - staying - steps.join.len();
            if missing > 0 && now < self.not_before {
                steps.again = Some(self.not_before);
            } else {
                (0..missing).for_each(|_| steps.start.push(self.order(now)));
            }
        } else if staying > wanted {
            let surplus = staying - wanted;
            let cancelled = self.cancel(now, surplus);
            self.drain(surplus - cancelled, loads, &mut steps);
        }
        self.largest = self.largest.max(self.all.len() as u32);
        steps
    }

    fn count(&self, is: impl Fn(Phase) -> bool) -> usize {
        self.all.values().filter(|instance| is(instance.phase)).count()
    }

    fn order(&mut self, now: u64) -> (u64, u64) {
        let takes = self.fleet.start_up.draw(&mut self.rng) as u64;
        let fails = crate::crowd::uniform(&mut self.rng) < self.fleet.failing;
        let id = self.ordered;
        self.ordered += 1;
        let phase = Phase::Starting(fails);
        self.all.insert(id, Instance { ordered: now, phase });
        (id, now + takes)
    }

    fn take_back(&mut self, most: usize, loads: &[u32], steps: &mut Steps) {
        let mut draining = self.targets(|phase| match phase {
            Phase::Draining(target) => Some(target),
            _ => None,
        });
        draining.sort_by_key(|&(id, target)| (core::cmp::Reverse(load(loads, target)), id));
        for (id, target) in draining.into_iter().take(most) {
            self.enter(id, Phase::Ready(target));
            steps.join.push(target);
        }
    }

    fn cancel(&mut self, now: u64, most: usize) -> usize {
        let starting = |instance: &Instance| matches!(instance.phase, Phase::Starting(_));
        let newest = self.all.iter().rev().filter(|(_, instance)| starting(instance));
        let ids: Vec<u64> = newest.map(|(&id, _)| id).take(most).collect();
        ids.iter().for_each(|&id| self.end(now, id));
        ids.len()
    }

    fn drain(&mut self, most: usize, loads: &[u32], steps: &mut Steps) {
        let mut ready = self.targets(|phase| match phase {
            Phase::Ready(target) => Some(target),
            _ => None,
        });
        ready.sort_by_key(|&(id, target)| (load(loads, target), core::cmp::Reverse(id)));
        for (id, target) in ready.into_iter().take(most) {
            self.enter(id, Phase::Draining(target));
            steps.leave.push(target);
        }
    }

    fn targets(&self, of: impl Fn(Phase) -> Option<u16>) -> Vec<(u64, u16)> {
        let all = self.all.iter();
        all.filter_map(|(&id, instance)| Some((id, of(instance.phase)?)))
            .collect()
    }

    fn enter(&mut self, id: u64, phase: Phase) {
        if let Some(instance) = self.all.get_mut(&id) {
            instance.phase = phase;
        }
    }

    fn end(&mut self, now: u64, id: u64) {
        if let Some(instance) = self.all.remove(&id) {
            self.ended += u128::from(self.paid(now) - self.paid(instance.ordered));
        }
    }

    /// Instance-seconds are counted until the end of the run.
    fn paid(&self, time: u64) -> u64 {
        time.min(self.fleet.until.as_nanos() as u64)
    }

    /// Ends an instance's start-up; returns the target to register unless the launch was cancelled or failed. The caller
    /// must settle again.
    pub(crate) fn started(&mut self, now: u64, id: u64) -> Option<u16> {
        let instance = self.all.get(&id)?;
        let Phase::Starting(fails) = instance.phase else {
            return None;
        };
        if fails {
            self.failed += 1;
            self.failures += 1;
            self.not_before = now + self.fleet.backoff.delay(self.failures).as_nanos() as u64;
            self.end(now, id);
            return None;
        }
        self.failures = 0;
        let took = Duration::from_nanos(now - instance.ordered);
        if self.starts.len() < STARTS {
            self.starts.push(took);
        } else {
            self.starts[self.started % STARTS] = took;
        }
        self.started += 1;
        let target = self.vacant.pop().or_else(|| {
            self.numbers = self.numbers.checked_add(1)?;
            Some(self.numbers - 1)
        })?;
        self.enter(id, Phase::Ready(target));
        Some(target)
    }

    /// A target has drained: its instance ends, unless it was taken back.
    pub(crate) fn drained(&mut self, now: u64, target: u16) {
        let draining = Phase::Draining(target);
        let found = self.all.iter().find(|(_, instance)| instance.phase == draining);
        if let Some(id) = found.map(|(&id, _)| id) {
            self.end(now, id);
            self.vacant.push(target);
        }
    }

    /// Instances in service.
    pub(crate) fn ready(&self) -> u32 {
        self.count(|phase| matches!(phase, Phase::Ready(_))) as u32
    }

    /// All instances, including those that start or drain.
    pub(crate) fn all(&self) -> u32 {
        self.all.len() as u32
    }

    /// Age of each order that has not started yet.
    pub(crate) fn pending(&self, now: u64) -> Vec<Duration> {
        let all = self.all.values();
        all.filter(|instance| matches!(instance.phase, Phase::Starting(_)))
            .map(|instance| Duration::from_nanos(now - instance.ordered))
            .collect()
    }

    /// Time from an order to an instance in service: the 99th percentile of the last 100 launches.
    pub(crate) fn start_up(&self) -> Option<Duration> {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        let place = (starts.len() * 99).div_ceil(100).checked_sub(1)?;
        starts.get(place).copied()
    }

    /// Instance-seconds, from order to end.
    pub(crate) fn seconds(&self, now: u64) -> f64 {
        let running = self
            .all
            .values()
            .map(|instance| self.paid(now) - self.paid(instance.ordered));
        let running: u128 = running.map(u128::from).sum();
        (self.ended + running) as f64 / 1e9
    }
}

fn load(loads: &[u32], target: u16) -> u32 {
    loads.get(usize::from(target)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Behaviour, Span};
    use forebay_scaling::Backoff;

    const SECOND: u64 = 1_000_000_000;

    fn instances(initial: u32, failing: f64) -> Instances {
        let fleet = Fleet {
            instance: Behaviour::single_threaded(),
            minimum: 0,
            maximum: 10,
            initial,
            start_up: Span::Fixed(Duration::from_secs(3)),
            failing,
            backoff: Backoff::default(),
            until: Duration::from_secs(100),
        };
        Instances::new(&fleet, 1)
    }

    #[test]
    fn what_is_missing_starts_and_counts_from_its_order() {
        let mut instances = instances(1, 0.0);
        instances.desired = 3;
        let steps = instances.settle(SECOND, &[0]);
        assert_eq!(steps.start, [(1, 4 * SECOND), (2, 4 * SECOND)]);
        assert_eq!(
            instances.settle(2 * SECOND, &[0]),
            Steps::default(),
            "nothing is ordered twice"
        );
        assert_eq!(instances.pending(3 * SECOND), [Duration::from_secs(2); 2]);
        assert_eq!(instances.started(4 * SECOND, 1), Some(1));
        assert_eq!((instances.ready(), instances.all(), instances.largest), (2, 3, 3));
        assert_eq!(instances.start_up(), Some(Duration::from_secs(3)));
        assert_eq!(instances.seconds(4 * SECOND), 4.0 + 3.0 + 3.0);
        // Nothing is counted after the end.
        assert_eq!(instances.seconds(200 * SECOND), 100.0 + 99.0 + 99.0);
    }

    #[test]
    fn who_starts_goes_first_then_the_emptiest_and_who_drains_comes_back() {
        let mut instances = instances(3, 0.0);
        instances.desired = 4;
        assert_eq!(instances.settle(0, &[5, 1, 2]).start.len(), 1);
        instances.desired = 1;
        assert_eq!(instances.settle(SECOND, &[5, 1, 2]).leave, [1, 2]);
        assert_eq!(instances.started(3 * SECOND, 3), None, "it was cancelled");
        instances.desired = 2;
        let steps = instances.settle(SECOND, &[5, 1, 2]);
        assert_eq!((steps.join, steps.start), (vec![2], vec![]));
        instances.drained(2 * SECOND, 2);
        instances.drained(2 * SECOND, 1);
        assert_eq!(
            (instances.ready(), instances.all()),
            (2, 2),
            "who came back stays"
        );
        assert_eq!(instances.seconds(2 * SECOND), 1.0 + 2.0 * 3.0);
    }

    #[test]
    fn launches_that_fail_are_ordered_again_after_a_delay() {
        let mut instances = instances(0, 1.0);
        instances.desired = 1;
        assert_eq!(instances.settle(0, &[]).start, [(0, 3 * SECOND)]);
        assert_eq!(instances.started(3 * SECOND, 0), None);
        assert_eq!(instances.settle(3 * SECOND, &[]).again, Some(4 * SECOND));
        assert_eq!(instances.settle(4 * SECOND, &[]).start, [(1, 7 * SECOND)]);
        instances.started(7 * SECOND, 1);
        assert_eq!(instances.settle(7 * SECOND, &[]).again, Some(9 * SECOND));
        assert_eq!((instances.failed, instances.seconds(9 * SECOND)), (2, 6.0));
    }
}
