//! Exports to a receiver that answers by a script and keeps what it was sent.

use super::message::Message;
use super::remote_write::tests::read;
use super::*;
use crate::logs::LogCounters;
use crate::metrics::{ExpiryMetrics, Own, ServerMetrics, render};
use crate::process::ProcessMetrics;
use crate::standing::Standing;
use bytes::Bytes;
use forebay_node::{BalancerStats, Bucket, ByZone, Distribution, LoadBalancerMetrics, NodeMetrics, Shards};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

/// Load balancers with these counts of requests, each with two nodes.
fn snapshot(balancers: &[(&str, u64)]) -> MetricsSnapshot {
    let of = |&(name, requests): &(&str, u64)| LoadBalancerMetrics {
        arn: format!("arn:aws:elasticloadbalancing:local-1:000000000000:loadbalancer/app/{name}/1"),
        nodes: ["a", "b"]
            .map(|zone| {
                let counted = Shards::<BalancerStats>::new(1);
                counted
                    .of(0)
                    .requests
                    .store(requests, std::sync::atomic::Ordering::Relaxed);
                ByZone {
                    zone: zone.to_owned(),
                    counts: counted.sum(),
                }
            })
            .to_vec(),
    };
    let millis = Duration::from_millis;
    MetricsSnapshot::Server(ServerMetrics {
        node: NodeMetrics {
            load_balancers: balancers.iter().map(of).collect(),
            ..NodeMetrics::default()
        },
        certificates: Vec::<ExpiryMetrics>::new(),
        planners: Vec::new(),
        backlogs: Vec::new(),
        logs: LogCounters::default().metrics(),
        own: Box::new(Own {
            lines_dropped: 3,
            standing: Standing::Ok,
            process: ProcessMetrics {
                cpu_seconds: Some(1.25),
                start_seconds: Some(1_700_000_000.5),
                ..ProcessMetrics::default()
            },
            exports: ExportCounters::default().metrics(),
            notifications: Default::default(),
            datapoints: Default::default(),
            orders: Default::default(),
            looks: Default::default(),
            adoptions: Distribution {
                buckets: vec![
                    Bucket {
                        from: millis(2),
                        to: millis(3),
                        count: 4,
                    },
                    Bucket {
                        from: millis(700_000),
                        to: millis(710_000),
                        count: 1,
                    },
                ],
                sum: millis(705_010),
            },
        }),
    })
}

/// A snapshot's text, with labels sorted by name.
fn page(snapshot: &MetricsSnapshot) -> BTreeMap<String, f64> {
    let text = render(snapshot.clone());
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = match name.split_once('{') {
                Some((name, labels)) => {
                    let labels: BTreeSet<&str> = labels.trim_end_matches('}').split(',').collect();
                    format!("{name}{{{}}}", Vec::from_iter(labels).join(","))
                }
                None => name.to_owned(),
            };
            (name, value.parse().unwrap())
        })
        .collect()
}

/// The receiver's answers, in this order; after them, 200 to everything.
type Script = Vec<&'static str>;

/// A post: its head and its body.
type Post = (String, Vec<u8>);

fn receiver(script: Script) -> (String, mpsc::Receiver<Post>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, posts) = mpsc::channel();
    std::thread::spawn(move || {
        let mut script = script.into_iter();
        for stream in listener.incoming() {
            serve(stream.unwrap(), &mut script, &sender);
        }
    });
    (format!("http://{address}"), posts)
}

fn serve(mut stream: TcpStream, script: &mut impl Iterator<Item = &'static str>, posts: &mpsc::Sender<Post>) {
    let mut seen = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let end = seen.windows(4).position(|window| window == b"\r\n\r\n");
        let head = end.map(|end| String::from_utf8_lossy(&seen[..end]).to_lowercase());
        let whole = head.as_ref().zip(end).map(|(head, end)| {
            let length = head.split("content-length: ").nth(1).unwrap();
            end + 4 + length.lines().next().unwrap().parse::<usize>().unwrap()
        });
        if let (Some(head), Some(end), Some(whole)) = (head, end, whole)
            && seen.len() >= whole
        {
            let body = seen.drain(..whole).skip(end + 4).collect();
            let _ = posts.send((head, body));
            let answer = script.next().unwrap_or("200 OK");
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than a test: each exporter sends once at once, and once at its end.
const ONCE: Duration = Duration::from_secs(3600);

fn start(destination: Destination, of: MetricsSnapshot) -> (Exporter, Arc<ExportCounters>) {
    let counters = Arc::<ExportCounters>::default();
    let snapshot = move || Some(of.clone());
    let exporter = Exporter::start(destination, ONCE, snapshot, Arc::clone(&counters)).unwrap();
    (exporter, counters)
}

fn remote_write(base: &str) -> Destination {
    Destination::RemoteWrite(format!("{base}/write").parse().unwrap(), "here:1".to_owned())
}

#[test]
fn remote_write_says_what_the_page_says() {
    // 503 and 429 are retried, with the same message.
    let (base, posts) = receiver(vec!["503 No", "429 No\r\nRetry-After: 0"]);
    let of = snapshot(&[("b", 7)]);
    let (exporter, counters) = start(remote_write(&base), of.clone());
    let received: Vec<Post> = (0..3).map(|_| posts.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(received[0].1 == received[1].1 && received[1].1 == received[2].1);
    let head = &received[0].0;
    for line in [
        "post /write http/1.1",
        "content-type: application/x-protobuf",
        "content-encoding: snappy",
        "x-prometheus-remote-write-version: 0.1.0",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let wanted = page(&of);
    let found = read(&received[0].1);
    assert_eq!(found.len(), wanted.len());
    let found: BTreeMap<String, f64> = found
        .into_iter()
        .map(|(name, value)| (name, value.unwrap()))
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(found["forebay_requests_total{load_balancer=\"app/b/1\"}"], 14.0);
    // A last snapshot is sent at the end.
    exporter.finish();
    assert_eq!(read(&posts.recv_timeout(PATIENCE).unwrap().1).len(), wanted.len());
    let [of, _] = counters.metrics();
    assert_eq!((of.sent, of.dropped), (2 * wanted.len() as u64, 0));
}

#[test]
fn what_is_refused_is_dropped_and_counted() {
    let (base, posts) = receiver(vec!["400 Bad Request", "400 Bad Request"]);
    let of = snapshot(&[]);
    let samples = page(&of).len() as u64;
    let (exporter, counters) = start(remote_write(&base), of);
    posts.recv_timeout(PATIENCE).unwrap();
    exporter.finish();
    assert_eq!(posts.iter().take(1).count(), 1, "refused, and not sent again");
    let [of, _] = counters.metrics();
    assert_eq!((of.sent, of.dropped), (0, 2 * samples));
    assert!(posts.try_recv().is_err());
}

/// The end of an exporter does not wait for a receiver that cannot be reached.
#[test]
fn nobody_there_costs_the_samples_alone() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (exporter, counters) = start(remote_write(&format!("http://{address}")), snapshot(&[]));
    let began = Instant::now();
    exporter.finish();
    assert!(began.elapsed() < ENDING, "{:?}", began.elapsed());
    let [of, _] = counters.metrics();
    assert!(of.sent == 0 && of.dropped > 0);
}

#[test]
fn a_series_that_has_ended_is_told_once() {
    let mut encode = remote_write::RemoteWrite::new("here:1".to_owned());
    let mut ended = |balancers: &[(&str, u64)]| -> Vec<String> {
        let messages = encode.messages(&snapshot(balancers), 1_000);
        let all = messages.iter().flat_map(|message| read(&message.body));
        all.filter(|(_, value)| value.is_none())
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(ended(&[("a", 1), ("b", 1)]), Vec::<String>::new());
    let gone = ended(&[("b", 1)]);
    assert!(
        gone.contains(&"forebay_requests_total{load_balancer=\"app/a/1\"}".to_owned()),
        "{gone:?}"
    );
    assert!(gone.iter().all(|name| name.contains("app/a/1")), "{gone:?}");
    assert_eq!(ended(&[("b", 1)]), Vec::<String>::new());
}

/// The metrics of a thousand load balancers are sent in several messages.
#[test]
fn messages_are_short() {
    let names: Vec<String> = (0..200).map(|name| format!("b{name}")).collect();
    let balancers: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let of = snapshot(&balancers);
    for (mut encode, most) in [
        (
            Box::new(remote_write::RemoteWrite::new("here:1".to_owned())) as Box<dyn Encode>,
            2_100,
        ),
        (Box::new(otlp::Otlp::default()), 2_000),
    ] {
        let messages = encode.messages(&of, 1_000);
        assert!(messages.len() > 2 && messages.iter().all(|message| message.samples <= most));
    }
}

#[test]
fn otlp_says_what_the_page_says() {
    let (base, posts) = receiver(Vec::new());
    let of = snapshot(&[("b", 7)]);
    let (exporter, counters) = start(Destination::Otlp(base.parse().unwrap()), of.clone());
    let (head, body) = posts.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("post /v1/metrics http/1.1"), "{head}");
    exporter.finish();
    let request = ExportMetricsServiceRequest::decode(&*body).unwrap();
    let [resource] = &request.resource_metrics[..] else {
        panic!("{request:?}");
    };
    let service = resource.resource.as_ref().unwrap().attributes.iter();
    assert_eq!(
        service.map(|one| one.key.as_str()).collect::<Vec<_>>(),
        ["service.name", "service.version"]
    );
    let metrics = &resource.scope_metrics[0].metrics;
    let told = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &told("forebay_requests").data else {
        panic!("a counter is a sum");
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    assert_eq!(sum.data_points[0].start_time_unix_nano, 1_700_000_000_500_000_000);
    let Some(Data::Histogram(histogram)) = &told("forebay_configuration_adoption_seconds").data else {
        panic!("a histogram is one");
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (5, Some(705.01)));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.last(), Some(&1));
    assert_eq!(told("forebay_configuration_adoption_seconds").unit, "s");
    let [_, of] = counters.metrics();
    assert!(of.sent > 0 && of.dropped == 0, "{of:?}");
}

/// Encodes each snapshot as one long message.
struct Long;

impl Encode for Long {
    fn messages(&mut self, _: &MetricsSnapshot, _: u64) -> Vec<Message> {
        vec![Message {
            body: Bytes::from(vec![0; 1024 * 1024]),
            samples: 10,
        }]
    }

    fn rejected(&self, _: Bytes) -> usize {
        0
    }
}

/// However long a receiver is away, the waiting messages stay within their limit.
#[tokio::test]
async fn what_waits_is_bounded() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uri = format!("http://{address}/").parse().unwrap();
    let poster = Poster::new(uri, remote_write::headers(), remote_write::again);
    let counters = Arc::<ExportCounters>::default();
    let of = snapshot(&[]);
    let mut sender = Sender::new(
        Receiver::RemoteWrite,
        poster,
        Box::new(Long),
        Box::new(move || Some(of.clone())),
        Arc::clone(&counters),
    );
    for _ in 0..20 {
        sender.take();
    }
    // Eight MiB may wait.
    assert_eq!(counters.metrics()[0].dropped, 12 * 10);
}
