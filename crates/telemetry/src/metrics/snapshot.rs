//! Snapshots: all figures of a program at one moment, from which metrics are read.

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
    /// Figures of a server.
    Server(ServerMetrics),
    /// Figures of an agent.
    Agent(AgentMetrics),
}

/// All figures of a server.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Its data plane.
    pub node: NodeMetrics,
    /// Its listeners' certificates.
    pub certificates: Vec<ExpiryMetrics>,
    /// Its planned Auto Scaling groups.
    pub planners: Vec<PlannerMetrics>,
    /// Groups that are sized by their workers' queue.
    pub backlogs: Vec<BacklogMetrics>,
    /// Its logs and spans.
    pub logs: LogMetrics,
    /// The process itself.
    pub own: Box<Own>,
}

/// What the process knows about itself.
#[derive(Clone, Debug)]
pub struct Own {
    /// Lines of its own log that were not written.
    pub lines_dropped: u64,
    /// Its state.
    pub standing: Standing,
    /// The kernel's figures of it.
    pub process: ProcessMetrics,
    /// Counts of exported samples, and of those that were lost.
    pub exports: [ExportMetrics; Receiver::ALL.len()],
    /// Counts of notifications of alarms.
    pub notifications: NotificationMetrics,
    /// Figures of the stored datapoints.
    pub datapoints: DatapointMetrics,
    /// How long changes took from being stored until every worker used them.
    pub adoptions: Distribution,
    /// Times from the moment that a planner's order became necessary until it was durable.
    pub orders: Distribution,
    /// Durations of looks at all planned groups.
    pub looks: Distribution,
}

/// A planned Auto Scaling group, as of the last look at it.
#[derive(Clone, Debug)]
pub struct PlannerMetrics {
    /// The group's region.
    pub region: String,
    /// The group's name.
    pub group: String,
    /// The planner only reports what it would do.
    pub is_dry_run: bool,
    /// How its costs are bounded, in words, if they are.
    pub costs: Option<String>,
    /// The forecasts of its predictive scaling policies, and their errors.
    pub forecasts: Vec<String>,
    /// The latest plan.
    pub plan: Plan,
    /// How often capacity was added.
    pub orders: u64,
    /// How often capacity was removed.
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
    /// Seconds until it expires, negative once it has.
    pub seconds: f64,
}

impl ExpiryMetrics {
    /// The certificates of all listeners of a node.
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
    /// Its data plane, whose only target is the application.
    pub node: NodeMetrics,
    /// Its permit issuer.
    pub permit_issuer: PermitIssuerMetrics,
    /// Lines of its own log that were not written.
    pub log_lines_dropped: u64,
    /// The kernel's figures of it.
    pub process: ProcessMetrics,
}
