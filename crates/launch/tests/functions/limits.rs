//! Limits on concurrency, and changes of a function.

use crate::bench::{Bench, Test, arn, until, wait};
use forebay_functions::{FunctionError, InvokeError};

pub(crate) const TESTS: &[Test] = &[
    ("reserved_concurrency_is_a_limit", reserved_concurrency_is_a_limit),
    ("all_environments_have_a_limit", all_environments_have_a_limit),
    ("a_burst_is_answered", a_burst_is_answered),
    ("a_change_comes_after_what_runs", a_change_comes_after_what_runs),
    ("python_says_what_is_missing", python_says_what_is_missing),
    ("python_runs_in_awss_client", python_runs_in_awss_client),
    ("another_user_needs_root", another_user_needs_root),
];

fn reserved_concurrency_is_a_limit() {
    let bench = Bench::new(|spec| {
        spec.reserved_concurrency = Some(2);
        spec.timeout_s = 1;
    });
    let both = ["f", "f"].map(|name| bench.ask(name, "{\"do\":\"hang\"}"));
    assert_eq!(wait(&bench.ask("f", "{}")), Err(InvokeError::ReservedConcurrency));
    for one in &both {
        assert_eq!(wait(one).unwrap().error, Some(FunctionError::TimedOut));
    }
    bench.value("{}");
    assert_eq!(bench.runtimes.stats().functions[&arn("f")].throttles, 1);
}

fn all_environments_have_a_limit() {
    let bench = Bench::with(|options| options.environments = 2);
    let mut specs = ["f", "g", "h"].map(|name| bench.spec(name)).to_vec();
    specs[1].timeout_s = 1;
    bench.runtimes.publish(specs);
    bench.value("{}");
    let hangs = bench.ask("g", "{\"do\":\"hang\"}");
    // In place of the idle one.
    assert_eq!(wait(&bench.ask("h", "{\"do\":\"count\"}")).unwrap().error, None);
    let busy = bench.ask("h", "{\"do\":\"hang\"}");
    assert_eq!(wait(&bench.ask("f", "{}")), Err(InvokeError::Concurrency));
    assert_eq!(wait(&hangs).unwrap().error, Some(FunctionError::TimedOut));
    bench.value("{}");
    drop(busy);
}

/// By whichever environments become free first: not every invocation needs one of its own.
fn a_burst_is_answered() {
    let bench = Bench::new(|_| {});
    let all: Vec<_> = (0..100).map(|_| bench.ask("f", "{}")).collect();
    for one in &all {
        assert_eq!(wait(one).unwrap().error, None);
    }
    let stats = || bench.runtimes.stats().functions[&arn("f")].clone();
    let (cold, invocations) = (stats().cold_starts, stats().invocations);
    assert!(invocations == 100 && cold < 100, "{cold}");
    until("those that were not needed are gone", || {
        stats().environments == cold
    });
}

fn a_change_comes_after_what_runs() {
    let bench = Bench::new(|spec| {
        spec.timeout_s = 2;
        spec.environment.insert("VERSION".to_owned(), "1".to_owned());
    });
    assert_eq!(bench.value("{\"do\":\"env\"}")["VERSION"], "1");
    let hangs = bench.ask("f", "{\"do\":\"hang\"}");
    until("it runs", || bench.log("f").matches("START ").count() == 2);
    let mut changed = bench.spec("f");
    changed.environment.insert("VERSION".to_owned(), "2".to_owned());
    bench.runtimes.publish(vec![changed]);
    assert_eq!(bench.value("{\"do\":\"env\"}")["VERSION"], "2");
    assert_eq!(wait(&hangs).unwrap().error, Some(FunctionError::TimedOut));
    bench.runtimes.publish(Vec::new());
    assert_eq!(wait(&bench.ask("f", "{}")), Err(InvokeError::NotFound));
    until("nothing is left", || {
        bench.left() == 0 && bench.runtimes.stats().functions.is_empty()
    });
}

fn python_says_what_is_missing() {
    let bench = Bench::with(|options| {
        // A Python without additional packages.
        options.python = "/usr/bin/python3".to_owned();
    });
    let code = crate::bench::code(&bench.runtimes, &[("index.py", "def handler(e, c): return 1\n")]);
    let mut spec = crate::bench::spec("f", code);
    spec.runtime = forebay_functions::Runtime::Python;
    "python3.11".clone_into(&mut spec.runtime_name);
    bench.runtimes.publish(vec![spec]);
    let invoked = bench.invoke("{}");
    let says = crate::bench::text(&invoked);
    if invoked.error.is_some() {
        assert!(
            says.contains("pip install awslambdaric") || says.contains("cannot start"),
            "{says}"
        );
    } else {
        assert_eq!(says, "1");
    }
}

/// The interop tests' packages, if they are installed; otherwise nothing is checked here.
fn python_runs_in_awss_client() {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python");
    let has = std::process::Command::new(python)
        .args(["-c", "import awslambdaric"])
        .output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no awslambdaric");
        return;
    }
    let bench = Bench::with(|options| {
        python.clone_into(&mut options.python);
        // Its files may be closed to others.
        options.run_as = forebay_launch::RunAs::Own;
    });
    let code = crate::bench::code(&bench.runtimes, &[("lib/index.py", PYTHON)]);
    let function = |name: &str| {
        let mut spec = crate::bench::spec(name, code.clone());
        spec.runtime = forebay_functions::Runtime::Python;
        "python3.11".clone_into(&mut spec.runtime_name);
        spec.handler = format!("lib.index.{name}");
        spec
    };
    bench
        .runtimes
        .publish(["answers", "throws", "missing"].map(function).to_vec());
    let ask = |name: &str| wait(&bench.ask(name, "{\"a\":1}")).unwrap();
    for _ in 0..2 {
        let invoked = ask("answers");
        let value: serde_json::Value = serde_json::from_slice(&invoked.payload).unwrap();
        assert_eq!(
            value,
            serde_json::json!([{"a": 1}, invoked.request_id, "answers", "256", true])
        );
        assert!(crate::bench::log_of(&invoked).contains("\nsaid\n"));
    }
    for (name, kind) in [("throws", "ValueError"), ("missing", "Runtime.HandlerNotFound")] {
        let invoked = ask(name);
        assert_eq!(invoked.error, Some(FunctionError::Unhandled));
        let value: serde_json::Value = serde_json::from_slice(&invoked.payload).unwrap();
        assert_eq!(value["errorType"], kind, "{value}");
    }
}

const PYTHON: &str = "def answers(event, context):\n    \
    print('said')\n    \
    left = context.get_remaining_time_in_millis() > 1000\n    \
    return [event, context.aws_request_id, context.function_name, context.memory_limit_in_mb, left]\n\
def throws(event, context):\n    raise ValueError('no')\n";

fn another_user_needs_root() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = crate::bench::options(dir.path());
    options.run_as = forebay_launch::RunAs::User("no-such-user".to_owned());
    let why = forebay_launch::Runtimes::start(options).err().unwrap();
    assert!(why.contains("--function-user"), "{why}");
}
