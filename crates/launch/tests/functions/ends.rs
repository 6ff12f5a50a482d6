//! Ends: of time, of memory, of environments, of Forebay. Nothing is left after any of them.

use crate::bench::{Bench, Test, arn, log_of, mark, options, processes, spec, until, wait};
use forebay_functions::{FunctionError, Functions as _, Invocation, InvokeError};
use forebay_launch::Runtimes;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("a_hang_is_ended_in_time", a_hang_is_ended_in_time),
    (
        "a_start_has_ten_seconds_of_its_own",
        a_start_has_ten_seconds_of_its_own,
    ),
    ("a_killed_shim_is_noticed", a_killed_shim_is_noticed),
    ("daemons_are_ended_too", daemons_are_ended_too),
    ("a_fork_bomb_is_ended", a_fork_bomb_is_ended),
    ("memory_has_a_limit", memory_has_a_limit),
    ("fifty_cold_starts_leave_nothing", fifty_cold_starts_leave_nothing),
    ("idle_environments_end", idle_environments_end),
    ("a_stop_waits_and_then_ends_all", a_stop_waits_and_then_ends_all),
    (
        "nothing_outlives_a_killed_forebay",
        nothing_outlives_a_killed_forebay,
    ),
];

/// Makes this program a Forebay with a function, in this directory.
pub(crate) const DAEMON: &str = "FOREBAY_TEST_FUNCTIONS";
/// What its function leaves.
const MARK: &str = "FOREBAY_TEST_MARK";

fn a_hang_is_ended_in_time() {
    let bench = Bench::new(|spec| spec.timeout_s = 1);
    bench.value("{}");
    let began = Instant::now();
    let invoked = bench.invoke("{\"do\":\"hang\"}");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(invoked.error, Some(FunctionError::TimedOut));
    let says = crate::bench::text(&invoked).replace(&invoked.request_id, "ID");
    assert_eq!(
        says,
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 1.00 seconds"}"#
    );
    let log = log_of(&invoked);
    assert!(
        log.contains(&format!(
            "{} Task timed out after 1.00 seconds\n",
            invoked.request_id
        )),
        "{log}"
    );
    assert!(log.contains("\tStatus: timeout\t"), "{log}");
    assert_eq!(bench.runtimes.stats().functions[&arn("f")].timeouts, 1);
    assert_eq!(bench.value("{\"do\":\"count\"}")[1], 1);
}

fn a_start_has_ten_seconds_of_its_own() {
    let bench = Bench::new(|spec| {
        spec.timeout_s = 1;
        spec.environment.insert("AT_START".to_owned(), "hang".to_owned());
    });
    let began = Instant::now();
    let invoked = bench.invoke("{}");
    assert!(
        began.elapsed() >= Duration::from_secs(11),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(invoked.error, Some(FunctionError::TimedOut));
    let log = log_of(&invoked);
    assert!(log.contains("INIT_REPORT Init Duration: 10"), "{log}");
}

/// Killed by a user with the right to do so; a function does not have it.
fn a_killed_shim_is_noticed() {
    let bench = Bench::new(|_| {});
    let hangs = bench.ask("f", "{\"do\":\"hang\"}");
    until("it runs", || bench.log("f").contains("START "));
    let record = bench.dir.path().join(format!(
        "functions/environments/{}-1/shim.json",
        std::process::id()
    ));
    let shim: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let pid = i32::try_from(shim["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait(&hangs).unwrap().error, Some(FunctionError::Crashed));
    until("nothing is left", || bench.left() == 0);
    bench.value("{}");
}

fn daemons_are_ended_too() {
    let bench = Bench::new(|spec| spec.timeout_s = 2);
    let mark = mark();
    // They live as long as the environment, and end with it.
    bench.value(&format!("{{\"do\":\"daemons\",\"mark\":\"{mark}\"}}"));
    until("all four run", || processes(&mark) == 4);
    bench.fails("{\"do\":\"exit\",\"status\":1}", FunctionError::Crashed);
    // When the answer has come, nothing is left.
    assert_eq!(processes(&mark), 0);
    bench.fails(
        &format!("{{\"do\":\"daemons\",\"mark\":\"{mark}\",\"hang\":true}}"),
        FunctionError::TimedOut,
    );
    assert_eq!((processes(&mark), bench.left()), (0, 0));
}

fn a_fork_bomb_is_ended() {
    let bench = Bench::new(|spec| spec.timeout_s = 1);
    let mark = mark();
    bench.fails(
        &format!("{{\"do\":\"bomb\",\"mark\":\"{mark}\"}}"),
        FunctionError::TimedOut,
    );
    assert_eq!((processes(&mark), bench.left()), (0, 0));
}

fn memory_has_a_limit() {
    let bench = Bench::new(|spec| spec.memory_mib = 128);
    let invoked = bench.invoke("{\"do\":\"memory\"}");
    let says = crate::bench::text(&invoked).replace(&invoked.request_id, "ID");
    assert_eq!(invoked.error, Some(FunctionError::Crashed), "{says}");
    assert_eq!(
        says,
        r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: signal: killed"}"#
    );
    let log = log_of(&invoked);
    assert!(log.contains("\tError Type: Runtime.OutOfMemory\t"), "{log}");
    bench.value("{}");
}

fn fifty_cold_starts_leave_nothing() {
    let bench = Bench::new(|_| {});
    for _ in 0..5 {
        let all: Vec<_> = (0..10)
            .map(|_| bench.ask("f", "{\"do\":\"exit\",\"status\":1}"))
            .collect();
        for asked in &all {
            assert_eq!(wait(asked).unwrap().error, Some(FunctionError::Crashed));
        }
    }
    let stats = bench.runtimes.stats().functions[&arn("f")].clone();
    assert_eq!((stats.cold_starts, stats.environments, bench.left()), (50, 0, 0));
    bench.value("{}");
    let own = fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..5 {
        bench.fails("{\"do\":\"exit\",\"status\":1}", FunctionError::Crashed);
    }
    bench.value("{}");
    // Other tests run in this process, too; a leak would exceed what they use.
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() < own + 200);
}

fn idle_environments_end() {
    let bench = Bench::with(|options| options.idle = Duration::from_millis(200));
    let spec = bench.spec("f");
    bench.runtimes.publish(vec![spec]);
    bench.value("{}");
    until("it ends", || bench.left() == 0);
    until("it is not counted", || {
        bench.runtimes.stats().functions[&arn("f")].environments == 0
    });
    assert_eq!(bench.value("{\"do\":\"count\"}")[1], 1);
}

fn a_stop_waits_and_then_ends_all() {
    let bench = Bench::new(|_| {});
    let mark = mark();
    bench.value(&format!("{{\"do\":\"daemons\",\"mark\":\"{mark}\"}}"));
    let hangs = bench.ask("f", "{\"do\":\"hang\"}");
    until("it runs", || bench.log("f").matches("START ").count() == 2);
    bench.runtimes.stop(Duration::from_millis(300));
    let invoked = wait(&hangs).unwrap();
    assert_eq!(invoked.error, Some(FunctionError::Crashed));
    assert_eq!((processes(&mark), bench.left()), (0, 0));
    assert!(matches!(
        wait(&bench.ask("f", "{}")),
        Err(InvokeError::Unavailable(_))
    ));
    bench.runtimes.stop(Duration::ZERO);
}

/// A Forebay that is about to be killed.
pub(crate) fn daemon(dir: &Path) -> ! {
    let runtimes = Runtimes::start(options(dir)).unwrap();
    let code = fs::read_to_string(dir.join("code")).unwrap();
    runtimes.publish(vec![spec("f", code)]);
    let mark = std::env::var(MARK).unwrap();
    let invocation = Invocation {
        function: arn("f"),
        payload: format!("{{\"do\":\"daemons\",\"mark\":\"{mark}\",\"hang\":true}}").into_bytes(),
        ..Invocation::default()
    };
    runtimes.invoke(invocation, Box::new(|_| {}));
    loop {
        std::thread::park();
    }
}

fn nothing_outlives_a_killed_forebay() {
    let bench = Bench::new(|_| {});
    let dir = bench.dir.path();
    fs::write(dir.join("code"), bench.spec("f").code_sha256).unwrap();
    bench.runtimes.stop(Duration::ZERO);
    let mark = mark();
    let mut daemon = Command::new("/proc/self/exe")
        .env(DAEMON, dir)
        .env(MARK, &mark)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while processes(&mark) < 4 && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (found, killed) = (processes(&mark), daemon.kill());
    assert_eq!(found, 4);
    killed.unwrap();
    let shims = |dir: &Path| fs::read_dir(dir.join("functions/environments")).unwrap().count();
    assert_eq!(shims(dir), 1);
    daemon.wait().unwrap();
    until("nothing of it lives", || processes(&mark) == 0);
    // What it left on disk is removed when the next one starts.
    let runtimes = Runtimes::start(options(dir)).unwrap();
    assert_eq!(shims(dir), 0);
    drop(runtimes);
}
