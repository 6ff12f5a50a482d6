//! A function as whoever runs it must know it.

use std::collections::BTreeMap;

/// What a function's program is started by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The handler's module runs in AWS's Python client of the Runtime API (`awslambdaric`).
    Python,
    /// The handler's module runs in our own client for Node.
    Node,
    /// The program `bootstrap` of the function's files speaks the Runtime API itself.
    Provided,
}

/// A function, whole. Whatever of it changes, its processes are started anew.
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
    /// The runtime's identifier, as `python3.11` or `provided.al2023`.
    pub runtime_name: String,
    /// What the runtime is to call, as `index.handler`.
    pub handler: String,
    /// SHA-256 of its zip archive, in lower-case hexadecimal digits: where its files are found.
    pub code_sha256: String,
    /// Environment variables of its own.
    pub environment: BTreeMap<String, String>,
    /// How long one invocation may take, in seconds: 1 to 900.
    pub timeout_s: u32,
    /// Its memory, in MiB: 128 to 10,240.
    pub memory_mib: u32,
    /// How many invocations may run at once; none for what all functions share.
    pub reserved_concurrency: Option<u32>,
    /// The name of its role: whose keys it has.
    pub role: String,
}
