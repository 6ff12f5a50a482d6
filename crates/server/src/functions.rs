//! The functions of this Forebay: their processes, their code, and the state's changes for them.

use crate::flags::UpArgs;
use crate::fleet::role_keys;
use crate::function_metrics;
use forebay_control::lambda::{Code, CodeError};
use forebay_control::{Datapoint, State};
use forebay_functions::{Done, Functions, Invocation, InvokeError};
use forebay_gateway::FunctionCode;
use forebay_launch::functions::{CodeStore, RuntimeOptions, RuntimeStats, Runtimes};
use forebay_units::Wall;
use forebay_units::lock::lock;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// How long an archive is kept that no function uses yet: the call that brought it may still be in progress.
const NEW: Duration = Duration::from_secs(600);

/// The functions of this Forebay.
pub(crate) struct HostedFunctions {
    options: RuntimeOptions,
    code: CodeStore,
    /// Started with the first function. An error is reported only when a function is about to run; nobody else needs it.
    runtimes: OnceLock<Result<Runtimes, String>>,
    /// Archives that were stored lately, the oldest first.
    new: Mutex<VecDeque<(Instant, String)>>,
    /// The counters at the last datapoints.
    told: Mutex<RuntimeStats>,
}

impl HostedFunctions {
    /// Made from the flags, the address of the APIs and the credentials file. Starts nothing yet.
    pub(crate) fn new(args: &UpArgs, api: SocketAddr, keys: &Path) -> HostedFunctions {
        let directory = args.data.data_dir.join("functions");
        let keys = keys.to_owned();
        let flags = &args.functions;
        let endpoint = format!("http://{}", reached(api));
        HostedFunctions {
            code: CodeStore::new(&directory),
            options: RuntimeOptions {
                run_as: flags.function_user.clone(),
                python: flags.function_python.clone(),
                node: flags.function_node.clone(),
                environments: flags.max_function_processes,
                idle: flags.idle(),
                ..RuntimeOptions::new(directory, endpoint, Arc::new(move |role| role_keys(&keys, role)))
            },
            runtimes: OnceLock::new(),
            new: Mutex::default(),
            told: Mutex::default(),
        }
    }

    fn started(&self) -> &Result<Runtimes, String> {
        self.runtimes.get_or_init(|| {
            let started = Runtimes::start(self.options.clone());
            if let Err(why) = &started {
                tracing::warn!(why, "no function can run");
            }
            started
        })
    }

    /// Adopts the functions of a new state.
    pub(crate) fn publish(&self, old: Option<&State>, new: &State) {
        if old.is_some_and(|old| !new.has_other_functions(old)) {
            return;
        }
        let functions = new.functions();
        if functions.is_empty() && self.runtimes.get().is_none() {
            return;
        }
        let Ok(runtimes) = self.started() else {
            return;
        };
        runtimes.publish(functions);
        let mut in_use = new.function_code();
        let lately = self.lately();
        in_use.extend(lately.iter().map(|(_, sha)| sha.clone()));
        let in_use: Vec<&str> = in_use.iter().map(String::as_str).collect();
        // Under the lock: an archive noted before the sweep is kept by it, one noted afterwards is stored afterwards.
        runtimes.code().sweep(&in_use);
    }

    fn lately(&self) -> MutexGuard<'_, VecDeque<(Instant, String)>> {
        let mut lately = lock(&self.new);
        while lately.front().is_some_and(|(since, _)| since.elapsed() > NEW) {
            lately.pop_front();
        }
        lately
    }

    /// The datapoints since the last call.
    pub(crate) fn datapoints(&self, at: Wall) -> Vec<Datapoint> {
        let Some(Ok(runtimes)) = self.runtimes.get() else {
            return Vec::new();
        };
        let now = runtimes.stats();
        let mut told = lock(&self.told);
        let points = function_metrics::datapoints(&told, &now, at);
        *told = now;
        points
    }

    /// Ends all functions; running ones have this long. Blocks.
    pub(crate) fn stop(&self, grace: Duration) {
        if let Some(Ok(runtimes)) = self.runtimes.get() {
            runtimes.stop(grace);
        }
    }
}

/// The address at which programs on this machine reach `api`.
fn reached(api: SocketAddr) -> SocketAddr {
    match api {
        SocketAddr::V4(at) if at.ip().is_unspecified() => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), at.port())
        }
        SocketAddr::V6(at) if at.ip().is_unspecified() => {
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), at.port())
        }
        other => other,
    }
}

impl Functions for HostedFunctions {
    fn invoke(&self, invocation: Invocation, done: Done) {
        match self.runtimes.get() {
            Some(Ok(runtimes)) => runtimes.invoke(invocation, done),
            Some(Err(why)) => done(Err(InvokeError::Unavailable(why.clone()))),
            None => done(Err(InvokeError::NotFound)),
        }
    }
}

impl FunctionCode for HostedFunctions {
    fn keep(&self, zip: &[u8]) -> Result<Code, CodeError> {
        // Noted before it is stored; a sweep in between would delete it.
        let noted = (Instant::now(), CodeStore::digest(zip));
        self.lately().push_back(noted);
        let kept = self.code.keep(zip).map_err(|error| {
            if let Some(cause) = error.cause() {
                tracing::info!(cause, "a function's code was not kept");
            }
            match error.code() {
                "ServiceException" => CodeError::Storage(error.to_string()),
                _ => CodeError::Refused(error.to_string()),
            }
        })?;
        Ok(Code {
            sha256: kept.sha256_hex,
            size: kept.size,
        })
    }
}
