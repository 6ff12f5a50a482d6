//! What is known of a metric: its names, its kind, its unit, its dimensions, and how its samples are read of a snapshot.

use super::snapshot::{AgentMetrics, MetricsSnapshot, Own, ServerMetrics};
use crate::labels::dimension;
use crate::logs::LogMetrics;
use forebay_node::{
    ChannelMetrics, Distribution, GateMetrics, ListenerMetrics, LoadBalancerMetrics, TargetGroupMetrics,
    TargetMetrics, ZoneMetrics,
};
use std::borrow::Cow;

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name in Prometheus, without what its samples' names end with.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What its values count.
    pub unit: Unit,
    /// What it is divided by, beyond what it is of.
    pub labels: &'static [Dimension],
    /// What it says, as a sentence without its full stop.
    pub meaning: &'static str,
    /// CloudWatch's metrics that can be made of it.
    pub cloudwatch: &'static [CloudWatch],
    /// What it is of, and how it is read there.
    pub read: Read,
}

/// What a metric's values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A count since the beginning.
    Counter,
    /// What is now.
    Gauge,
    /// How often what took how long since the beginning, with these upper bounds in Prometheus' text.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    /// What the names of samples end with in Prometheus' text.
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram(_) => &["_bucket", "_count", "_sum"],
        }
    }
}

/// What a metric's values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things that happen, or are there.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A part of one.
    Ratio,
}

impl Unit {
    /// As CloudWatch calls it.
    pub const fn cloudwatch(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Bytes => "Bytes",
            Unit::Seconds => "Seconds",
            Unit::Ratio => "None",
        }
    }

    /// As people read it.
    pub const fn word(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::Ratio => "ratio",
        }
    }
}

/// What samples of a metric are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// `app/NAME/ID`.
    LoadBalancer,
    /// `targetgroup/NAME/ID`.
    TargetGroup,
    /// A zone's name; `all` for a group that is one over all of them, with cross-zone on.
    AvailabilityZone,
    /// `listener/app/NAME/ID/ID`.
    Listener,
    /// `ID:PORT`.
    Target,
    /// A hundred of statuses: `2xx`.
    Code,
    /// Why a request was sent again.
    Cause,
    /// What a slot is.
    State,
    /// Why a request got no slot.
    Why,
    /// Why an agent did not let a request in, or could not pass it on.
    Reason,
    /// Which log.
    Log,
    /// Where a log's lines go.
    Sink,
    /// How the process is.
    Status,
}

impl Dimension {
    /// Its label in Prometheus.
    pub const fn label(self) -> &'static str {
        match self {
            Dimension::LoadBalancer => "load_balancer",
            Dimension::TargetGroup => "target_group",
            Dimension::AvailabilityZone => "zone",
            Dimension::Listener => "listener",
            Dimension::Target => "target",
            Dimension::Code => "code",
            Dimension::Cause => "cause",
            Dimension::State => "state",
            Dimension::Why => "why",
            Dimension::Reason => "reason",
            Dimension::Log => "log",
            Dimension::Sink => "sink",
            Dimension::Status => "status",
        }
    }

    /// Its name in CloudWatch, if that has it.
    pub const fn cloudwatch(self) -> Option<&'static str> {
        match self {
            Dimension::LoadBalancer => Some("LoadBalancer"),
            Dimension::TargetGroup => Some("TargetGroup"),
            Dimension::AvailabilityZone => Some("AvailabilityZone"),
            _ => None,
        }
    }
}

/// Where CloudWatch has these metrics.
pub const NAMESPACE: &str = "AWS/ApplicationELB";

/// A metric of CloudWatch's namespace AWS/ApplicationELB. Its unit is that of the metric it is made of.
#[derive(Debug)]
pub struct CloudWatch {
    /// Its name.
    pub name: &'static str,
    /// What of the metric it is.
    pub part: Part,
    /// The sets of dimensions that AWS has it by.
    pub dimensions: &'static [&'static [Dimension]],
    /// The statistics that mean something.
    pub statistics: &'static [Statistic],
}

/// What of a metric one of CloudWatch's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Samples whose last label has this value.
    Labelled(&'static str),
    /// One less each sample, which is 1 or 0.
    Complement,
}

/// CloudWatch's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// All values together.
    Sum,
    /// Their mean.
    Average,
    /// The least of them.
    Minimum,
    /// The greatest of them.
    Maximum,
    /// What a share of them does not exceed: `p99`.
    Percentile,
}

impl Statistic {
    /// As CloudWatch calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Statistic::Sum => "Sum",
            Statistic::Average => "Average",
            Statistic::Minimum => "Minimum",
            Statistic::Maximum => "Maximum",
            Statistic::Percentile => "pNN",
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// Any other.
    Real(f64),
    /// Of a histogram, in finer buckets than its bounds make.
    Distribution(Distribution),
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Value {
        Value::Integer(u64::from(is_so))
    }
}

impl From<Distribution> for Value {
    fn from(distribution: Distribution) -> Value {
        Value::Distribution(distribution)
    }
}

/// What of, by which dimensions. They are more than a page's labels where more is known: a target's have its zone and its load
/// balancer.
pub type Dimensions<'a> = Vec<(Dimension, Cow<'a, str>)>;

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// What it is of.
    pub dimensions: Dimensions<'a>,
    /// How much it is.
    pub value: Value,
}

/// Takes what is read of one thing.
#[derive(Debug, Default)]
pub struct Values(Vec<(Vec<&'static str>, Value)>);

impl Values {
    /// Its one value.
    pub fn add(&mut self, value: impl Into<Value>) {
        self.add_of([], value);
    }

    /// A value of several: that with these labels, as many as the metric has, in their order.
    pub fn add_of<const N: usize>(&mut self, labels: [&'static str; N], value: impl Into<Value>) {
        self.0.push((labels.to_vec(), value.into()));
    }
}

type Reads<T> = fn(&T, &mut Values);

/// What a metric is of, and how it is read of one such thing.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// Each load balancer.
    LoadBalancer(Reads<LoadBalancerMetrics>),
    /// Each listener.
    Listener(Reads<ListenerMetrics>),
    /// Each target group.
    TargetGroup(Reads<TargetGroupMetrics>),
    /// Each zone of a target group.
    Zone(Reads<ZoneMetrics>),
    /// Each target.
    Target(Reads<TargetMetrics>),
    /// Each target group that is limited or has a queue.
    Gate(Reads<GateMetrics>),
    /// Each target group whose slots agents count.
    Channels(Reads<ChannelMetrics>),
    /// Logs and spans.
    Logs(Reads<LogMetrics>),
    /// The server's process.
    Process(Reads<Own>),
    /// The agent.
    Agent(Reads<AgentMetrics>),
}

impl Read {
    /// What it is of, as a heading.
    pub const fn subject(self) -> &'static str {
        match self {
            Read::LoadBalancer(_) => "Load balancers",
            Read::Listener(_) => "Listeners",
            Read::TargetGroup(_) => "Target groups",
            Read::Zone(_) => "Zones of target groups",
            Read::Target(_) => "Targets",
            Read::Gate(_) => "Slots and surge queues",
            Read::Channels(_) => "Target control",
            Read::Logs(_) => "Logs and spans",
            Read::Process(_) => "The process",
            Read::Agent(_) => "The agent",
        }
    }

    /// What says on the page of which it is.
    const fn labels(self) -> &'static [Dimension] {
        match self {
            Read::LoadBalancer(_) => &[Dimension::LoadBalancer],
            Read::Listener(_) => &[Dimension::Listener],
            Read::TargetGroup(_) | Read::Gate(_) | Read::Channels(_) => &[Dimension::TargetGroup],
            Read::Zone(_) => &[Dimension::TargetGroup, Dimension::AvailabilityZone],
            Read::Target(_) => &[Dimension::TargetGroup, Dimension::Target],
            Read::Logs(_) | Read::Process(_) | Read::Agent(_) => &[],
        }
    }
}

impl Metric {
    /// Its labels on the page, in their order.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        self.read.labels().iter().chain(self.labels).copied()
    }

    /// Its samples; none if the snapshot is of a program that has no such thing.
    pub fn samples<'a>(&self, snapshot: &'a MetricsSnapshot) -> Vec<Sample<'a>> {
        match snapshot {
            MetricsSnapshot::Server(server) => self.of_server(server),
            MetricsSnapshot::Agent(agent) => match self.read {
                Read::Agent(read) => self.each([(Vec::new(), agent)], read),
                _ => Vec::new(),
            },
        }
    }

    fn of_server<'a>(&self, server: &'a ServerMetrics) -> Vec<Sample<'a>> {
        let groups = || server.node.target_groups.iter();
        match self.read {
            Read::LoadBalancer(read) => {
                let all = server.node.load_balancers.iter();
                self.each(all.map(|one| (vec![load_balancer(&one.arn)], one)), read)
            }
            Read::Listener(read) => {
                let all = server.node.listeners.iter();
                self.each(all.map(|one| (of_listener(one), one)), read)
            }
            Read::TargetGroup(read) => self.each(groups().map(|one| (of_group(one), one)), read),
            Read::Zone(read) => {
                let all = groups().flat_map(|group| group.zones.iter().map(move |zone| (group, zone)));
                self.each(all.map(|(group, zone)| (of_zone(group, &zone.zone), zone)), read)
            }
            Read::Target(read) => {
                let all = groups().flat_map(|group| group.targets.iter().map(move |target| (group, target)));
                self.each(
                    all.map(|(group, target)| (of_target(group, target), target)),
                    read,
                )
            }
            Read::Gate(read) => {
                let all = groups().filter_map(|group| Some((group, group.gate.as_ref()?)));
                self.each(all.map(|(group, gate)| (of_group(group), gate)), read)
            }
            Read::Channels(read) => {
                let all = groups().filter_map(|group| Some((group, group.gate.as_ref()?.channels.as_ref()?)));
                self.each(all.map(|(group, channels)| (of_group(group), channels)), read)
            }
            Read::Logs(read) => self.each([(Vec::new(), &server.logs)], read),
            Read::Process(read) => self.each([(Vec::new(), &server.own)], read),
            Read::Agent(_) => Vec::new(),
        }
    }

    fn each<'a, T: 'a>(
        &self,
        things: impl IntoIterator<Item = (Dimensions<'a>, &'a T)>,
        read: Reads<T>,
    ) -> Vec<Sample<'a>> {
        let mut samples = Vec::new();
        for (of, thing) in things {
            let mut values = Values::default();
            read(thing, &mut values);
            samples.extend(values.0.into_iter().map(|(labels, value)| {
                debug_assert_eq!(labels.len(), self.labels.len(), "{}", self.name);
                let labels = labels.into_iter().map(Cow::Borrowed);
                let mut dimensions = of.clone();
                dimensions.extend(self.labels.iter().copied().zip(labels));
                Sample { dimensions, value }
            }));
        }
        samples
    }
}

fn load_balancer(arn: &str) -> (Dimension, Cow<'_, str>) {
    (Dimension::LoadBalancer, Cow::Borrowed(dimension(arn)))
}

fn of_listener(listener: &ListenerMetrics) -> Dimensions<'_> {
    let name = Cow::Borrowed(dimension(&listener.arn));
    vec![
        (Dimension::Listener, name),
        load_balancer(&listener.load_balancer),
    ]
}

fn of_group(group: &TargetGroupMetrics) -> Dimensions<'_> {
    let mut dimensions = vec![(Dimension::TargetGroup, Cow::Borrowed(dimension(&group.arn)))];
    dimensions.extend(group.load_balancer.as_deref().map(load_balancer));
    dimensions
}

fn of_zone<'a>(group: &'a TargetGroupMetrics, zone: &'a str) -> Dimensions<'a> {
    let mut dimensions = of_group(group);
    dimensions.push((Dimension::AvailabilityZone, Cow::Borrowed(zone)));
    dimensions
}

fn of_target<'a>(group: &'a TargetGroupMetrics, target: &'a TargetMetrics) -> Dimensions<'a> {
    let mut dimensions = match &target.zone {
        Some(zone) => of_zone(group, zone),
        None => of_group(group),
    };
    let name = format!("{}:{}", target.id, target.port);
    dimensions.push((Dimension::Target, Cow::Owned(name)));
    dimensions
}
