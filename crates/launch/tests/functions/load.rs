//! How fast it is. Not among the usual tests, as others use the machine: `-- --ignored`.

use crate::bench::{Bench, Test, arn, code, spec, wait};
use forebay_functions::{Functions as _, Invocation};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[("a_thousand_a_second", a_thousand_a_second)];

/// A runtime that costs little itself.
const FAST: &str = r#"#!/usr/bin/env python3
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
s = socket.create_connection((host, int(port)))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def read():
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536)
    head, rest = data.split(b"\r\n\r\n", 1)
    low = head.lower()
    length = int(low.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(rest) < length:
        rest += s.recv(65536)
    return low, rest
while True:
    s.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
    head, body = read()
    id = head.split(b"request-id: ", 1)[1].split(b"\r\n", 1)[0]
    s.sendall(b"POST /2018-06-01/runtime/invocation/" + id + b"/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    read()
"#;

fn a_thousand_a_second() {
    const COUNT: u32 = 5_000;
    let bench = Bench::with(|_| {});
    let sha = code(&bench.runtimes, &[("bootstrap", FAST)]);
    bench.runtimes.publish(vec![spec("f", sha)]);
    let warm: Vec<_> = (0..10).map(|_| bench.ask("f", "{}")).collect();
    for one in &warm {
        assert_eq!(wait(one).unwrap().error, None);
    }
    let (sender, receiver) = channel();
    let began = Instant::now();
    for place in 0..COUNT {
        let due = began + Duration::from_millis(1) * place;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (sender, asked) = (sender.clone(), Instant::now());
        let invocation = Invocation {
            function: arn("f"),
            payload: b"{}".to_vec(),
            ..Invocation::default()
        };
        let done = Box::new(move |outcome: Result<_, _>| {
            let _ = sender.send((asked.elapsed(), outcome.is_ok()));
        });
        bench.runtimes.invoke(invocation, done);
    }
    let mut times: Vec<Duration> = (0..COUNT)
        .map(|_| receiver.recv_timeout(Duration::from_secs(20)).unwrap())
        .filter_map(|(time, is_ok)| is_ok.then_some(time))
        .collect();
    // On a machine that stands still for a tenth of a second, a hundred have come, and more are refused.
    let refused = COUNT as usize - times.len();
    let took = began.elapsed();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let stats = bench.runtimes.stats();
    eprintln!(
        "{:.0} a second, {refused} refused; p50 {:?}, p99 {:?}, longest {:?}; {} environments",
        f64::from(COUNT) / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        stats.functions[&arn("f")].environments
    );
    assert!(at(0.99) < Duration::from_millis(50) && refused == 0);
}
