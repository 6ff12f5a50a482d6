//! What the tests share: a directory, functions made from one bootstrap, and waiting.

use forebay_functions::{
    FunctionError, FunctionSpec, Functions as _, Invocation, InvokeError, Invoked, Runtime,
};
use forebay_launch::functions::{RuntimeOptions, pack};
use forebay_launch::{RunAs, Runtimes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub(crate) type Test = (&'static str, fn());
pub(crate) type Asked = Receiver<Result<Invoked, InvokeError>>;

const BOOTSTRAP: &str = include_str!("bootstrap.py");
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) runtimes: Runtimes,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn options(dir: &Path) -> RuntimeOptions {
    let keys = Arc::new(|role: &str| Ok((format!("key-of-{role}"), "secret".to_owned())));
    let mut options = RuntimeOptions::new(dir.join("functions"), "http://127.0.0.1:4566".to_owned(), keys);
    options.run_as = if is_root() { RunAs::Nobody } else { RunAs::Own };
    options
}

/// The digest of an archive with these files, all executable.
pub(crate) fn code(runtimes: &Runtimes, files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    }
    let code = runtimes.code().keep(&pack(dir.path(), None).unwrap()).unwrap();
    code.sha256_hex
}

pub(crate) fn spec(name: &str, code_sha256: String) -> FunctionSpec {
    FunctionSpec {
        arn: arn(name),
        name: name.to_owned(),
        region: "us-east-1".to_owned(),
        runtime: Runtime::Provided,
        runtime_name: "provided.al2023".to_owned(),
        handler: "index.handler".to_owned(),
        code_sha256,
        environment: BTreeMap::new(),
        timeout_s: 20,
        memory_mib: 256,
        reserved_concurrency: None,
        role: "a-role".to_owned(),
    }
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

impl Bench {
    pub(crate) fn with(change: impl FnOnce(&mut RuntimeOptions)) -> Bench {
        // Functions have a private `/tmp`, unless the test directory is inside /tmp itself.
        let dir = tempfile::tempdir_in("/var/tmp")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        // As data directories are.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(dir.path(), mode).unwrap();
        let mut options = options(dir.path());
        change(&mut options);
        let runtimes = Runtimes::start(options).unwrap();
        Bench { runtimes, dir }
    }

    /// With one function `f`.
    pub(crate) fn new(change: impl FnOnce(&mut FunctionSpec)) -> Bench {
        let bench = Bench::with(|_| {});
        let mut spec = bench.spec("f");
        change(&mut spec);
        bench.runtimes.publish(vec![spec]);
        bench
    }

    pub(crate) fn spec(&self, name: &str) -> FunctionSpec {
        spec(name, code(&self.runtimes, &[("bootstrap", BOOTSTRAP)]))
    }

    pub(crate) fn ask(&self, name: &str, event: &str) -> Asked {
        let (sender, receiver) = channel();
        let invocation = Invocation {
            begin: None,
            function: arn(name),
            payload: event.as_bytes().to_vec(),
            wants_log: true,
            client_context: Some("{\"a\":\"ü\"}".to_owned()),
            trace: None,
            request_id: None,
        };
        let done = Box::new(move |outcome| {
            let _ = sender.send(outcome);
        });
        self.runtimes.invoke(invocation, done);
        receiver
    }

    pub(crate) fn invoke(&self, event: &str) -> Invoked {
        wait(&self.ask("f", event)).unwrap()
    }

    pub(crate) fn value(&self, event: &str) -> Value {
        let invoked = self.invoke(event);
        assert_eq!(invoked.error, None, "{}", text(&invoked));
        serde_json::from_slice(&invoked.payload).unwrap()
    }

    pub(crate) fn fails(&self, event: &str, how: FunctionError) -> String {
        let invoked = self.invoke(event);
        assert_eq!(invoked.error, Some(how), "{}", text(&invoked));
        text(&invoked).replace(&invoked.request_id, "ID")
    }

    pub(crate) fn log(&self, name: &str) -> String {
        let path = self.dir.path().join(format!("functions/logs/{name}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The directories of environments on disk.
    pub(crate) fn left(&self) -> usize {
        let dir = self.dir.path().join("functions/environments");
        fs::read_dir(dir).unwrap().count()
    }
}

pub(crate) fn wait(asked: &Asked) -> Result<Invoked, InvokeError> {
    let outcome = asked.recv_timeout(PATIENCE).expect("an answer");
    // The other end is dropped after the one call that it is for.
    assert!(asked.recv_timeout(PATIENCE).is_err());
    outcome
}

pub(crate) fn text(invoked: &Invoked) -> String {
    String::from_utf8_lossy(&invoked.payload).into_owned()
}

pub(crate) fn log_of(invoked: &Invoked) -> String {
    String::from_utf8_lossy(invoked.log.as_deref().unwrap()).into_owned()
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Living processes with this word on their command line.
pub(crate) fn processes(mark: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let has = |line: &Vec<u8>| line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
    lines.filter(has).count()
}

/// A number of seconds that no other process sleeps for.
pub(crate) fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("1000.{}{next:03}", std::process::id())
}
