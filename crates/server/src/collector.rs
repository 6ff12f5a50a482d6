//! Makes datapoints of what the load balancers do, once a second.

use crate::fleet::Instances;
use crate::functions::HostedFunctions;
use crate::queue_metrics;
use crate::queues::KeptMessages;
use crate::shown::Shown;
use forebay_control::autoscaling::group_metrics::group_datapoints;
use forebay_control::ec2::instance_metrics::{Used, network_datapoints, processor_datapoints};
use forebay_control::fleet::Usage;
use forebay_control::{Datapoint, Datapoints, Series, State};
use forebay_node::{NodeMetrics, TargetGroupMetrics};
use forebay_signals::Summary;
use forebay_telemetry::metrics::{self, DatapointValue, MetricsSnapshot, ServerMetrics};
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two looks.
const SECOND: Duration = Duration::from_secs(1);

/// What was seen last.
struct Collector {
    before: MetricsSnapshot,
    looked: Instant,
    /// Levels as they were last written. An unchanged one is written only once a minute, so that thousands of idle load
    /// balancers cost little.
    levels: BTreeMap<Series, f64>,
    /// What instances had used at the last look, and at the last full minute.
    used: BTreeMap<String, Usage>,
    used_by_minute: BTreeMap<String, Usage>,
    failing: bool,
}

/// Other sources of datapoints.
pub(crate) struct LookedAt {
    pub(crate) instances: Arc<Instances>,
    pub(crate) messages: Arc<KeptMessages>,
    pub(crate) functions: Arc<HostedFunctions>,
}

/// Writes the datapoints since the last look, each second, until `go_on` returns false. `state` returns the current state,
/// `now` the time.
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn start(
    shown: Arc<Shown>,
    datapoints: Arc<dyn Datapoints>,
    looked_at: LookedAt,
    state: impl Fn() -> Arc<State> + Send + 'static,
    now: impl Fn() -> Wall + Send + 'static,
    mut go_on: impl FnMut(Duration) -> bool + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("collector".to_owned())
        .spawn(move || {
            let Some(before) = shown.snapshot() else {
                tracing::error!("nothing is served yet: metrics are not collected");
                return;
            };
            let mut collector = Collector::new(before);
            loop {
                // Looks just after each full second, so that what is found belongs to the one before.
                let micros = u64::try_from(now().0.rem_euclid(1_000_000)).unwrap_or_default();
                if !go_on(SECOND - Duration::from_micros(micros)) {
                    return;
                }
                if let Some(snapshot) = shown.snapshot() {
                    let second = now().seconds() - 1;
                    let state = state();
                    let mut more = queue_points(&state, &looked_at.messages, second);
                    more.extend(looked_at.functions.datapoints(Wall::from_seconds(second)));
                    collector.look(snapshot, &state, second, &looked_at.instances, &*datapoints, more);
                }
            }
        })
}

/// The datapoints of queues for one second.
fn queue_points(state: &State, messages: &KeptMessages, second: i64) -> Vec<Datapoint> {
    let queues: Vec<_> = state
        .queues()
        .into_iter()
        .filter(|queue| !queue.is_hidden)
        .collect();
    if queues.is_empty() {
        return Vec::new();
    }
    let traffic = messages.traffic(queues);
    queue_metrics::datapoints(&traffic, Wall::from_seconds(second))
}

impl Collector {
    /// The first look covers everything since the process began, when its counters were zero.
    fn new(mut before: MetricsSnapshot) -> Collector {
        if let MetricsSnapshot::Server(server) = &mut before {
            server.node = NodeMetrics::default();
        }
        Collector {
            before,
            looked: Instant::now(),
            levels: BTreeMap::new(),
            used: BTreeMap::new(),
            used_by_minute: BTreeMap::new(),
            failing: false,
        }
    }

    fn look(
        &mut self,
        snapshot: MetricsSnapshot,
        state: &State,
        second: i64,
        instances: &Instances,
        datapoints: &dyn Datapoints,
        more: Vec<Datapoint>,
    ) {
        let looked = Instant::now();
        let time = looked - self.looked;
        let points = if second % 60 == 0 {
            let found = found(&self.before, &snapshot, time);
            self.points(&found, state, second)
        } else {
            let (before, now) = changed(&self.before, &snapshot);
            let found = found(&before, &now, time);
            self.points(&found, state, second)
        };
        let mut points = points;
        if second % 60 == 0 {
            points.extend(group_datapoints(state, Wall::from_seconds(second)));
        }
        points.extend(self.of_instances(state, second, time, instances));
        points.extend(more);
        let kept = datapoints.put(points);
        if let Err(error) = &kept
            && !self.failing
        {
            let cause = &*error.cause;
            tracing::error!(%error, cause, "metrics could not be stored");
        }
        self.failing = kept.is_err();
        (self.before, self.looked) = (snapshot, looked);
    }

    /// What instances have used since the last look: processor time every second, network traffic once a minute, in sums as
    /// EC2 reports them.
    fn of_instances(
        &mut self,
        state: &State,
        second: i64,
        time: Duration,
        instances: &Instances,
    ) -> Vec<Datapoint> {
        let (now, at) = (instances.usage(), Wall::from_seconds(second));
        let mut points = Vec::new();
        if !now.is_empty() {
            let since = |before| Used {
                before,
                now: &now,
                time,
            };
            points = processor_datapoints(state, &instances.shapes(), &since(&self.used), at);
            if second % 60 == 0 {
                points.extend(network_datapoints(state, &since(&self.used_by_minute), at));
            }
        }
        if second % 60 == 0 {
            self.used_by_minute.clone_from(&now);
        }
        self.used = now;
        points
    }

    /// The datapoints to write: all events, levels that have changed, and once a minute all levels.
    fn points(&mut self, found: &[metrics::Datapoint], state: &State, second: i64) -> Vec<Datapoint> {
        let regions = Regions::of(state);
        let is_minute = second % 60 == 0;
        let levels = if is_minute {
            BTreeMap::new()
        } else {
            core::mem::take(&mut self.levels)
        };
        self.levels = levels;
        found
            .iter()
            .filter_map(|point| {
                let series = regions.series(point);
                let high_resolution = match &point.value {
                    // A counter without events; it is reported all the same.
                    DatapointValue::Count(0.0) => false,
                    DatapointValue::Count(_) | DatapointValue::Distribution(_) => true,
                    DatapointValue::Level(level) => {
                        self.levels.insert(series.clone(), *level) != Some(*level) && !is_minute
                    }
                };
                (high_resolution || is_minute).then(|| Datapoint {
                    series,
                    at: Wall::from_seconds(second),
                    unit: Some(point.unit.to_owned()),
                    summary: summary(&point.value),
                    high_resolution,
                })
            })
            .collect()
    }
}

fn found(before: &MetricsSnapshot, now: &MetricsSnapshot, time: Duration) -> Vec<metrics::Datapoint> {
    let mut found = metrics::datapoints(before, now);
    found.extend(metrics::capacity_datapoints(before, now, time));
    found
}

/// Both snapshots without unchanged load balancers, and without unchanged target groups that belong to none: a thousand
/// idle ones should cost no more than finding out that they are idle.
fn changed(before: &MetricsSnapshot, now: &MetricsSnapshot) -> (MetricsSnapshot, MetricsSnapshot) {
    let (MetricsSnapshot::Server(old), MetricsSnapshot::Server(new)) = (before, now) else {
        return (before.clone(), now.clone());
    };
    let balancers: BTreeMap<&str, _> = old
        .node
        .load_balancers
        .iter()
        .map(|of| (of.arn.as_str(), of))
        .collect();
    let groups: BTreeMap<&str, _> = old
        .node
        .target_groups
        .iter()
        .map(|of| (of.arn.as_str(), of))
        .collect();
    let mut busy: BTreeSet<&str> = BTreeSet::new();
    for of in &new.node.load_balancers {
        // Open connections count as used capacity although nothing changes.
        let is_open = of.nodes.iter().any(|node| node.counts.open > 0);
        if is_open || balancers.get(of.arn.as_str()) != Some(&of) {
            busy.insert(&of.arn);
        }
    }
    for of in &new.node.target_groups {
        if groups.get(of.arn.as_str()) != Some(&of) {
            busy.insert(of.load_balancer.as_ref().unwrap_or(&of.arn));
        }
    }
    let only = |server: &ServerMetrics| {
        let is_busy =
            |of: &TargetGroupMetrics| busy.contains(of.load_balancer.as_ref().unwrap_or(&of.arn).as_str());
        let node = &server.node;
        MetricsSnapshot::Server(ServerMetrics {
            node: NodeMetrics {
                load_balancers: node
                    .load_balancers
                    .iter()
                    .filter(|of| busy.contains(of.arn.as_str()))
                    .cloned()
                    .collect(),
                listeners: node
                    .listeners
                    .iter()
                    .filter(|of| busy.contains(of.load_balancer.as_str()))
                    .cloned()
                    .collect(),
                target_groups: node
                    .target_groups
                    .iter()
                    .filter(|of| is_busy(of))
                    .cloned()
                    .collect(),
            },
            // They count in days; once a minute is often enough.
            certificates: Vec::new(),
            planners: server.planners.clone(),
            backlogs: server.backlogs.clone(),
            logs: server.logs.clone(),
            own: server.own.clone(),
        })
    };
    (only(old), only(new))
}

/// The regions of load balancers and target groups.
struct Regions<'a> {
    default: &'a str,
    /// By the end of their ARNs, without those of the default region.
    others: BTreeMap<&'a str, &'a str>,
}

impl<'a> Regions<'a> {
    fn of(state: &'a State) -> Regions<'a> {
        let default = state.settings().default_region.as_str();
        let mut others = BTreeMap::new();
        for (name, region) in state.regions().filter(|(name, _)| *name != default) {
            let arns = region.load_balancers.keys().chain(region.target_groups.keys());
            for arn in arns {
                let end = arn.rsplit_once(':').map_or(arn.as_str(), |(_, end)| end);
                // A load balancer's dimension has no `loadbalancer/` in front.
                others.insert(end.strip_prefix("loadbalancer/").unwrap_or(end), name);
            }
        }
        Regions { default, others }
    }

    fn series(&self, point: &metrics::Datapoint) -> Series {
        let values = point.dimensions.iter().map(|(_, value)| value.as_str());
        let region = values.filter_map(|value| self.others.get(value)).next();
        let mut dimensions: Vec<(String, String)> = point
            .dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        dimensions.sort();
        Series {
            region: (*region.unwrap_or(&self.default)).to_owned(),
            namespace: point.namespace.to_owned(),
            name: point.name.to_owned(),
            dimensions,
        }
    }
}

fn summary(value: &DatapointValue) -> Summary {
    match value {
        DatapointValue::Count(value) | DatapointValue::Level(value) => Summary::of(*value, 1.0),
        DatapointValue::Distribution(values) => {
            let mut values = values.iter();
            let (value, count) = values.next().copied().unwrap_or_default();
            let mut summary = Summary::of(value, count);
            for (value, count) in values {
                summary.add(*value, *count);
            }
            summary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_node::{BalancerStats, ByZone, Distribution, LoadBalancerMetrics, Shards};
    use forebay_telemetry::logs::LogCounters;
    use forebay_telemetry::metrics::Own;
    use forebay_telemetry::{ExportCounters, ProcessMetrics, Standing};
    use std::sync::atomic::Ordering::Relaxed;

    fn snapshot(balancers: &[(&str, u64)]) -> MetricsSnapshot {
        let of = |&(arn, requests): &(&str, u64)| {
            let counted = Shards::<BalancerStats>::new(1);
            counted.of(0).requests.store(requests, Relaxed);
            LoadBalancerMetrics {
                arn: format!("arn:aws:elasticloadbalancing:local-1:000000000000:loadbalancer/app/{arn}/1"),
                nodes: vec![ByZone {
                    zone: "a".to_owned(),
                    counts: counted.sum(),
                }],
            }
        };
        MetricsSnapshot::Server(ServerMetrics {
            node: NodeMetrics {
                load_balancers: balancers.iter().map(of).collect(),
                ..NodeMetrics::default()
            },
            certificates: Vec::new(),
            planners: Vec::new(),
            backlogs: Vec::new(),
            logs: LogCounters::default().metrics(),
            own: Box::new(Own {
                lines_dropped: 0,
                standing: Standing::Ok,
                process: ProcessMetrics::default(),
                exports: ExportCounters::default().metrics(),
                notifications: Default::default(),
                datapoints: Default::default(),
                adoptions: Distribution::default(),
                orders: Default::default(),
                looks: Default::default(),
            }),
        })
    }

    fn arns(snapshot: &MetricsSnapshot) -> Vec<&str> {
        let MetricsSnapshot::Server(server) = snapshot else {
            panic!("{snapshot:?}");
        };
        server
            .node
            .load_balancers
            .iter()
            .map(|of| of.arn.rsplit('/').nth(1).unwrap())
            .collect()
    }

    #[test]
    fn who_is_idle_is_left_out_between_minutes() {
        let (before, now) = (
            snapshot(&[("idle", 3), ("busy", 3), ("gone", 1)]),
            snapshot(&[("idle", 3), ("busy", 4), ("new", 0)]),
        );
        let (old, new) = changed(&before, &now);
        assert_eq!((arns(&old), arns(&new)), (vec!["busy"], vec!["busy", "new"]));
    }

    #[test]
    fn levels_are_told_when_they_change_and_each_minute() {
        let state = State::new("local-1", "127.64.0.0/10".parse().unwrap());
        let mut collector = Collector::new(snapshot(&[]));
        let level = |value| metrics::Datapoint {
            namespace: "N",
            name: "M",
            unit: "Count",
            dimensions: Vec::new(),
            value: DatapointValue::Level(value),
        };
        let mut told = |second, value| {
            let points = collector.points(&[level(value)], &state, second);
            points
                .first()
                .map(|point| (point.summary.sum, point.high_resolution))
        };
        assert_eq!(told(61, 1.0), Some((1.0, true)));
        assert_eq!(told(62, 1.0), None);
        assert_eq!(told(63, 2.0), Some((2.0, true)));
        assert_eq!(told(120, 2.0), Some((2.0, false)));
        assert_eq!(told(121, 2.0), None);
    }
}
