//! Checks over all tests of this crate together: every served operation succeeds at least once, and every error code is
//! AWS's. (That answers match the model's output shapes is asserted at each call, by the caller in `testing`.)
//!
//! The set of calls is complete only once all tests have run, so they are run again in a child process that reports
//! each call.

use crate::supported;
use crate::testing::{RECORD, RECORDED};
use forebay_awswire::Service;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// A call's outcome: the service's signing name, the operation, and `ok` or the error's code.
type Called = (String, String, String);

static CALLS: LazyLock<BTreeSet<Called>> = LazyLock::new(|| {
    let tests = std::env::current_exe().unwrap();
    let ran = Command::new(tests)
        .args(["--nocapture", "--skip", "conformance::"])
        .env(RECORD, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    let calls: BTreeSet<Called> = told
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix(RECORDED)?.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        })
        .collect();
    assert!(!calls.is_empty(), "no call was reported: {told}");
    calls
});

/// Error codes that AWS returns without documenting them in its model: `SCOPE OPERATION CODE: reason`, with `*` for any
/// operation.
fn exceptions() -> BTreeMap<Called, String> {
    let lines = include_str!("undocumented_errors.txt").lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (key, reason) = line.split_once(": ").expect("a reason");
            let words: Vec<&str> = key.split(' ').collect();
            let [scope, operation, code] = words[..] else {
                panic!("'{line}' is not SCOPE OPERATION CODE: reason");
            };
            let key = (scope.to_owned(), operation.to_owned(), code.to_owned());
            (key, reason.to_owned())
        })
        .collect()
}

#[test]
fn every_served_operation_is_answered_in_some_test() {
    let missing: Vec<(&str, &str)> = supported()
        .into_iter()
        .map(|(service, operation)| (service.scope(), operation))
        .filter(|(scope, operation)| {
            let answered = (scope.to_string(), operation.to_string(), "ok".to_owned());
            !CALLS.contains(&answered)
        })
        .collect();
    assert_eq!(missing, [], "these have no test in which they succeed");
}

/// Error codes in the sources, each with the folder that it is in, whether or not a test provokes them.
#[expect(clippy::disallowed_methods, reason = "a test reads sources")]
fn written() -> BTreeSet<(String, String)> {
    fn read(folder: &Path, top: &str, found: &mut BTreeSet<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                read(&path, if top.is_empty() { name } else { top }, found);
            } else if name.ends_with(".rs") && name != "tests.rs" && !folder.ends_with("tests") {
                let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let raised = RAISED.captures_iter(code).map(|raised| raised[1].to_owned());
                found.extend(raised.map(|code| (top.to_owned(), code)));
            }
        }
    }
    static RAISED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?:sender|receiver|error|refuse)\((?:\d+,)?\s*"([A-Za-z.]+)""#).unwrap()
    });
    let mut found = BTreeSet::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    assert!(found.len() > 80, "{found:?}");
    found
}

/// The services whose operations are in a folder; all services if they share it.
fn services_of(folder: &str) -> Vec<Service> {
    match folder {
        "tagging" => vec![Service::Tagging],
        "schedules" => vec![Service::Scheduler, Service::Events, Service::Lambda],
        "waf" => vec![Service::Wafv2, Service::WafRegional],
        "" | "api" | "settings" | "own_tags" => Service::ALL.to_vec(),
        name => {
            let named = Service::ALL.into_iter().find(|service| service.name() == name);
            vec![
                named.unwrap_or_else(|| {
                    panic!("a folder is named as its service in the AWS CLI; {name} is not")
                }),
            ]
        }
    }
}

#[test]
fn every_code_in_the_sources_is_documented_or_a_known_exception() {
    let exceptions = exceptions();
    let is_known = |service: Service, code: &str| {
        let served = supported().into_iter().filter(|served| served.0 == service);
        let mut documented = served.flat_map(|(_, operation)| service.documented_errors(operation));
        documented.any(|(known, _)| known == code)
            || exceptions
                .keys()
                .any(|(scope, _, known)| scope == service.scope() && known == code)
    };
    let unknown: Vec<(String, String)> = written()
        .into_iter()
        .filter(|(folder, code)| {
            !services_of(folder)
                .into_iter()
                .any(|service| is_known(service, code))
        })
        .collect();
    assert_eq!(unknown, [], "AWS documents none of these");
}

#[test]
fn every_error_is_documented_or_a_known_exception() {
    let exceptions = exceptions();
    let written = written();
    let is_written = |scope: &str, code: &str| {
        written.iter().any(|(folder, known)| {
            let mut services = services_of(folder).into_iter();
            known == code && services.any(|service| service.scope() == scope)
        })
    };
    let (mut unknown, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (scope, operation, code) in CALLS.iter().filter(|call| call.2 != "ok") {
        let service = Service::from_scope(scope).unwrap_or_else(|| panic!("{scope} is not served"));
        let mut documented = service.documented_errors(operation).into_iter();
        if documented.any(|(known, _)| known == code) {
            continue;
        }
        let keys =
            [operation.as_str(), "*"].map(|operation| (scope.clone(), operation.to_owned(), code.clone()));
        match keys.into_iter().find(|key| exceptions.contains_key(key)) {
            Some(key) => used.insert(key),
            None => unknown.insert((scope, operation, code)),
        };
    }
    assert!(unknown.is_empty(), "AWS documents none of these: {unknown:#?}");
    // A code that no test provokes counts for every operation of its service.
    let needless: Vec<&Called> = exceptions
        .keys()
        .filter(|key| !(used.contains(*key) || key.1 == "*" && is_written(&key.0, &key.2)))
        .collect();
    assert!(
        needless.is_empty(),
        "undocumented_errors.txt: delete what nothing raises any more: {needless:#?}"
    );
}
