//! Prometheus' remote-write, version 1.0 (prometheus.io, "Prometheus Remote-Write 1.0 specification"): the samples that a
//! scrape would find, with their names and labels.

use super::message::{Encode, Message};
use crate::histogram::Filled;
use crate::metrics::{Kind, Labels, Metric, MetricsSnapshot, Value, all, lines};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use prost::Message as _;
use std::collections::BTreeMap;

/// Most samples in one message, unless a single histogram has more: the number that Prometheus itself sends.
const SAMPLES: usize = 2000;
/// The staleness marker, which ends a series: this NaN of all.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// The headers of each post.
pub(super) fn headers() -> HeaderMap {
    let headers = [
        (CONTENT_TYPE, "application/x-protobuf"),
        (CONTENT_ENCODING, "snappy"),
        (USER_AGENT, concat!("forebay/", env!("CARGO_PKG_VERSION"))),
        (
            HeaderName::from_static("x-prometheus-remote-write-version"),
            "0.1.0",
        ),
    ];
    headers
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .into_iter()
        .collect()
}

/// Whether the same message may be sent again. The specification requires it after 5xx and allows it after 429.
pub(super) fn again(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Labels with owned values.
type OwnLabels = Vec<(&'static str, String)>;

/// What the encoding keeps from one snapshot to the next.
pub(super) struct RemoteWrite {
    instance: String,
    /// The series of the last snapshot, by metric and labels: those that are missing from the next one have ended.
    told: BTreeMap<&'static str, Vec<OwnLabels>>,
}

impl RemoteWrite {
    pub(super) fn new(instance: String) -> RemoteWrite {
        RemoteWrite {
            instance,
            told: BTreeMap::new(),
        }
    }
}

impl Encode for RemoteWrite {
    fn messages(&mut self, snapshot: &MetricsSnapshot, at_ms: u64) -> Vec<Message> {
        let mut page = Page {
            instance: &self.instance,
            timestamp: i64::try_from(at_ms).unwrap_or(i64::MAX),
            request: WriteRequest::default(),
            messages: Vec::new(),
        };
        let mut told = BTreeMap::new();
        for metric in all() {
            let samples = metric.samples(snapshot);
            let lines = lines(metric, &samples);
            for (labels, value) in &lines {
                page.line(metric, labels, Some(value));
            }
            let mut now: Vec<OwnLabels> = lines.iter().map(|(labels, _)| owned(labels)).collect();
            now.sort_unstable();
            for gone in self.told.remove(metric.name).into_iter().flatten() {
                if now.binary_search(&gone).is_err() {
                    let labels = gone.iter().map(|(name, value)| (*name, value.as_str()));
                    page.line(metric, &labels.collect(), None);
                }
            }
            if !now.is_empty() {
                told.insert(metric.name, now);
            }
        }
        self.told = told;
        page.flush();
        page.messages
    }

    /// A receiver accepts a whole message or none of it.
    fn rejected(&self, _: Bytes) -> usize {
        0
    }
}

fn owned(labels: &Labels<'_>) -> OwnLabels {
    labels
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

/// The messages of one snapshot as they are filled.
struct Page<'a> {
    instance: &'a str,
    timestamp: i64,
    request: WriteRequest,
    messages: Vec<Message>,
}

impl Page<'_> {
    /// Adds a metric's value for a set of labels, or the staleness marker if it has none any more.
    fn line(&mut self, metric: &Metric, labels: &Labels<'_>, value: Option<&Value>) {
        if self.request.timeseries.len() >= SAMPLES {
            self.flush();
        }
        let name = metric.name;
        match metric.kind {
            Kind::Counter => self.series(format!("{name}_total"), labels, None, number(value)),
            Kind::Gauge => self.series(name.to_owned(), labels, None, number(value)),
            Kind::Histogram(bounds) => {
                let filled = match value {
                    Some(Value::Distribution(fine)) => Some(Filled::of(bounds, fine)),
                    _ => None,
                };
                let mut below = 0;
                let of = |value: u64| filled.as_ref().map_or(STALE, |_| value as f64);
                let ends = bounds.iter().copied().chain([f64::INFINITY]);
                for (place, end) in ends.enumerate() {
                    below += filled.as_ref().map_or(0, |filled| filled.buckets[place].1);
                    self.series(format!("{name}_bucket"), labels, Some(bound(end)), of(below));
                }
                self.series(format!("{name}_count"), labels, None, of(below));
                let sum = filled.as_ref().map_or(STALE, |filled| filled.sum.as_secs_f64());
                self.series(format!("{name}_sum"), labels, None, sum);
            }
        }
    }

    fn series(&mut self, name: String, labels: &Labels<'_>, le: Option<String>, value: f64) {
        let own = [
            ("__name__", name),
            ("job", "forebay".to_owned()),
            ("instance", self.instance.to_owned()),
        ];
        let named = labels.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let all = own.into_iter().chain(named).chain(le.map(|le| ("le", le)));
        let mut labels: Vec<Label> = all
            // An empty label means no label, and must not be sent.
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| Label {
                name: name.to_owned(),
                value,
            })
            .collect();
        labels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.request.timeseries.push(TimeSeries {
            labels,
            samples: vec![Sample {
                value,
                timestamp: self.timestamp,
            }],
        });
    }

    fn flush(&mut self) {
        let request = core::mem::take(&mut self.request);
        let samples = request.timeseries.len();
        // Compression fails only above 4 GiB.
        if samples > 0
            && let Ok(body) = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())
        {
            self.messages.push(Message {
                body: Bytes::from(body),
                samples,
            });
        }
    }
}

fn number(value: Option<&Value>) -> f64 {
    match value {
        Some(Value::Integer(number)) => *number as f64,
        Some(Value::Real(number)) => *number,
        Some(Value::Distribution(_)) | None => STALE,
    }
}

/// A bound as Prometheus' text writes it.
fn bound(end: f64) -> String {
    if end.is_infinite() {
        "+Inf".to_owned()
    } else {
        format!("{end:?}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The samples of a message: names with labels as in Prometheus' text, without `job` and `instance`. The value is none
    /// for a series that has ended.
    pub(in crate::export) fn read(body: &[u8]) -> Vec<(String, Option<f64>)> {
        let bytes = snap::raw::Decoder::new().decompress_vec(body).unwrap();
        let request = WriteRequest::decode(&*bytes).unwrap();
        let series = request.timeseries.into_iter().map(|series| {
            assert!(
                series.labels.is_sorted_by(|one, other| one.name < other.name),
                "{series:?}"
            );
            let named = |name: &str| series.labels.iter().find(|label| label.name == name);
            assert_eq!(named("job").unwrap().value, "forebay");
            assert_eq!(named("instance").unwrap().value, "here:1");
            let labels = series.labels.iter();
            let labels = labels.filter(|label| !["__name__", "job", "instance"].contains(&&*label.name));
            let labels: Vec<String> = labels
                .map(|label| format!("{}=\"{}\"", label.name, label.value))
                .collect();
            let [sample] = series.samples[..] else {
                panic!("{series:?}");
            };
            let name = named("__name__").unwrap().value.clone();
            let name = if labels.is_empty() {
                name
            } else {
                format!("{name}{{{}}}", labels.join(","))
            };
            let ended = sample.value.to_bits() == STALE.to_bits();
            (name, (!ended).then_some(sample.value))
        });
        series.collect()
    }

    #[test]
    fn answers_that_allow_another_try() {
        for (status, is_so) in [
            (500, true),
            (503, true),
            (429, true),
            (400, false),
            (404, false),
            (301, false),
        ] {
            assert_eq!(again(StatusCode::from_u16(status).unwrap()), is_so, "{status}");
        }
    }
}
