//! What a process knows of itself, and how far what it serves is from what was asked for.

use super::row::{LEVELS, counter, gauge, histogram, sum};
use super::server::LATENCIES;
use crate::metrics::cloudwatch::Statistic;
use crate::metrics::dimension::Dimension::{self, *};
use crate::metrics::metric::{Metric, Read, Unit, Value, Values};

/// Of a process: by nothing.
const ALONE: &[&[Dimension]] = &[&[]];

/// What the build was told of where it came from.
const COMMIT: &str = match option_env!("FOREBAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What the kernel did not say is left out.
fn known(value: Option<impl Into<Value>>, to: &mut Values) {
    if let Some(value) = value {
        to.add(value);
    }
}

pub(super) const ROWS: &[Metric] = &[
    gauge(
        "forebay_build_info",
        "1, by what this program was built from: its version, and the commit that FOREBAY_COMMIT named to the build",
        Read::Running(|_, to| to.add_of([env!("CARGO_PKG_VERSION"), COMMIT], true)),
    )
    .by(&[Version, Commit]),
    counter(
        "process_cpu_seconds",
        "Seconds that processors worked for this process",
        Read::Running(|of, to| known(of.cpu_seconds, to)),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("ProcessCPUTime", ALONE).own()]),
    gauge(
        "process_resident_memory_bytes",
        "Memory that is this process's own",
        Read::Running(|of, to| known(of.resident_bytes, to)),
    )
    .unit(Unit::Bytes)
    .cloudwatch(&[sum("ProcessResidentMemory", ALONE).with(LEVELS).own()]),
    gauge(
        "process_open_fds",
        "Descriptors that are open",
        Read::Running(|of, to| known(of.open_descriptors, to)),
    )
    .cloudwatch(&[sum("ProcessOpenDescriptors", ALONE).with(LEVELS).own()]),
    gauge(
        "process_max_fds",
        "Descriptors that may be open",
        Read::Running(|of, to| known(of.max_descriptors, to)),
    ),
    gauge(
        "process_threads",
        "Threads of this process",
        Read::Running(|of, to| known(of.threads, to)),
    ),
    gauge(
        "process_start_time_seconds",
        "When this process began, in seconds since the epoch",
        Read::Running(|of, to| known(of.start_seconds, to)),
    )
    .unit(Unit::Seconds),
    histogram(
        "forebay_planner_look_seconds",
        LATENCIES,
        "How long a look at all planned Auto Scaling groups took, orders apart",
        Read::Process(|of, to| to.add(of.looks.clone())),
    ),
    histogram(
        "forebay_configuration_adoption_seconds",
        LATENCIES,
        "Time from the moment a change was stored until every worker decided by it; changes that wait are stored together",
        Read::Process(|of, to| to.add(of.adoptions.clone())),
    )
    .cloudwatch(&[sum("ConfigurationAdoptionTime", ALONE)
        .with(&[Statistic::Average, Statistic::Percentile])
        .own()]),
    counter(
        "forebay_exported_samples",
        "Samples of metrics that a receiver took (--remote-write-url, --otlp-metrics-endpoint)",
        Read::Process(|of, to| {
            for of in of.exports {
                to.add_of([of.receiver.word()], of.sent);
            }
        }),
    )
    .by(&[Receiver]),
    counter(
        "forebay_exported_samples_dropped",
        "Samples of metrics lost because a receiver was slow, away or did not want them",
        Read::Process(|of, to| {
            for of in of.exports {
                to.add_of([of.receiver.word()], of.dropped);
            }
        }),
    )
    .by(&[Receiver]),
    counter(
        "forebay_notifications",
        "Notifications of alarms that a webhook took (--notify)",
        Read::Process(|of, to| to.add(of.notifications.sent)),
    ),
    counter(
        "forebay_notifications_dropped",
        "Notifications of alarms lost because a webhook was slow, away or did not want them",
        Read::Process(|of, to| to.add(of.notifications.dropped)),
    ),
    gauge(
        "forebay_datapoint_series",
        "Metrics of which CloudWatch's API has datapoints; one for each unit",
        Read::Process(|of, to| to.add(of.datapoints.series)),
    ),
    gauge(
        "forebay_datapoint_memory_bytes",
        "Memory that datapoints take, about",
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
        "Datapoints that went before their time for want of memory, or were not written because the disk was slow",
        Read::Process(|of, to| to.add(of.datapoints.points_dropped)),
    ),
    counter(
        "forebay_datapoint_files_dropped",
        "Files of datapoints deleted before their time for want of disk",
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
