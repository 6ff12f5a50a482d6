//! Functions in Node, if it is installed.

use crate::bench::{Bench, Test, code, log_of, spec, text, wait};
use forebay_functions::{FunctionError, Runtime};
use serde_json::Value;
use std::process::Command;

pub(crate) const TESTS: &[Test] = &[
    ("node_runs_handlers_of_all_kinds", node_runs_handlers_of_all_kinds),
    ("node_tells_errors", node_tells_errors),
];

const INDEX: &str = r"
exports.async = async (event, context) => ({
  event, left: context.getRemainingTimeInMillis(), id: context.awsRequestId, name: context.functionName,
  memory: context.memoryLimitInMB, arn: context.invokedFunctionArn, group: context.logGroupName,
  client: context.clientContext, waits: context.callbackWaitsForEmptyEventLoop, trace: process.env._X_AMZN_TRACE_ID,
});
exports.callback = (event, context, callback) => setTimeout(() => callback(null, 'called'), 5);
exports.early = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setTimeout(() => {}, 100000);
  callback(null, 'early');
};
exports.late = (event, context, callback) => {
  let done = false;
  const answer = {};
  setTimeout(() => { answer.late = true; }, 30);
  callback(null, answer);
};
exports.nothing = () => {};
exports.deep = { er: async () => { console.log('said'); console.error('and %s', 'more'); return 'deeper'; } };
exports.throws = () => { throw new RangeError('far'); };
exports.rejects = async () => { throw new TypeError('no'); };
exports.text = (event, context, callback) => callback('just text');
exports.stray = () => new Promise(() => { setTimeout(() => { throw new Error('stray'); }, 1); setTimeout(() => {}, 99999); });
exports.lost = () => new Promise(() => { Promise.reject(new Error('lost')); setTimeout(() => {}, 99999); });
exports.number = 4;
";

fn bench() -> Option<Bench> {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("skipped: there is no Node");
        return None;
    }
    Some(Bench::with(|_| {}))
}

fn publish(bench: &Bench, handlers: &[&str]) {
    let files = [
        ("index.js", INDEX),
        (
            "lib/module.mjs",
            "export const handler = async (event) => [event];\n",
        ),
        ("package.json", "{}"),
        ("bad.js", "exports.handler = (;\n"),
        ("needs.js", "require('no-such-package');\n"),
    ];
    let sha = code(&bench.runtimes, &files);
    let function = |handler: &&str| {
        let mut spec = spec(&handler.replace(['.', '/'], "_"), sha.clone());
        spec.runtime = Runtime::Node;
        "nodejs20.x".clone_into(&mut spec.runtime_name);
        (*handler).clone_into(&mut spec.handler);
        spec
    };
    bench.runtimes.publish(handlers.iter().map(function).collect());
}

fn node_runs_handlers_of_all_kinds() {
    let Some(bench) = bench() else { return };
    let all = [
        "index.async",
        "index.callback",
        "index.early",
        "index.late",
        "index.nothing",
        "index.deep.er",
        "lib/module.handler",
    ];
    publish(&bench, &all);
    let asked = all.map(|handler| bench.ask(&handler.replace(['.', '/'], "_"), "{\"a\":1}"));
    let mut values = Vec::new();
    for one in &asked {
        let invoked = wait(one).unwrap();
        assert_eq!(invoked.error, None, "{}", text(&invoked));
        values.push((
            serde_json::from_slice::<Value>(&invoked.payload).unwrap(),
            invoked,
        ));
    }
    let (facts, invoked) = &values[0];
    assert_eq!(facts["event"]["a"], 1);
    assert_eq!(facts["id"], invoked.request_id);
    assert_eq!(
        (&facts["name"], &facts["memory"]),
        (&"index_async".into(), &"256".into())
    );
    assert_eq!(facts["group"], "/aws/lambda/index_async");
    assert!(facts["arn"].as_str().unwrap().ends_with(":function:index_async"));
    assert!(facts["client"]["a"].is_string() && facts["waits"] == true);
    assert!(facts["trace"].as_str().unwrap().starts_with("Root=1-"));
    assert!((1..=20_000).contains(&facts["left"].as_i64().unwrap()));
    assert_eq!(values[1].0, "called");
    assert_eq!(values[2].0, "early");
    assert_eq!(values[3].0["late"], true);
    assert_eq!(values[4].0, Value::Null);
    assert_eq!(values[5].0, "deeper");
    let log = log_of(&values[5].1);
    assert!(
        log.contains(&format!("\t{}\tINFO\tsaid\n", values[5].1.request_id)),
        "{log}"
    );
    assert!(log.contains("\tERROR\tand more\n"), "{log}");
    assert_eq!(values[6].0[0]["a"], 1);
}

fn node_tells_errors() {
    let Some(bench) = bench() else { return };
    let all = [
        ("index.throws", "RangeError", "far"),
        ("index.rejects", "TypeError", "no"),
        ("index.text", "string", "just text"),
        ("index.stray", "Error", "stray"),
        ("index.lost", "Runtime.UnhandledPromiseRejection", "Error: lost"),
        (
            "index.number",
            "Runtime.HandlerNotFound",
            "index.number is not a function",
        ),
        (
            "index.missing",
            "Runtime.HandlerNotFound",
            "index.missing is undefined or not exported",
        ),
        (
            "other.handler",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'other'",
        ),
        (
            "needs.handler",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'no-such-package'",
        ),
        (
            "bad.handler",
            "Runtime.UserCodeSyntaxError",
            "SyntaxError: Unexpected token ';'",
        ),
        ("index", "Runtime.MalformedHandlerName", "Bad handler"),
    ];
    publish(&bench, &all.map(|(handler, ..)| handler));
    let asked = all.map(|(handler, ..)| bench.ask(&handler.replace(['.', '/'], "_"), "{}"));
    for (one, (handler, kind, message)) in asked.iter().zip(all) {
        let invoked = wait(one).unwrap();
        let says = text(&invoked);
        assert_eq!(invoked.error, Some(FunctionError::Unhandled), "{handler}: {says}");
        let value: Value = serde_json::from_slice(&invoked.payload).unwrap();
        assert_eq!(value["errorType"], kind, "{handler}: {says}");
        assert!(
            value["errorMessage"].as_str().unwrap().starts_with(message),
            "{handler}: {says}"
        );
        assert!(value["trace"].is_array(), "{handler}: {says}");
    }
}
