//! What metrics are read of: all figures of a program at one moment.

use crate::backlog::BacklogMetrics;
use crate::exports::{DatapointMetrics, ExportMetrics, NotificationMetrics, Receiver};
use crate::logs::LogMetrics;
use crate::process::ProcessMetrics;
use crate::standing::Standing;
use forebay_node::{Distribution, NodeMetrics, PermitIssuerMetrics};
use forebay_scaling::planner::Plan;
use forebay_units::Wall;

/// All figures of a program at one moment.
#[derive(Clone, Debug)]
pub enum MetricsSnapshot {
    /// Of a server.
    Server(ServerMetrics),
    /// Of an agent.
    Agent(AgentMetrics),
}

/// All figures of a server.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Of its data plane.
    pub node: NodeMetrics,
    /// Of its listeners' certificates.
    pub certificates: Vec<ExpiryMetrics>,
    /// Of its planned Auto Scaling groups.
    pub planners: Vec<PlannerMetrics>,
    /// Groups that are sized by their workers' queue.
    pub backlogs: Vec<BacklogMetrics>,
    /// Of its logs and spans.
    pub logs: LogMetrics,
    /// Of itself.
    pub own: Box<Own>,
}

/// What the process knows of itself.
#[derive(Clone, Debug)]
pub struct Own {
    /// Lines of its own log that were not written.
    pub lines_dropped: u64,
    /// How it is.
    pub standing: Standing,
    /// What the kernel says of it.
    pub process: ProcessMetrics,
    /// What was sent of metrics, and what of it was lost.
    pub exports: [ExportMetrics; Receiver::ALL.len()],
    /// Notifications of alarms.
    pub notifications: NotificationMetrics,
    /// What is kept of datapoints.
    pub datapoints: DatapointMetrics,
    /// How long changes took from being stored until every worker decided by them.
    pub adoptions: Distribution,
    /// From what made a planner's order necessary until it was durable.
    pub orders: Distribution,
    /// How long looks at all planned groups took.
    pub looks: Distribution,
}

/// A planned Auto Scaling group, as of the last look at it.
#[derive(Clone, Debug)]
pub struct PlannerMetrics {
    /// Its region.
    pub region: String,
    /// Its name.
    pub group: String,
    /// It is only said what would be done.
    pub is_dry_run: bool,
    /// What its costs bound, in words, if they are bounded.
    pub costs: Option<String>,
    /// What its predictive scaling policies have forecast, and by how much they were wrong.
    pub forecasts: Vec<String>,
    /// What was found.
    pub plan: Plan,
    /// Times that more was ordered.
    pub orders: u64,
    /// Times that something was taken away.
    pub releases: u64,
}

/// When a listener's certificate expires.
#[derive(Clone, Debug)]
pub struct ExpiryMetrics {
    /// The listener's ARN.
    pub listener: String,
    /// Its load balancer's ARN.
    pub load_balancer: String,
    /// The certificate's ARN.
    pub certificate: String,
    /// Seconds until then, negative once it has.
    pub seconds: f64,
}

impl ExpiryMetrics {
    /// Of all listeners of a node.
    pub fn of(node: &NodeMetrics, now: Wall) -> Vec<ExpiryMetrics> {
        let each = node.listeners.iter();
        each.flat_map(|listener| {
            listener.certificates.iter().map(|certificate| ExpiryMetrics {
                listener: listener.arn.clone(),
                load_balancer: listener.load_balancer.clone(),
                certificate: certificate.arn.clone(),
                seconds: certificate.not_after.seconds().saturating_sub(now.seconds()) as f64,
            })
        })
        .collect()
    }
}

/// All figures of an agent.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    /// Of its data plane, whose one target is the application.
    pub node: NodeMetrics,
    /// Of what it lets in.
    pub permit_issuer: PermitIssuerMetrics,
    /// Lines of its own log that were not written.
    pub log_lines_dropped: u64,
    /// What the kernel says of it.
    pub process: ProcessMetrics,
}
