//! What a simulated request costs by the number of targets: `cargo run --release -p forebay-sim --example scale`.

use core::time::Duration;
use forebay_model::{Algorithm, Concurrency, QueueSettings};
use forebay_sim::{Arrivals, Behaviour, Crowd, Kind, PAUSE, Scene, Span};
use std::sync::Arc;
use std::time::Instant;

/// Slots of a target, and of how many of them a request is sent.
const SLOTS: u32 = 8;
const BUSY: f64 = 0.8;
/// Mean seconds for which a request holds its slot.
const SERVICE: f64 = 2.0;

fn scene(targets: u16, requests: f64, limited: bool) -> Scene {
    let behaviour = Behaviour {
        threads: SLOTS,
        get: Span::Uniform(Duration::from_secs(1), Duration::from_secs(3)),
        ..Behaviour::single_threaded()
    };
    let mut scene = Scene::new(1, targets, behaviour, Algorithm::LeastOutstandingRequests);
    scene.settings.queue = limited.then(|| Arc::new(QueueSettings::of(Concurrency::Fixed(SLOTS))));
    let rate = f64::from(targets) * f64::from(SLOTS) * BUSY / SERVICE;
    scene.crowds = vec![Crowd {
        rate,
        arrivals: Arrivals::Poisson,
        visit: &[Kind::Get],
        pause: PAUSE,
        from: Duration::ZERO,
        until: Duration::from_secs_f64(requests / rate),
    }];
    scene
}

#[allow(clippy::disallowed_methods, reason = "it measures what the simulation takes")]
fn measure(targets: u16, requests: f64, limited: bool) {
    let scene = scene(targets, requests, limited);
    let began = Instant::now();
    let seen = scene.play().seen.len();
    let took = began.elapsed();
    println!(
        "{targets:>6} targets  {:9}  {seen:>9} requests  {:>7.3} s  {:>6.2} us a request",
        if limited { "limited" } else { "unlimited" },
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / seen as f64
    );
}

fn main() {
    println!("least_outstanding_requests; limited: {SLOTS} slots a target behind a gate with a queue");
    for limited in [true, false] {
        for targets in [10, 100, 1_000, 10_000] {
            measure(targets, 200_000.0, limited);
        }
        measure(10_000, 1_000_000.0, limited);
    }
}
