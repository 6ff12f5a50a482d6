//! What a pick costs under each algorithm, at 10, 1,000 and 10,000 targets, with requests in flight; and least outstanding
//! requests with two workers at it without a pause. Bounds: 100 ns a pick; two workers at most twice as long as one.
//!
//! A pick is measured alone, but with what releases left for it to do; with two workers, pick and release together.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use forebay_model::*;
use forebay_node::{InFlight, Node, Output, Snapshot, WorkerState, ZoneId};
use forebay_units::Mono;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Requests that one worker has in flight.
const IN_FLIGHT: usize = 64;

fn group(targets: u16, algorithm: Algorithm) -> GroupBlueprint {
    GroupBlueprint {
        arn: "group".into(),
        protocol: Protocol::Http,
        version: ProtocolVersion::Http1,
        probe: ProbeKind::Http1,
        health: HealthCheck {
            // All count as healthy: ten thousand probes would take longer than what is measured.
            enabled: false,
            https: false,
            port: HealthPort::Traffic,
            path: "/".into(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: Matcher::parse("200").expect("a code"),
        },
        settings: GroupSettings {
            algorithm,
            ..GroupSettings::default()
        },
        targets: (0..targets)
            .map(|index| TargetBlueprint {
                id: format!("10.0.{}.{}", index / 250, index % 250),
                port: 80,
                address: Some(([10, 0, (index / 250) as u8, (index % 250) as u8], 80).into()),
                zone: None,
                draining: false,
                weight: 1,
            })
            .collect(),
        in_use: true,
        zones: vec!["a".into()],
    }
}

/// A node with one group of healthy targets, and its snapshot.
fn node(targets: u16, algorithm: Algorithm) -> (Node, Arc<Snapshot>) {
    let mut node = Node::new(2);
    let groups = vec![Arc::new(group(targets, algorithm))];
    let blueprint = Blueprint {
        generation: 1,
        groups,
        ..Blueprint::default()
    };
    node.apply(Mono::ZERO, &blueprint);
    let mut latest = Arc::default();
    while let Some(output) = node.poll_output() {
        if let Output::Publish(snapshot) = output {
            latest = snapshot;
        }
    }
    (node, latest)
}

/// A worker with requests in flight: each pick ends the oldest.
struct Worker {
    mind: WorkerState,
    flying: VecDeque<InFlight>,
    now: Mono,
}

impl Worker {
    fn new(number: usize, snapshot: &Snapshot) -> Worker {
        let mut worker = Worker {
            mind: WorkerState::new(number, 1),
            flying: VecDeque::with_capacity(2 * IN_FLIGHT),
            now: Mono::ZERO,
        };
        for _ in 0..IN_FLIGHT {
            worker.pick(snapshot);
        }
        worker
    }

    /// The time of so many picks alone, by the median of batches of 32: as many requests as are picked are ended after each
    /// batch, outside of the measurement, and what else the machine does meanwhile is left out.
    fn time(&mut self, snapshot: &Snapshot, rounds: u64) -> Duration {
        let batch = IN_FLIGHT as u64 / 2;
        let batches = (0..rounds.div_ceil(batch)).map(|_| {
            let began = Instant::now();
            for _ in 0..batch {
                self.now = Mono(self.now.0 + 10_000);
                let group = black_box(&snapshot.groups[0]);
                let slot = self.mind.choose(self.now, group, ZoneId(0), &[]);
                self.flying.extend(slot);
            }
            let took = began.elapsed();
            self.flying.drain(..batch as usize);
            took
        });
        scaled_median(batches.collect(), batch, rounds)
    }

    /// The time of so many picks and releases, by the median of batches long enough to hold many turns of two workers.
    fn both(&mut self, snapshot: &Snapshot, rounds: u64) -> Duration {
        const BATCH: u64 = 1024;
        let batches = (0..rounds.div_ceil(BATCH)).map(|_| {
            let began = Instant::now();
            (0..BATCH).for_each(|_| self.pick(snapshot));
            began.elapsed()
        });
        scaled_median(batches.collect(), BATCH, rounds)
    }

    #[inline]
    fn pick(&mut self, snapshot: &Snapshot) {
        self.now = Mono(self.now.0 + 10_000);
        let group = &snapshot.groups[0];
        let slot = self.mind.choose(self.now, black_box(group), ZoneId(0), &[]);
        self.flying.extend(slot);
        if self.flying.len() > IN_FLIGHT {
            self.flying.pop_front();
        }
    }
}

/// The time of `rounds`, by the median of batches of `batch` each.
fn scaled_median(mut batches: Vec<Duration>, batch: u64, rounds: u64) -> Duration {
    batches.sort();
    let median = batches[batches.len() / 2];
    Duration::from_nanos((median.as_nanos() as u64).saturating_mul(rounds) / batch)
}

fn picks(criterion: &mut Criterion) {
    for algorithm in Algorithm::ALL {
        let mut group = criterion.benchmark_group(algorithm.word());
        for targets in [10_u16, 1_000, 10_000] {
            let (_node, snapshot) = node(targets, algorithm);
            assert_eq!(
                snapshot.groups[0].eligible(ZoneId(0)).targets.len(),
                usize::from(targets)
            );
            let mut worker = Worker::new(0, &snapshot);
            group.bench_function(BenchmarkId::from_parameter(targets), |bencher| {
                bencher.iter_custom(|rounds| worker.time(&snapshot, rounds));
            });
        }
        group.finish();
    }
}

/// The time of one worker's picks and releases while another works: without a pause, which no proxy does, and with two
/// microseconds between picks, which is five times as often as a fast one does.
fn contended(criterion: &mut Criterion) {
    let (_node, snapshot) = node(1_000, Algorithm::LeastOutstandingRequests);
    let mut group = criterion.benchmark_group("least_outstanding_requests, two workers");
    group.bench_function("one works", |bencher| {
        let mut worker = Worker::new(0, &snapshot);
        bencher.iter_custom(|rounds| worker.both(&snapshot, rounds));
    });
    for (name, pause) in [
        ("both work", Duration::ZERO),
        ("the other every 2 us", Duration::from_micros(2)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| beside(&snapshot, pause, rounds));
        });
    }
    group.finish();
}

fn beside(snapshot: &Snapshot, pause: Duration, rounds: u64) -> Duration {
    let (going, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = Worker::new(1, snapshot);
            going.store(true, Ordering::SeqCst);
            while !stop.load(Ordering::Relaxed) {
                other.pick(snapshot);
                let until = Instant::now() + pause;
                while !pause.is_zero() && Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
        });
        let mut worker = Worker::new(0, snapshot);
        while !going.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        let took = worker.both(snapshot, rounds);
        stop.store(true, Ordering::SeqCst);
        took
    })
}

criterion_group!(benches, picks, contended);
criterion_main!(benches);
