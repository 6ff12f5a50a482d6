//! Metrics of the process itself, and of how far what it serves is behind what was requested.

use super::row::{LEVELS, counter, gauge, histogram, sum};
use super::server::LATENCIES;
use crate::metrics::cloudwatch::Statistic;
use crate::metrics::dimension::Dimension::{self, *};
use crate::metrics::metric::{Metric, Read, Unit, Value, Values};

/// The process as a whole, without dimensions.
const ALONE: &[&[Dimension]] = &[&[]];

/// The commit that was named to the build.
const COMMIT: &str = match option_env!("FOREBAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Adds a value if the kernel reports it.
fn known(value: Option<impl Into<Value>>, to: &mut Values) {
    if let Some(value) = value {
        to.add(value);
    }
}

pub(super) const ROWS: &[Metric] = &[
    gauge(
        "forebay_build_info",
        "1, labelled with what this program was built from: its version, and the commit that FOREBAY_COMMIT named to the build",
        Read::Running(|_, to| to.add_of([env!("CARGO_PKG_VERSION"), COMMIT], true)),
    )
    .by(&[Version, Commit]),
    counter(
        "process_cpu_seconds",
        "Processor time of this process",
        Read::Running(|of, to| known(of.cpu_seconds, to)),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("ProcessCPUTime", ALONE).own()]),
    gauge(
        "process_resident_memory_bytes",
        "Resident memory of this process",
        Read::Running(|of, to| known(of.resident_bytes, to)),
    )
    .unit(Unit::Bytes)
    .cloudwatch(&[sum("ProcessResidentMemory", ALONE).with(LEVELS).own()]),
    gauge(
        "process_open_fds",
        "Open file descriptors",
        Read::Running(|of, to| known(of.open_descriptors, to)),
    )
    .cloudwatch(&[sum("ProcessOpenDescriptors", ALONE).with(LEVELS).own()]),
    gauge(
        "process_max_fds",
        "Most file descriptors that may be open",
        Read::Running(|of, to| known(of.max_descriptors, to)),
    ),
    gauge(
        "process_threads",
        "Threads of this process",
        Read::Running(|of, to| known(of.threads, to)),
    ),
    gauge(
        "process_start_time_seconds",
        "When this process started, in seconds since the epoch",
        Read::Running(|of, to| known(of.start_seconds, to)),
    )
    .unit(Unit::Seconds),
    histogram(
        "forebay_planner_order_seconds",
        LATENCIES,
        "Time from the event that made a planner's order necessary, a request that had to wait or the last look, until the order was durable",
        Read::Process(|of, to| to.add(of.orders.clone())),
    ),
    histogram(
        "forebay_planner_look_seconds",
        LATENCIES,
        "Duration of a look at all planned Auto Scaling groups, without orders",
        Read::Process(|of, to| to.add(of.looks.clone())),
    ),
    histogram(
        "forebay_configuration_adoption_seconds",
        LATENCIES,
        "Time from the moment a change was stored until every worker used it; changes that wait are stored together",
        Read::Process(|of, to| to.add(of.adoptions.clone())),
    )
    .cloudwatch(&[sum("ConfigurationAdoptionTime", ALONE)
        .with(&[Statistic::Average, Statistic::Percentile])
        .own()]),
    counter(
        "forebay_exported_samples",
        "Samples of metrics that a receiver accepted (--remote-write-url, --otlp-metrics-endpoint)",
        Read::Process(|of, to| {
            for of in of.exports {
                to.add_of([of.receiver.word()], of.sent);
            }
        }),
    )
    .by(&[Receiver]),
    counter(
        "forebay_exported_samples_dropped",
        "Samples of metrics lost because a receiver was too slow, could not be reached or rejected them",
        Read::Process(|of, to| {
            for of in of.exports {
                to.add_of([of.receiver.word()], of.dropped);
            }
        }),
    )
    .by(&[Receiver]),
    counter(
        "forebay_notifications",
        "Notifications of alarms that a webhook accepted (--notify)",
        Read::Process(|of, to| to.add(of.notifications.sent)),
    ),
    counter(
        "forebay_notifications_dropped",
        "Notifications of alarms lost because a webhook was too slow, could not be reached or rejected them",
        Read::Process(|of, to| to.add(of.notifications.dropped)),
    ),
    gauge(
        "forebay_datapoint_series",
        "Metrics of which CloudWatch's API has datapoints, counted once per unit",
        Read::Process(|of, to| to.add(of.datapoints.series)),
    ),
    gauge(
        "forebay_datapoint_memory_bytes",
        "Approximate memory that datapoints take",
        Read::Process(|of, to| to.add(of.datapoints.memory_bytes)),
    )
    .unit(Unit::Bytes),
    gauge(
        "forebay_datapoint_disk_bytes",
        "Disk that datapoints take, as of the last minute",
        Read::Process(|of, to| to.add(of.datapoints.disk_bytes)),
    )
    .unit(Unit::Bytes),
    counter(
        "forebay_datapoints_dropped",
        "Datapoints dropped before their time for lack of memory, or not written because the disk was slow",
        Read::Process(|of, to| to.add(of.datapoints.points_dropped)),
    ),
    counter(
        "forebay_datapoint_files_dropped",
        "Files of datapoints deleted before their time for lack of disk space",
        Read::Process(|of, to| to.add(of.datapoints.files_dropped)),
    ),
    gauge(
        "forebay_certificate_expiry_seconds",
        "Time until a listener's certificate expires, below 0 once it has (DaysToExpiry of AWS/CertificateManager)",
        Read::Certificate(|of, to| to.add(of.seconds)),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("DaysToExpiry", &[&[LoadBalancer, Certificate]])
        .days()
        .own()
        .always()]),
];
