//! Options for running functions.

use crate::user::RunAs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Returns a role's access keys by its name: an id and a secret.
pub type RoleKeysSource = Arc<dyn Fn(&str) -> Result<(String, String), String> + Send + Sync>;

/// How functions are run.
#[derive(Clone)]
pub struct RuntimeOptions {
    /// Directory of code, logs and environments.
    pub directory: PathBuf,
    /// The user that functions run as.
    pub run_as: RunAs,
    /// The Python that runs functions: a path, or a name that is searched in PATH.
    pub python: String,
    /// The Node that runs functions.
    pub node: String,
    /// The URL of the AWS APIs for functions, such as `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// Most environments of all functions.
    pub environments: usize,
    /// How long an environment stays without an invocation.
    pub idle: Duration,
    /// The source of roles' keys.
    pub keys: RoleKeysSource,
}

impl RuntimeOptions {
    /// Default number of environments of all functions.
    pub const ENVIRONMENTS: usize = 100;
    /// Default time that an environment stays without an invocation.
    pub const IDLE: Duration = Duration::from_secs(300);

    /// With the defaults: user nobody, `python3` and `node`, 100 environments, idle for five minutes.
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
