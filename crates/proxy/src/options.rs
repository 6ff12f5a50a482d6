//! Options of the data plane.

use forebay_functions::Functions;
use forebay_node::logging::Logger;
use forebay_node::{Channels, PermitIssuer};
use std::sync::Arc;

/// How the data plane runs.
#[derive(Clone)]
pub struct Options {
    /// Listen from the start. A process that takes over from another listens once it is told to.
    pub listens: bool,
    /// Number of worker threads.
    pub workers: usize,
    /// Most client connections open at once, over all workers; further ones are refused.
    pub connections: usize,
    /// Descriptors for client connections, target connections and listening sockets, over all workers. A request that finds
    /// none left is answered with 503.
    pub descriptors: usize,
    /// Most probes in progress at once; others wait.
    pub probes: usize,
    /// Most bytes that the buffers of requests may hold, over all workers; beyond that a request is answered with 503.
    pub buffer_bytes: usize,
    /// Seed of the workers' random streams.
    pub seed: u64,
    /// The destination of log lines about requests, connections and probes, if there is one.
    pub logger: Option<Arc<dyn Logger>>,
    /// Keeps channels to agents; without it, targets of groups with a target control port get no requests.
    pub channels: Option<Arc<dyn Channels>>,
    /// The port through which functions are invoked.
    pub functions: Arc<dyn Functions>,
    /// Grants permits at an agent; if set, all listeners belong to that agent.
    pub permit_issuer: Option<Arc<PermitIssuer>>,
}
