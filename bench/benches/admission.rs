//! What a slot costs: arriving and releasing through a lock, alone and with a second worker at it, at 1, 20 and 1,000
//! targets, with free slots and with others waiting. Bound: 300 ns each with two workers.
//!
//! A round is one arrival and one release, and what `poll` has to do after either: so two of what the bound is for.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use forebay_admission::{Arrival, Gate, Limit, Member, Rules, Verdict};
use forebay_units::{Mono, Rng};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Slots of each target.
const SLOTS: u32 = 64;
/// Who waits before the measurement begins.
const WAITING: usize = 10_000;

type Shared = Mutex<Gate<Arc<u64>, u32>>;

/// As the node does: the holder is done within some hundred nanoseconds.
fn lock(gate: &Shared) -> MutexGuard<'_, Gate<Arc<u64>, u32>> {
    let mut pause = 8;
    while pause < 4096 {
        if let Ok(guard) = gate.try_lock() {
            return guard;
        }
        for _ in 0..pause {
            std::hint::spin_loop();
        }
        pause *= 2;
    }
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the two benchmarks differ in.
#[derive(Clone, Copy)]
struct Case {
    targets: u64,
    waiters: bool,
    balanced: bool,
}

impl Case {
    fn gate(self) -> Shared {
        let mut gate = Gate::new(Rules {
            limit: Limit::Fixed(SLOTS),
            length: 100_000,
            wait: Duration::from_secs(10),
            balanced: self.balanced,
        });
        let member = |key| Member {
            key,
            zone: None,
            weight: 1,
            target: Arc::new(key),
        };
        gate.arrange(Mono::ZERO, (0..self.targets).map(member).collect());
        Mutex::new(gate)
    }
}

struct Worker<'a> {
    gate: &'a Shared,
    rng: Rng,
    held: VecDeque<u64>,
    now: Mono,
}

impl<'a> Worker<'a> {
    fn new(gate: &'a Shared, seed: u64) -> Worker<'a> {
        Worker {
            gate,
            rng: Rng::named(seed, "worker"),
            held: VecDeque::new(),
            now: Mono::ZERO,
        }
    }

    /// Arrives; whoever is released because of it is its own.
    fn arrive(&mut self) {
        self.now = Mono(self.now.0 + 1000);
        let arrival = Arrival {
            zone: 0,
            class: 0,
            weight: 1,
            since: self.now,
            deadline: self.now + Duration::from_secs(1000),
            front: false,
            avoid: &[],
            prefers: None,
        };
        let mut gate = lock(self.gate);
        let verdict = gate.arrive(self.now, black_box(&arrival), &mut self.rng, || 7);
        while let Some(released) = gate.poll(self.now) {
            self.held.extend(released.outcome.ok().map(|slot| slot.key));
        }
        drop(gate);
        if let Verdict::Admitted(slot) = verdict {
            self.held.push_back(black_box(slot).key);
        }
    }

    fn release(&mut self) {
        let Some(key) = self.held.pop_front() else { return };
        let mut gate = lock(self.gate);
        gate.release(self.now, black_box(key), Some(Duration::from_millis(5)));
        while let Some(released) = gate.poll(self.now) {
            self.held.extend(released.outcome.ok().map(|slot| slot.key));
        }
    }

    /// Holds a few slots; fills the gate and its queue if others are to wait.
    fn settle(&mut self, case: Case) {
        (0..16).for_each(|_| self.arrive());
        while case.waiters && lock(self.gate).waiting() < WAITING {
            self.arrive();
        }
    }

    /// The time of so many rounds, by the median of batches long enough to hold many turns of two workers.
    fn rounds(&mut self, rounds: u64) -> Duration {
        const BATCH: u64 = 1024;
        let mut batches: Vec<Duration> = (0..rounds.div_ceil(BATCH))
            .map(|_| {
                let began = Instant::now();
                for _ in 0..BATCH {
                    self.arrive();
                    self.release();
                }
                began.elapsed()
            })
            .collect();
        batches.sort();
        let median = batches[batches.len() / 2];
        Duration::from_nanos((median.as_nanos() as u64).saturating_mul(rounds) / BATCH)
    }
}

fn alone(case: Case, rounds: u64) -> Duration {
    let gate = case.gate();
    let mut worker = Worker::new(&gate, 0);
    worker.settle(case);
    worker.rounds(rounds)
}

/// The same while another works, with so long between its rounds.
fn beside(case: Case, pause: Duration, rounds: u64) -> Duration {
    let gate = case.gate();
    let (going, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let mut worker = Worker::new(&gate, 0);
        worker.settle(case);
        scope.spawn(|| {
            let mut other = Worker::new(&gate, 1);
            if !case.waiters {
                other.settle(case);
            }
            going.store(true, Ordering::SeqCst);
            while !stop.load(Ordering::Relaxed) {
                other.arrive();
                other.release();
                let until = Instant::now() + pause;
                while !pause.is_zero() && Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
        });
        while !going.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        let took = worker.rounds(rounds);
        stop.store(true, Ordering::SeqCst);
        took
    })
}

fn slots(criterion: &mut Criterion) {
    for (name, waiters, balanced) in [
        ("free slots", false, false),
        ("free slots, balanced", false, true),
        ("10,000 wait", true, false),
    ] {
        let mut group = criterion.benchmark_group(format!("arrive and release, {name}"));
        for targets in [1_u64, 20, 1_000] {
            let case = Case {
                targets,
                waiters,
                balanced,
            };
            group.bench_function(BenchmarkId::new("one worker", targets), |bencher| {
                bencher.iter_custom(|rounds| alone(case, rounds));
            });
            group.bench_function(BenchmarkId::new("two workers", targets), |bencher| {
                bencher.iter_custom(|rounds| beside(case, Duration::ZERO, rounds));
            });
            group.bench_function(BenchmarkId::new("the other every 2 us", targets), |bencher| {
                bencher.iter_custom(|rounds| beside(case, Duration::from_micros(2), rounds));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, slots);
criterion_main!(benches);
