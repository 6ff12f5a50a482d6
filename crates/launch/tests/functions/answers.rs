//! The results of invocations: answers, errors, and what the log says.

use crate::bench::{Bench, Test, arn, is_root, log_of, text, until, wait};
use forebay_functions::{FunctionError, InvokeError};

pub(crate) const TESTS: &[Test] = &[
    ("an_answer_comes_back", an_answer_comes_back),
    ("variables_are_lambdas", variables_are_lambdas),
    ("a_function_has_no_rights", a_function_has_no_rights),
    ("what_is_temporary_is_its_own", what_is_temporary_is_its_own),
    ("errors_are_passed_on", errors_are_passed_on),
    ("crashes_are_told", crashes_are_told),
    ("a_bad_start_is_told", a_bad_start_is_told),
    ("nonsense_is_passed_on", nonsense_is_passed_on),
    ("answers_have_a_limit", answers_have_a_limit),
    ("the_log_is_lambdas", the_log_is_lambdas),
    ("lines_do_not_mix", lines_do_not_mix),
    ("a_flood_is_bounded", a_flood_is_bounded),
    (
        "a_runtime_may_close_its_connection",
        a_runtime_may_close_its_connection,
    ),
    ("wrong_calls_are_refused", wrong_calls_are_refused),
    (
        "one_that_leaves_loses_no_invocation",
        one_that_leaves_loses_no_invocation,
    ),
];

fn an_answer_comes_back() {
    let bench = Bench::new(|_| {});
    let first = bench.value("{\"do\":\"count\"}");
    let second = bench.value("{\"do\":\"count\"}");
    assert_eq!((&first[0], &first[1]), (&second[0], &1.into()));
    assert_eq!(second[1], 2);
    let one = bench.invoke("{\"a\":[1,2]}");
    assert_eq!(text(&one), "{\"a\":[1,2]}");
    assert_eq!(one.request_id.len(), 36);
    assert_eq!(wait(&bench.ask("g", "{}")), Err(InvokeError::NotFound));
    let large = format!("\"{}\"", "x".repeat(6 << 20));
    assert_eq!(wait(&bench.ask("f", &large)), Err(InvokeError::TooLarge(6 << 20)));
    let stats = bench.runtimes.stats();
    let stats = &stats.functions[&arn("f")];
    assert_eq!(
        (stats.invocations, stats.cold_starts, stats.environments),
        (3, 1, 1)
    );
    assert_eq!((stats.running, stats.errors, stats.throttles), (0, 0, 0));
    assert_eq!(stats.durations.iter().sum::<u64>(), 3);
}

fn variables_are_lambdas() {
    let bench = Bench::new(|spec| {
        spec.environment.insert("MINE".to_owned(), "a b".to_owned());
        spec.environment.insert("HOME".to_owned(), "/mine".to_owned());
    });
    let env = bench.value("{\"do\":\"env\"}");
    for (name, value) in [
        ("_HANDLER", "index.handler"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
        ("AWS_ACCESS_KEY_ID", "key-of-a-role"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ("TZ", ":UTC"),
        ("MINE", "a b"),
        ("HOME", "/mine"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    let stream = env["AWS_LAMBDA_LOG_STREAM_NAME"].as_str().unwrap();
    assert!(stream.contains("/[$LATEST]"), "{stream}");
    assert!(
        env["AWS_LAMBDA_RUNTIME_API"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    // Nothing of our environment but PATH: cargo sets much.
    assert_eq!(env["PATH"], std::env::var("PATH").unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO")) {
        assert!(env.get(&name).is_none(), "{name}");
    }
}

fn a_function_has_no_rights() {
    let bench = Bench::new(|_| {});
    let secret = bench.dir.path().join("functions/secret");
    std::fs::write(&secret, "keys").unwrap();
    let event = format!("{{\"do\":\"facts\",\"secret\":\"{}\"}}", secret.display());
    let facts = bench.value(&event);
    let status = |name: &str| facts["status"][name].as_str().unwrap().to_owned();
    assert_eq!(status("NoNewPrivs"), "1");
    assert_eq!(status("SigBlk"), "0000000000000000");
    if is_root() {
        assert!(status("Uid").starts_with("65534\t65534"), "{}", status("Uid"));
        assert_eq!(status("Groups").trim(), "");
        for sets in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
            assert_eq!(status(sets), "0000000000000000", "{sets}");
        }
        assert_eq!(facts["writes"], false);
        // The directory is closed to other users, so it is not even visible.
        assert_eq!(facts["secret"], serde_json::Value::Null);
    }
    let headers = &facts["headers"];
    assert_eq!(headers["lambda-runtime-invoked-function-arn"], arn("f"));
    assert!(
        headers["lambda-runtime-trace-id"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-")
    );
    assert!(
        headers["lambda-runtime-client-context"]
            .as_str()
            .unwrap()
            .starts_with("{\"a\":")
    );
    let deadline: u64 = headers["lambda-runtime-deadline-ms"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(deadline > 1_700_000_000_000);
    // The standard streams, its connection, and the directory that it lists.
    assert_eq!(facts["files"].as_array().unwrap().len(), 5, "{}", facts["files"]);
    assert!(facts["cwd"].as_str().unwrap().contains("/unpacked/"));
    if is_root() {
        assert_eq!(facts["listed"], serde_json::json!(["bootstrap"]));
    }
    let limits = facts["limits"].as_str().unwrap();
    let has = |name: &str, most: &str| {
        limits
            .lines()
            .any(|line| line.starts_with(name) && line.split_whitespace().any(|word| word == most))
    };
    assert!(
        has("Max open files", "1024") && has("Max core file size", "0"),
        "{limits}"
    );
}

fn what_is_temporary_is_its_own() {
    if !is_root() {
        eprintln!("skipped: a /tmp of its own needs root");
        return;
    }
    let bench = Bench::new(|_| {});
    bench.fails("{\"do\":\"deep\"}", FunctionError::Crashed);
    assert_eq!(bench.left(), 0);
    let name = crate::bench::mark();
    let listed = bench.value(&format!("{{\"do\":\"tmp\",\"name\":\"{name}\"}}"));
    let there = std::path::Path::new("/tmp").join(&name);
    if bench.dir.path().starts_with("/tmp") {
        std::fs::remove_file(there).unwrap();
    } else {
        assert_eq!(listed, serde_json::json!([name]));
        assert!(!there.exists());
    }
}

fn errors_are_passed_on() {
    let bench = Bench::new(|_| {});
    let said = bench.fails(
        r#"{"do":"error","body":"{\"errorType\":\"E\",\"errorMessage\":\"m\"}"}"#,
        FunctionError::Unhandled,
    );
    assert_eq!(said, r#"{"errorType":"E","errorMessage":"m"}"#);
    let said = bench.fails(r#"{"do":"error","body":"<no json>"}"#, FunctionError::Unhandled);
    assert_eq!(said, r#"{"errorType":"My.Error","errorMessage":"<no json>"}"#);
    // The environment goes on.
    assert_eq!(bench.value("{\"do\":\"count\"}")[1], 3);
}

fn crashes_are_told() {
    let bench = Bench::new(|_| {});
    for (event, says) in [
        (
            r#"{"do":"exit","status":0}"#,
            "Runtime exited without providing a reason",
        ),
        (
            r#"{"do":"exit","status":7}"#,
            "Runtime exited with error: exit status 7",
        ),
        (
            r#"{"do":"kill","signal":11}"#,
            "Runtime exited with error: signal: segmentation fault",
        ),
    ] {
        let said = bench.fails(event, FunctionError::Crashed);
        let wanted =
            format!(r#"{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: {says}"}}"#);
        assert_eq!(said, wanted);
    }
    assert_eq!(bench.value("{\"do\":\"count\"}")[1], 1);
    let stats = bench.runtimes.stats().functions[&arn("f")].clone();
    assert_eq!((stats.errors, stats.cold_starts), (3, 4));
}

fn a_bad_start_is_told() {
    let bench = Bench::new(|spec| {
        spec.environment.insert("AT_START".to_owned(), "exit".to_owned());
    });
    let invoked = bench.invoke("{}");
    assert!(
        text(&invoked).contains("Runtime exited with error: exit status 3"),
        "{}",
        text(&invoked)
    );
    assert!(log_of(&invoked).contains("last words\n"), "{}", log_of(&invoked));
    let mut broken = bench.spec("f");
    broken
        .environment
        .insert("AT_START".to_owned(), "error".to_owned());
    let nothing = crate::bench::spec("nothing", crate::bench::code(&bench.runtimes, &[("x", "")]));
    let no_program = crate::bench::code(&bench.runtimes, &[("bootstrap", "#!/no/such/shell\n")]);
    let missing = crate::bench::spec("missing", "0".repeat(64));
    bench.runtimes.publish(vec![
        broken,
        nothing,
        crate::bench::spec("no-program", no_program),
        missing,
    ]);
    let said = bench.fails("{}", FunctionError::Unhandled);
    assert_eq!(said, r#"{"errorType":"Start","errorMessage":"no"}"#);
    for (name, why) in [
        ("nothing", "Couldn't find valid bootstrap"),
        ("no-program", "cannot start"),
        ("missing", "cannot read the code"),
    ] {
        let invoked = wait(&bench.ask(name, "{}")).unwrap();
        assert_eq!(invoked.error, Some(FunctionError::Crashed));
        assert!(
            text(&invoked).contains("Runtime.InvalidEntrypoint") && text(&invoked).contains(why),
            "{}",
            text(&invoked)
        );
    }
    until("nothing is left", || bench.left() == 0);
}

/// Lambda does not check answers: its tutorial for shell runtimes answers with plain text.
fn nonsense_is_passed_on() {
    let bench = Bench::new(|_| {});
    let invoked = bench.invoke("{\"do\":\"text\"}");
    assert_eq!(
        (text(&invoked).as_str(), invoked.error),
        ("no JSON <at> all", None)
    );
}

fn answers_have_a_limit() {
    let bench = Bench::new(|spec| spec.memory_mib = 512);
    let ask = |bytes: usize| bench.invoke(&format!("{{\"do\":\"big\",\"bytes\":{bytes}}}"));
    let most = ask(6_291_556);
    assert_eq!((most.payload.len(), most.error), (6_291_556, None));
    for bytes in [6_291_557, 20 << 20] {
        let more = ask(bytes);
        assert_eq!(more.error, Some(FunctionError::Unhandled));
        assert_eq!(
            text(&more),
            "{\"errorType\":\"Function.ResponseSizeTooLarge\",\"errorMessage\":\"Response payload size exceeded maximum allowed \
             payload size (6291556 bytes).\"}"
        );
    }
    // The same environment still exists, and has seen the refusals.
    bench.value("{\"do\":\"echo\"}");
    until("the runtime has seen them", || {
        bench.log("f").matches("status 413").count() == 2
    });
    assert_eq!(bench.runtimes.stats().functions[&arn("f")].cold_starts, 1);
}

fn the_log_is_lambdas() {
    let bench = Bench::new(|_| {});
    let first = bench.invoke("{\"do\":\"say\",\"text\":\"one\"}");
    let second = bench.invoke("{\"do\":\"say\",\"text\":\"two\"}");
    for (invoked, says) in [(&first, "one"), (&second, "two")] {
        let (id, log) = (&invoked.request_id, log_of(invoked));
        let begins = format!(
            "START RequestId: {id} Version: $LATEST\n{says}\nEND RequestId: {id}\nREPORT RequestId: {id}\tDuration: "
        );
        assert!(log.starts_with(&begins), "{log}");
        assert!(
            log.contains(" ms\tMemory Size: 256 MB\tMax Memory Used: "),
            "{log}"
        );
        assert!(!log.contains("Max Memory Used: 0 MB"), "{log}");
    }
    assert!(log_of(&first).contains("Init Duration: ") && !log_of(&second).contains("Init Duration: "));
    let whole = format!("{}{}", log_of(&first), log_of(&second));
    until("it is written", || bench.log("f") == whole);
}

fn lines_do_not_mix() {
    let bench = Bench::new(|_| {});
    let both = [(); 2].map(|()| bench.ask("f", "{\"do\":\"halves\"}"));
    let logs = both.map(|asked| log_of(&wait(&asked).unwrap()));
    assert!(
        logs.iter().all(|log| log.contains("\nhalf, and whole\nunended")),
        "{logs:?}"
    );
    until("lines are whole", || {
        bench
            .log("f")
            .lines()
            .filter(|line| *line == "half, and whole")
            .count()
            == 2
    });
    // An unfinished line is there, too.
    until("all is written", || {
        bench.log("f").matches("unended").count() == 2
    });
}

fn a_flood_is_bounded() {
    let bench = Bench::new(|_| {});
    let invoked = bench.invoke("{\"do\":\"flood\",\"mib\":30}");
    assert_eq!(invoked.error, None);
    let log = log_of(&invoked);
    assert_eq!(log.len(), 4096);
    assert!(
        log.contains("flood flood") && log.contains("\tInit Duration: "),
        "{log}"
    );
    let size = |name: &str| {
        let path = bench.dir.path().join("functions/logs").join(name);
        std::fs::metadata(path).map_or(0, |found| found.len())
    };
    assert!(size("f.log") <= 10 << 20 && size("f.log.1") <= 10 << 20);
    assert!(size("f.log.1") > 9 << 20, "{}", size("f.log.1"));
}

fn a_runtime_may_close_its_connection() {
    let bench = Bench::new(|_| {});
    assert_eq!(bench.value("{\"do\":\"close\"}"), "again");
    assert_eq!(bench.value("{\"do\":\"close\"}"), "again");
    assert_eq!(bench.value("{\"do\":\"count\"}")[1], 3);
}

fn wrong_calls_are_refused() {
    let bench = Bench::new(|_| {});
    assert_eq!(
        bench.value("{\"do\":\"wrong\"}"),
        serde_json::json!([400, 403, 404, 403])
    );
}

fn one_that_leaves_loses_no_invocation() {
    let bench = Bench::new(|_| {});
    for _ in 0..5 {
        assert_eq!(bench.value("{\"do\":\"leave\"}"), "left");
    }
}
