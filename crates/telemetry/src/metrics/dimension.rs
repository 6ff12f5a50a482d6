//! The dimensions by which samples of a metric are divided.

/// A dimension by which samples of a metric are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// A load balancer, `app/NAME/ID`.
    LoadBalancer,
    /// A target group, `targetgroup/NAME/ID`.
    TargetGroup,
    /// A zone's name; `all` for a group that spans all zones, with cross-zone load balancing.
    AvailabilityZone,
    /// A listener, `listener/app/NAME/ID/ID`.
    Listener,
    /// A target, `ID:PORT`.
    Target,
    /// A status or a class of statuses: `502`, `2xx`.
    Code,
    /// The cause for which a request was sent again.
    Cause,
    /// The state of a slot.
    State,
    /// The reason for which a request got no slot.
    Why,
    /// The reason for which a request was answered here instead of by a target, or rejected or not passed on by an agent.
    Reason,
    /// From a client or to it.
    Direction,
    /// One of the logs.
    Log,
    /// Where a log's lines go.
    Sink,
    /// The state of the process.
    Status,
    /// `certificate/ID`, or `server-certificate/NAME`.
    Certificate,
    /// The receiver of exported metrics.
    Receiver,
    /// An Auto Scaling group's name.
    AutoScalingGroup,
    /// A program's version.
    Version,
    /// The commit that a program was built from.
    Commit,
}

impl Dimension {
    /// Its label in Prometheus.
    pub const fn label(self) -> &'static str {
        match self {
            Dimension::LoadBalancer => "load_balancer",
            Dimension::TargetGroup => "target_group",
            Dimension::AvailabilityZone => "zone",
            Dimension::Listener => "listener",
            Dimension::Target => "target",
            Dimension::Code => "code",
            Dimension::Cause => "cause",
            Dimension::State => "state",
            Dimension::Why => "why",
            Dimension::Reason => "reason",
            Dimension::Direction => "direction",
            Dimension::Log => "log",
            Dimension::Sink => "sink",
            Dimension::Status => "status",
            Dimension::Certificate => "certificate",
            Dimension::Receiver => "receiver",
            Dimension::AutoScalingGroup => "auto_scaling_group",
            Dimension::Version => "version",
            Dimension::Commit => "commit",
        }
    }

    /// Its name in CloudWatch, if CloudWatch has it; the last three exist only in Forebay's namespace.
    pub const fn cloudwatch(self) -> Option<&'static str> {
        match self {
            Dimension::LoadBalancer => Some("LoadBalancer"),
            Dimension::TargetGroup => Some("TargetGroup"),
            Dimension::AvailabilityZone => Some("AvailabilityZone"),
            Dimension::Reason => Some("Reason"),
            Dimension::Certificate => Some("Certificate"),
            Dimension::AutoScalingGroup => Some("AutoScalingGroupName"),
            _ => None,
        }
    }
}
