//! Sizes groups of workers by their queues. Every change of a queue reports its figures here; within milliseconds the
//! group's planner is asked, and its order carried out.

use crate::first_receives::{Counted, FirstReceives};
use crate::orders::{costs_text, order};
use forebay_control::Series;
use forebay_control::State;
use forebay_control::autoscaling::backlogs::{
    BacklogGroup, FirstReceive, ProcessingMetric, backlog_groups, record_first_receives,
};
use forebay_control::autoscaling::planning::PlannedCapacity;
use forebay_control::sqs::Holder;
use forebay_gateway::{SharedPorts, Writer};
use forebay_proxy::Clock;
use forebay_scaling::backlog::{Plan, Planner, Verdict, Work};
use forebay_signals::Summary;
use forebay_telemetry::BacklogMetrics;
use forebay_units::Wall;
use forebay_units::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Shortest interval between two looks, however often queues change.
const LEAST: Duration = Duration::from_millis(50);
/// Longest interval between two looks, so that new groups and metrics are noticed, and figures that change with time alone.
const MOST: Duration = Duration::from_secs(1);
/// Pause after an order that could not be carried out.
const PAUSE: Duration = Duration::from_secs(1);
/// Deletes of one queue that are kept until the next look; more would teach nothing new.
const DELETED: usize = 10_000;
/// How far back a metric's newest value is searched, and with which period, in this order.
const LOOKED_BACK: [(Duration, u32); 3] = [
    (Duration::from_secs(60), 1),
    (Duration::from_secs(3 * 3600), 1),
    (Duration::from_secs(24 * 3600), 60),
];

/// Figures of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Messages that may be received.
    pub visible: u64,
    /// Messages that were received, and are neither deleted nor visible again.
    pub in_flight: u64,
    /// Messages that are still delayed.
    pub delayed: u64,
    /// Age of the oldest message.
    pub oldest_age: Option<Duration>,
}

/// A queue as it was last reported.
struct Told {
    figures: QueueFigures,
    at: Instant,
    /// Processing times of deleted messages: those since the last figures, and those before.
    fresh: Vec<Duration>,
    deleted: Vec<Duration>,
    is_named: bool,
}

impl Told {
    fn work(&self) -> Work {
        let figures = self.figures;
        Work {
            visible: figures.visible,
            in_flight: figures.in_flight,
            delayed: figures.delayed,
            oldest: figures.oldest_age.map(|age| age + self.at.elapsed()),
        }
    }
}

/// Asks for a queue's figures, which are then reported to `observe`.
type Refresh = Box<dyn Fn(&str) + Send + Sync>;

/// All queues as they were last reported, and the plans for groups that name them. A clone shares the same data.
#[derive(Clone, Default)]
pub struct Backlogs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queues: Mutex<BTreeMap<String, Told>>,
    changed: Notify,
    refresh: OnceLock<Refresh>,
    plans: Mutex<Vec<BacklogMetrics>>,
    first: FirstReceives,
}

impl Backlogs {
    /// Without any queue.
    pub fn new() -> Backlogs {
        Backlogs::default()
    }

    /// Reports a queue's figures: to be called after each batch that changed it, at its creation, and at the start for each
    /// existing queue. O(log queues); a group that names it is looked at within 50 ms.
    pub fn observe(&self, queue_arn: &str, figures: QueueFigures) {
        let mut queues = self.queues();
        let at = Instant::now();
        let Some(told) = queues.get_mut(queue_arn) else {
            let told = Told {
                figures,
                at,
                fresh: Vec::new(),
                deleted: Vec::new(),
                is_named: false,
            };
            queues.insert(queue_arn.to_owned(), told);
            drop(queues);
            // A group may have named the queue before it existed.
            self.0.changed.notify_one();
            return;
        };
        // A processing time counts only with the figures that include its delete: otherwise a message would be in flight
        // and done at once.
        (told.figures, told.at) = (figures, at);
        if !told.is_named {
            return;
        }
        let mut fresh = core::mem::take(&mut told.fresh);
        let room = DELETED.saturating_sub(told.deleted.len());
        fresh.truncate(room);
        told.deleted.append(&mut fresh);
        drop(queues);
        self.0.changed.notify_one();
    }

    /// Whether a group is sized by this queue.
    pub fn is_named(&self, queue_arn: &str) -> bool {
        let queues = self.queues();
        queues.get(queue_arn).is_some_and(|told| told.is_named)
    }

    /// Reports that a message was deleted, `took` after its receive: to be called before `observe` for its batch, with
    /// which it counts.
    pub fn processed(&self, queue_arn: &str, took: Duration) {
        if let Some(told) = self.queues().get_mut(queue_arn)
            && told.is_named
            && told.fresh.len() < DELETED
        {
            told.fresh.push(took);
        }
    }

    /// Reports that an instance asks for messages, whether it gets some or not. The first time shows that its worker is
    /// running.
    pub fn asks(&self, instance: &str) {
        if self.0.first.asks(instance, Instant::now()) {
            self.0.changed.notify_one();
        }
    }

    /// Reports that a queue was deleted.
    pub fn removed(&self, queue_arn: &str) {
        self.queues().remove(queue_arn);
        self.0.changed.notify_one();
    }

    /// Sets the function that is called once a second for each queue that a group names, so that it is observed again:
    /// visibility timeouts and delays end with time alone. Only the first call counts.
    pub fn refresh_by(&self, refresh: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.0.refresh.set(Box::new(refresh));
    }

    /// Each group's last plan.
    pub(crate) fn plans(&self) -> Vec<BacklogMetrics> {
        let plans = lock(&self.0.plans);
        plans.clone()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        lock(&self.0.queues)
    }

    /// Marks these queues as named. Only those are tracked.
    fn name(&self, named: &BTreeSet<&str>) {
        for (arn, told) in &mut *self.queues() {
            told.is_named = named.contains(&**arn);
            if !told.is_named {
                // A queue that no group names must not collect times without end.
                (told.fresh, told.deleted) = (Vec::new(), Vec::new());
            }
        }
    }

    /// The work in each of these queues that exists, and the processing times since the last look.
    fn take(&self, named: &BTreeSet<&str>) -> BTreeMap<String, (Work, Vec<Duration>)> {
        let mut queues = self.queues();
        let mut found = BTreeMap::new();
        for &arn in named {
            if let Some(told) = queues.get_mut(arn) {
                // The queue may have been created after the group, so that `name` did not see it.
                told.is_named = true;
                let deleted = core::mem::take(&mut told.deleted);
                found.insert(arn.to_owned(), (told.work(), deleted));
            }
        }
        found
    }
}

/// A planner and what it has ordered.
#[derive(Default)]
struct Known {
    planner: Planner,
    counted: Counted,
    orders: u64,
    releases: u64,
    /// Seconds per message according to a metric, and when that was read.
    measured: Option<(Instant, Option<f64>)>,
    next: Option<Instant>,
}

type Key = (String, String);

struct Sizing {
    backlogs: Backlogs,
    writer: Writer,
    clock: Clock,
    ports: SharedPorts,
    known: BTreeMap<Key, Known>,
    state: Option<Arc<State>>,
    groups: Vec<BacklogGroup>,
    refreshed: Instant,
    /// Since when receives are observed.
    began: Wall,
    /// First receives that the state does not contain yet.
    receives: Vec<FirstReceive>,
}

/// Sizes groups that name a queue, until the process ends.
pub(crate) fn start(
    backlogs: &Backlogs,
    writer: &Writer,
    clock: Clock,
    ports: SharedPorts,
) -> tokio::task::JoinHandle<()> {
    let sizing = Sizing {
        backlogs: backlogs.clone(),
        writer: writer.clone(),
        clock,
        ports,
        known: BTreeMap::new(),
        state: None,
        groups: Vec::new(),
        refreshed: Instant::now(),
        began: clock.wall(),
        receives: Vec::new(),
    };
    tokio::spawn(run(sizing))
}

async fn run(mut sizing: Sizing) {
    loop {
        let looked = Instant::now();
        let orders = sizing.look();
        if !orders.is_empty() && !order(&sizing.writer, &sizing.ports, orders).await {
            tokio::time::sleep(PAUSE).await;
        }
        sizing.record().await;
        tokio::time::sleep_until((looked + LEAST).into()).await;
        let due = sizing.known.values().filter_map(|known| known.next).min();
        let due = due.unwrap_or(looked + MOST).min(looked + MOST);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = sizing.backlogs.0.changed.notified() => {}
        }
        sizing.refresh();
    }
}

impl Sizing {
    /// Looks at all groups; returns the orders.
    fn look(&mut self) -> Vec<PlannedCapacity> {
        let state = self.writer.state();
        if !self
            .state
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &state))
        {
            self.take(state);
        }
        if self.groups.is_empty() {
            return Vec::new();
        }
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let named: BTreeSet<&str> = self.groups.iter().map(|group| &*group.queue_arn).collect();
        let found = self.backlogs.take(&named);
        let (mut orders, mut plans) = (Vec::new(), Vec::new());
        for group in &self.groups {
            let key = (group.region.clone(), group.name.clone());
            let known = self.known.entry(key).or_default();
            let Some((work, deleted)) = found.get(&group.queue_arn) else {
                plans.push(told(group, None, known));
                continue;
            };
            let mut settings = group.settings.clone();
            settings.measured = group
                .metric
                .as_ref()
                .and_then(|metric| known.measured(&self.ports, &group.region, metric, wall));
            let first = &self.backlogs.0.first;
            let at = Instant::now();
            let asked = known.counted.look(&group.serving, first, self.began, (at, wall));
            self.receives
                .extend(asked.into_iter().map(|(instance, late)| FirstReceive {
                    region: group.region.clone(),
                    group: group.name.clone(),
                    instance,
                    late,
                }));
            let workers = group.workers(wall, |id| first.age(id, at).is_some());
            let plan = known.planner.plan(now, work, deleted, &workers, &settings);
            known.next = Some(Instant::now() + plan.next);
            if !group.is_dry_run && plan.desired != group.desired() {
                orders.push(PlannedCapacity {
                    region: group.region.clone(),
                    group: group.name.clone(),
                    desired: plan.desired,
                    cause: plan.cause(),
                });
                *match plan.verdict {
                    Verdict::Release => &mut known.releases,
                    _ => &mut known.orders,
                } += 1;
            }
            plans.push(told(group, Some(plan), known));
        }
        *lock(&self.backlogs.0.plans) = plans;
        orders
    }

    /// Finds the groups of a new state that name a queue.
    fn take(&mut self, state: Arc<State>) {
        let shapes = self.ports.observations.shapes();
        self.groups = backlog_groups(&state, &shapes, self.clock.wall());
        let names: BTreeSet<Key> = self
            .groups
            .iter()
            .map(|group| (group.region.clone(), group.name.clone()))
            .collect();
        self.known.retain(|key, _| names.contains(key));
        let named = self.groups.iter().map(|group| &*group.queue_arn).collect();
        self.backlogs.name(&named);
        self.backlogs
            .0
            .first
            .retain(|id| state.holder(id) != Holder::Ended);
        self.state = Some(state);
        // A look without groups returns before it replaces the plans.
        if self.groups.is_empty() {
            let plans = &self.backlogs.0.plans;
            lock(plans).clear();
        }
    }

    /// Has queues observed again, once a second.
    fn refresh(&mut self) {
        if self.refreshed.elapsed() < MOST {
            return;
        }
        self.refreshed = Instant::now();
        if let Some(refresh) = self.backlogs.0.refresh.get() {
            self.groups.iter().for_each(|group| refresh(&group.queue_arn));
        }
    }

    /// Records first receives in the state, from which start-up times are learnt. A failure costs only that.
    async fn record(&mut self) {
        let receives = core::mem::take(&mut self.receives);
        if receives.is_empty() {
            return;
        }
        let observations = Arc::clone(&self.ports.observations);
        let change =
            Box::new(move |state: &State, now| record_first_receives(state, &receives, &*observations, now));
        if let Err(error) = self.writer.change(change).await {
            tracing::warn!(%error, "cannot record the first receives of instances");
        }
    }
}

impl Known {
    /// The newest value of a metric, read at most once a second; the previous one if it has none any more.
    fn measured(
        &mut self,
        ports: &SharedPorts,
        region: &str,
        metric: &ProcessingMetric,
        now: Wall,
    ) -> Option<f64> {
        let before = match self.measured {
            Some((at, value)) if at.elapsed() < MOST => return value,
            Some((_, value)) => value,
            None => None,
        };
        let series = Series {
            region: region.to_owned(),
            namespace: metric.namespace.clone(),
            name: metric.name.clone(),
            dimensions: metric.dimensions.clone(),
        };
        let value = newest(ports, &series, now).or(before);
        self.measured = Some((Instant::now(), value));
        value
    }
}

/// The average of the newest second with a value; of the newest minute if that is hours old.
fn newest(ports: &SharedPorts, series: &Series, now: Wall) -> Option<f64> {
    LOOKED_BACK.into_iter().find_map(|(back, period)| {
        let second = now.seconds() + 1;
        let from = (second - back.as_secs() as i64).div_euclid(i64::from(period)) * i64::from(period);
        let (from, to) = (Wall::from_seconds(from), Wall::from_seconds(second));
        let found = ports.datapoints.read(series, from, to, period, None);
        found
            .last()
            .map(|(_, summary)| average(summary))
            .filter(|average| *average > 0.0)
    })
}

fn average(summary: &Summary) -> f64 {
    summary.sum / summary.count.max(1.0)
}

fn told(group: &BacklogGroup, plan: Option<Plan>, known: &Known) -> BacklogMetrics {
    let maximum = plan.as_ref().map_or(0, |plan| plan.workers.fleet.maximum);
    let costs = group.costs.map(|costs| costs_text(costs, maximum));
    BacklogMetrics {
        region: group.region.clone(),
        group: group.name.clone(),
        queue_arn: group.queue_arn.clone(),
        is_dry_run: group.is_dry_run,
        costs,
        plan,
        orders: known.orders,
        releases: known.releases,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:local-1:000000000000:jobs";

    fn figures(visible: u64, in_flight: u64) -> QueueFigures {
        QueueFigures {
            visible,
            in_flight,
            ..QueueFigures::default()
        }
    }

    #[test]
    fn deletes_count_with_the_figures_after_them_and_only_where_a_group_looks() {
        let backlogs = Backlogs::new();
        let named = BTreeSet::from([QUEUE]);
        let second = Duration::from_secs(1);
        // No group names it yet.
        backlogs.observe(QUEUE, figures(3, 1));
        backlogs.processed(QUEUE, second);
        backlogs.processed("another", second);
        assert_eq!(
            backlogs.take(&named)[QUEUE],
            (
                Work {
                    visible: 3,
                    in_flight: 1,
                    ..Work::default()
                },
                vec![]
            )
        );
        backlogs.processed(QUEUE, second);
        // The figures are from before the delete, so it does not count yet.
        assert!(backlogs.take(&named)[QUEUE].1.is_empty());
        backlogs.observe(QUEUE, figures(3, 0));
        let (work, deleted) = backlogs.take(&named).remove(QUEUE).unwrap();
        assert_eq!((work.in_flight, deleted), (0, vec![second]));
        backlogs.removed(QUEUE);
        assert!(backlogs.take(&named).is_empty());
    }

    #[test]
    fn deletes_are_bounded() {
        let backlogs = Backlogs::new();
        backlogs.observe(QUEUE, figures(0, 0));
        let named = BTreeSet::from([QUEUE]);
        backlogs.take(&named);
        for _ in 0..3 {
            for _ in 0..DELETED {
                backlogs.processed(QUEUE, Duration::from_secs(1));
            }
            backlogs.observe(QUEUE, figures(0, 0));
        }
        assert_eq!(backlogs.take(&named)[QUEUE].1.len(), DELETED);
    }

    #[tokio::test]
    async fn whoever_looks_is_woken_by_a_change() {
        let backlogs = Backlogs::new();
        backlogs.observe(QUEUE, figures(0, 0));
        backlogs.take(&BTreeSet::from([QUEUE]));
        backlogs.0.changed.notified().await;
        backlogs.observe(QUEUE, figures(1, 0));
        backlogs.0.changed.notified().await;
    }
}
