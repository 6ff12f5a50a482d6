//! What samples of a metric are told apart by.

/// What samples of a metric are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// `app/NAME/ID`.
    LoadBalancer,
    /// `targetgroup/NAME/ID`.
    TargetGroup,
    /// A zone's name; `all` for a group that is one over all of them, with cross-zone on.
    AvailabilityZone,
    /// `listener/app/NAME/ID/ID`.
    Listener,
    /// `ID:PORT`.
    Target,
    /// A status, or a hundred of them: `502`, `2xx`.
    Code,
    /// Why a request was sent again.
    Cause,
    /// What a slot is.
    State,
    /// Why a request got no slot.
    Why,
    /// Why a request was answered here and not by a target, or not let in by an agent, or not passed on by it.
    Reason,
    /// From a client or to it.
    Direction,
    /// Which log.
    Log,
    /// Where a log's lines go.
    Sink,
    /// How the process is.
    Status,
    /// `certificate/ID`, or `server-certificate/NAME`.
    Certificate,
    /// Who metrics are sent to.
    Receiver,
    /// An Auto Scaling group's name.
    AutoScalingGroup,
    /// A program's version.
    Version,
    /// What a program was built from.
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

    /// Its name in CloudWatch, if that has it; the last three of these in Forebay's namespace alone.
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
