//! A metric's description: its names, kind, unit and dimensions, and how its samples are read from a snapshot.

use super::cloudwatch::{CloudWatch, Part};
use super::dimension::Dimension;
use super::snapshot::{AgentMetrics, ExpiryMetrics, MetricsSnapshot, Own, PlannerMetrics, ServerMetrics};
use crate::backlog::BacklogMetrics;
use crate::labels::dimension;
use crate::logs::LogMetrics;
use crate::process::ProcessMetrics;
use forebay_node::{
    ByZone, ChannelMetrics, Distribution, GateMetrics, GroupCounts, ListenerCounts, ListenerMetrics,
    LoadBalancerCounts, TargetGroupMetrics, TargetMetrics, ZoneMetrics,
};
use forebay_scaling::planner::FlowPlan;
use std::borrow::Cow;

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name in Prometheus, without the suffix of its samples.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// The unit of its values.
    pub unit: Unit,
    /// Its labels beyond those of its subject.
    pub labels: &'static [Dimension],
    /// Its meaning, as a sentence without the final period.
    pub meaning: &'static str,
    /// CloudWatch metrics that are made from it.
    pub cloudwatch: &'static [CloudWatch],
    /// Its subject, and how it is read there.
    pub read: Read,
}

/// The kind of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A count since the start of the process.
    Counter,
    /// A level at this moment.
    Gauge,
    /// A histogram since the start of the process, with these upper bounds in Prometheus' text.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Prometheus' name for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    /// The suffixes of sample names in Prometheus' text.
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram(_) => &["_bucket", "_count", "_sum"],
        }
    }
}

/// The unit of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Events or things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A ratio between 0 and 1.
    Ratio,
}

impl Unit {
    /// CloudWatch's name for it.
    pub const fn cloudwatch(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Bytes => "Bytes",
            Unit::Seconds => "Seconds",
            Unit::Ratio => "None",
        }
    }

    /// Its name in the documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::Ratio => "ratio",
        }
    }
}

/// The value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// Any other number.
    Real(f64),
    /// A histogram's content, in finer buckets than its bounds.
    Distribution(Distribution),
}

impl Value {
    /// Adds another value of the same kind.
    pub(super) fn add(&mut self, other: &Value) {
        match (self, other) {
            (Value::Integer(sum), Value::Integer(more)) => *sum += more,
            (Value::Real(sum), Value::Real(more)) => *sum += more,
            (Value::Distribution(sum), Value::Distribution(more)) => sum.add(more),
            // Samples of a metric are all of one kind; `text` and `datapoints` rely on it.
            _ => debug_assert!(false, "a metric has samples of two kinds"),
        }
    }
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

/// The dimensions of a sample with their values. There may be more of them than a page has labels: a target's sample names
/// its
/// zone and load balancer, and what nodes count names their zone. A page adds up samples that differ only in those.
pub type Dimensions<'a> = Vec<(Dimension, Cow<'a, str>)>;

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Its dimensions.
    pub dimensions: Dimensions<'a>,
    /// Its value.
    pub value: Value,
}

/// Collects the values that are read from one subject.
#[derive(Debug, Default)]
pub struct Values(Vec<(Vec<&'static str>, Value)>);

impl Values {
    /// Adds the only value.
    pub fn add(&mut self, value: impl Into<Value>) {
        self.add_of([], value);
    }

    /// Adds one of several values, with its labels in the metric's order.
    pub fn add_of<const N: usize>(&mut self, labels: [&'static str; N], value: impl Into<Value>) {
        self.0.push((labels.to_vec(), value.into()));
    }
}

type Reads<T> = fn(&T, &mut Values);

/// A metric's subject, and how the metric is read from one such subject.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// Each load balancer, at each of its nodes.
    LoadBalancer(Reads<ByZone<LoadBalancerCounts>>),
    /// Each listener, at each node.
    Listener(Reads<ByZone<ListenerCounts>>),
    /// Each target group, at each node of its load balancer.
    TargetGroup(Reads<ByZone<GroupCounts>>),
    /// Each target group, its targets together.
    Targets(Reads<TargetMetrics>),
    /// Each zone of a target group.
    Zone(Reads<ZoneMetrics>),
    /// Each target.
    Target(Reads<TargetMetrics>),
    /// Each target group that is limited or has a queue.
    Gate(Reads<GateMetrics>),
    /// Each target group whose slots are counted by agents.
    Channels(Reads<ChannelMetrics>),
    /// Each planned Auto Scaling group.
    Planner(Reads<PlannerMetrics>),
    /// Each target group of each planned Auto Scaling group.
    Flow(Reads<FlowPlan>),
    /// Each group that is sized by its workers' queue.
    Backlog(Reads<BacklogMetrics>),
    /// Logs and spans.
    Logs(Reads<LogMetrics>),
    /// Each certificate of each listener.
    Certificate(Reads<ExpiryMetrics>),
    /// The server's process.
    Process(Reads<Own>),
    /// The process, whichever program it runs.
    Running(Reads<ProcessMetrics>),
    /// The agent.
    Agent(Reads<AgentMetrics>),
}

impl Read {
    /// The subject, as a heading.
    pub const fn subject(self) -> &'static str {
        match self {
            Read::LoadBalancer(_) => "Load balancers",
            Read::Listener(_) => "Listeners",
            Read::TargetGroup(_) | Read::Targets(_) => "Target groups",
            Read::Zone(_) => "Zones of target groups",
            Read::Target(_) => "Targets",
            Read::Gate(_) => "Slots and surge queues",
            Read::Channels(_) => "Target control",
            Read::Planner(_) | Read::Flow(_) => "Planned Auto Scaling groups",
            Read::Backlog(_) => "Workers on queues",
            Read::Logs(_) => "Logs and spans",
            Read::Certificate(_) => "Certificates",
            Read::Process(_) | Read::Running(_) => "The process",
            Read::Agent(_) => "The agent",
        }
    }

    /// The labels that name the subject on the page.
    const fn labels(self) -> &'static [Dimension] {
        match self {
            Read::LoadBalancer(_) => &[Dimension::LoadBalancer],
            Read::Listener(_) => &[Dimension::Listener],
            Read::Certificate(_) => &[Dimension::Listener, Dimension::Certificate],
            Read::TargetGroup(_) | Read::Targets(_) | Read::Gate(_) | Read::Channels(_) => {
                &[Dimension::TargetGroup]
            }
            Read::Planner(_) | Read::Backlog(_) => &[Dimension::AutoScalingGroup],
            Read::Flow(_) => &[Dimension::AutoScalingGroup, Dimension::TargetGroup],
            Read::Zone(_) => &[Dimension::TargetGroup, Dimension::AvailabilityZone],
            Read::Target(_) => &[Dimension::TargetGroup, Dimension::Target],
            Read::Logs(_) | Read::Process(_) | Read::Running(_) | Read::Agent(_) => &[],
        }
    }
}

impl Read {
    /// The dimension by which values stay apart even under the same CloudWatch dimensions: each node counts for itself, and
    /// a
    /// certificate's days must not be added up over listeners.
    pub(super) const fn apart(self) -> Option<Dimension> {
        match self {
            Read::LoadBalancer(_) | Read::Listener(_) | Read::TargetGroup(_) => {
                Some(Dimension::AvailabilityZone)
            }
            Read::Certificate(_) => Some(Dimension::Listener),
            _ => None,
        }
    }
}

impl Metric {
    /// CloudWatch's name for the unit of a metric made from this one.
    pub const fn unit_of(&self, of_aws: &CloudWatch) -> &'static str {
        match of_aws.part {
            Part::Days => Unit::Count.cloudwatch(),
            _ => self.unit.cloudwatch(),
        }
    }

    /// Its labels on the page, in their order.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        self.read.labels().iter().chain(self.labels).copied()
    }

    /// Its samples; none if the snapshot is of a program without this subject.
    pub fn samples<'a>(&self, snapshot: &'a MetricsSnapshot) -> Vec<Sample<'a>> {
        match snapshot {
            MetricsSnapshot::Server(server) => self.of_server(server),
            MetricsSnapshot::Agent(agent) => match self.read {
                Read::Agent(read) => self.each([(Vec::new(), agent)], read),
                Read::Running(read) => self.each([(Vec::new(), &agent.process)], read),
                _ => Vec::new(),
            },
        }
    }

    fn of_server<'a>(&self, server: &'a ServerMetrics) -> Vec<Sample<'a>> {
        let groups = || server.node.target_groups.iter();
        match self.read {
            Read::LoadBalancer(read) => {
                let all = server.node.load_balancers.iter();
                let all = all.flat_map(|one| one.nodes.iter().map(move |node| (one, node)));
                let of = |arn| vec![load_balancer(arn)];
                self.each(all.map(|(one, node)| (at(of(&one.arn), &node.zone), node)), read)
            }
            Read::Listener(read) => {
                let all = server.node.listeners.iter();
                let all = all.flat_map(|one| one.nodes.iter().map(move |node| (one, node)));
                self.each(
                    all.map(|(one, node)| (at(of_listener(one), &node.zone), node)),
                    read,
                )
            }
            Read::TargetGroup(read) => {
                let all = groups().flat_map(|group| group.nodes.iter().map(move |node| (group, node)));
                self.each(
                    all.map(|(group, node)| (at(of_group(group), &node.zone), node)),
                    read,
                )
            }
            Read::Targets(read) => {
                let all = groups().flat_map(|group| group.targets.iter().map(move |target| (group, target)));
                self.each(all.map(|(group, target)| (of_zoned(group, target), target)), read)
            }
            Read::Zone(read) => {
                let all = groups().flat_map(|group| group.zones.iter().map(move |zone| (group, zone)));
                self.each(
                    all.map(|(group, zone)| (at(of_group(group), &zone.zone), zone)),
                    read,
                )
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
            Read::Planner(_) | Read::Flow(_) | Read::Backlog(_) => self.of_planned(server),
            Read::Logs(read) => self.each([(Vec::new(), &server.logs)], read),
            Read::Certificate(read) => self.each(
                server.certificates.iter().map(|one| (of_certificate(one), one)),
                read,
            ),
            Read::Process(read) => self.each([(Vec::new(), &*server.own)], read),
            Read::Running(read) => self.each([(Vec::new(), &server.own.process)], read),
            Read::Agent(_) => Vec::new(),
        }
    }

    /// Samples of planned Auto Scaling groups.
    fn of_planned<'a>(&self, server: &'a ServerMetrics) -> Vec<Sample<'a>> {
        match self.read {
            Read::Planner(read) => {
                let all = server.planners.iter();
                self.each(all.map(|one| (of_scaling_group(&one.group), one)), read)
            }
            Read::Flow(read) => {
                let all = server.planners.iter();
                let all =
                    all.flat_map(|one| one.plan.flows.iter().map(move |flow| (of_flow(one, flow), flow)));
                self.each(all, read)
            }
            Read::Backlog(read) => {
                let all = server.backlogs.iter();
                self.each(all.map(|one| (of_scaling_group(&one.group), one)), read)
            }
            _ => Vec::new(),
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

/// The certificate with its label. Built here, because labels of the values that a reader adds are static words.
fn of_certificate(certificate: &ExpiryMetrics) -> Dimensions<'_> {
    vec![
        (
            Dimension::Listener,
            Cow::Borrowed(dimension(&certificate.listener)),
        ),
        load_balancer(&certificate.load_balancer),
        (
            Dimension::Certificate,
            Cow::Borrowed(dimension(&certificate.certificate)),
        ),
    ]
}

fn of_scaling_group(name: &str) -> Dimensions<'_> {
    vec![(Dimension::AutoScalingGroup, Cow::Borrowed(name))]
}

fn of_flow<'a>(planner: &'a PlannerMetrics, flow: &'a FlowPlan) -> Dimensions<'a> {
    let mut dimensions = of_scaling_group(&planner.group);
    dimensions.push((Dimension::TargetGroup, Cow::Borrowed(&*flow.name)));
    dimensions
}

fn of_group(group: &TargetGroupMetrics) -> Dimensions<'_> {
    let mut dimensions = vec![(Dimension::TargetGroup, Cow::Borrowed(dimension(&group.arn)))];
    dimensions.extend(group.load_balancer.as_deref().map(load_balancer));
    dimensions
}

fn at<'a>(mut dimensions: Dimensions<'a>, zone: &'a str) -> Dimensions<'a> {
    dimensions.push((Dimension::AvailabilityZone, Cow::Borrowed(zone)));
    dimensions
}

fn of_zoned<'a>(group: &'a TargetGroupMetrics, target: &'a TargetMetrics) -> Dimensions<'a> {
    match &target.zone {
        Some(zone) => at(of_group(group), zone),
        None => of_group(group),
    }
}

fn of_target<'a>(group: &'a TargetGroupMetrics, target: &'a TargetMetrics) -> Dimensions<'a> {
    let mut dimensions = of_zoned(group, target);
    let name = format!("{}:{}", target.id, target.port);
    dimensions.push((Dimension::Target, Cow::Owned(name)));
    dimensions
}
