//! How functions are run.

use crate::user::RunAs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Access keys of a role, by its name: an id and a secret.
pub type RoleKeysSource = Arc<dyn Fn(&str) -> Result<(String, String), String> + Send + Sync>;

/// How functions are run.
#[derive(Clone)]
pub struct RuntimeOptions {
    /// Where code, logs and what environments write are.
    pub directory: PathBuf,
    /// As whom functions run.
    pub run_as: RunAs,
    /// What runs functions in Python: a path, or a name that is looked for in the PATH.
    pub python: String,
    /// What runs functions in Node.
    pub node: String,
    /// Where functions find AWS's APIs, as `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The most environments of all functions.
    pub environments: usize,
    /// How long an environment without an invocation stays.
    pub idle: Duration,
    /// Whose keys functions get.
    pub keys: RoleKeysSource,
}

impl RuntimeOptions {
    /// The most environments of all functions, unless something else is said.
    pub const ENVIRONMENTS: usize = 100;
    /// How long an environment without an invocation stays, unless something else is said.
    pub const IDLE: Duration = Duration::from_secs(300);

    /// With the defaults: as nobody, `python3` and `node`, 100 environments, idle for five minutes.
    pub fn new(directory: PathBuf, endpoint: String, keys: RoleKeysSource) -> RuntimeOptions {
        RuntimeOptions {
            directory,
            run_as: RunAs::Nobody,
            python: "python3".to_owned(),
            node: "node".to_owned(),
            endpoint,
            environments: RuntimeOptions::ENVIRONMENTS,
            idle: RuntimeOptions::IDLE,
            keys,
        }
    }
}
