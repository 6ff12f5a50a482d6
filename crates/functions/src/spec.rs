//! A function, as its runner must know it.

use std::collections::BTreeMap;

/// How a function's program is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The handler's module runs in `awslambdaric`, AWS's Python client of the Runtime API.
    Python,
    /// The handler's module runs in Forebay's own client for Node.
    Node,
    /// The `bootstrap` program among the function's files speaks the Runtime API itself.
    Provided,
}

/// A complete function. Any change restarts its processes, except one of the reserved concurrency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, without a qualifier.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// How its program is started.
    pub runtime: Runtime,
    /// The runtime's identifier, such as `python3.11` or `provided.al2023`.
    pub runtime_name: String,
    /// The handler that the runtime calls, such as `index.handler`.
    pub handler: String,
    /// SHA-256 of its zip archive in lower-case hexadecimal digits, by which its files are found.
    pub code_sha256: String,
    /// Its own environment variables.
    pub environment: BTreeMap<String, String>,
    /// Maximum duration of an invocation in seconds, 1 to 900.
    pub timeout_s: u32,
    /// Its memory in MiB, 128 to 10,240.
    pub memory_mib: u32,
    /// Maximum number of concurrent invocations; `None` to share what all functions have.
    pub reserved_concurrency: Option<u32>,
    /// The name of its role, which determines its credentials.
    pub role: String,
}
