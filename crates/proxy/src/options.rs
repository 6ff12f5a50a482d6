//! How the data plane runs.

use forebay_functions::Functions;
use forebay_node::logging::Logger;
use forebay_node::{Channels, PermitIssuer};
use std::sync::Arc;

/// How the data plane runs.
#[derive(Clone)]
pub struct Options {
    /// Whether it listens from the start. One that takes over from another process does once it is told where.
    pub listens: bool,
    /// Worker threads.
    pub workers: usize,
    /// Client connections open at once, of all workers; one more is refused.
    pub connections: usize,
    /// Descriptors for connections of clients and to targets, and for listening sockets, of all workers. Who finds none is answered
    /// 503.
    pub descriptors: usize,
    /// Probes under way at once; others wait.
    pub probes: usize,
    /// Bytes that buffers of requests may hold, of all workers; a request that finds no more is answered 503.
    pub buffer_bytes: usize,
    /// Seed of the workers' random streams.
    pub seed: u64,
    /// Where lines about requests, connections and probes are written, if anywhere.
    pub logger: Option<Arc<dyn Logger>>,
    /// What keeps channels to agents; without it, targets of groups with a target control port get nothing.
    pub channels: Option<Arc<dyn Channels>>,
    /// Who runs functions that are targets.
    pub functions: Arc<dyn Functions>,
    /// Who may start, beside a target: all listeners are an agent's then.
    pub permit_issuer: Option<Arc<PermitIssuer>>,
}
