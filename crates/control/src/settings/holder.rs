//! The kinds of resources that have settings.

/// A kind of resource that has settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Application load balancers.
    Application,
    /// Network load balancers (stored; carry no traffic).
    Network,
    /// Gateway load balancers (stored; carry no traffic).
    Gateway,
    /// Listeners of application load balancers, HTTP or HTTPS.
    Listener,
    /// Listeners of application load balancers, HTTPS only.
    SecureListener,
    /// Listeners of network and gateway load balancers (stored; carry no traffic).
    PlainListener,
    /// Rules of listeners.
    Rule,
    /// Target groups of instances or addresses with HTTP or HTTPS.
    HttpGroup,
    /// Target groups of functions.
    LambdaGroup,
    /// Target groups with TCP, TLS, UDP and the like (stored; carry no traffic).
    TcpGroup,
    /// Target groups with GENEVE (stored; carry no traffic).
    GeneveGroup,
    /// Auto Scaling groups.
    ScalingGroup,
    /// Instances.
    Instance,
}

impl Holder {
    /// The heading under which its settings are documented.
    pub const fn title(self) -> &'static str {
        match self {
            Holder::Application => "Application Load Balancers",
            Holder::Network => "Network Load Balancers",
            Holder::Gateway => "Gateway Load Balancers",
            Holder::Listener => "Listeners of Application Load Balancers",
            Holder::SecureListener => "HTTPS listeners of Application Load Balancers",
            Holder::PlainListener => "Listeners of Network and Gateway Load Balancers",
            Holder::Rule => "Rules",
            Holder::HttpGroup => "Target groups with HTTP or HTTPS",
            Holder::LambdaGroup => "Target groups of functions",
            Holder::TcpGroup => "Target groups with TCP, TLS or UDP",
            Holder::GeneveGroup => "Target groups with GENEVE",
            Holder::ScalingGroup => "Auto Scaling groups",
            Holder::Instance => "Instances",
        }
    }

    /// Whether it is a target group.
    pub(crate) const fn is_group(self) -> bool {
        matches!(
            self,
            Holder::HttpGroup | Holder::LambdaGroup | Holder::TcpGroup | Holder::GeneveGroup
        )
    }

    /// The API's word for a load balancer's type.
    pub(crate) const fn balancer_word(self) -> Option<&'static str> {
        match self {
            Holder::Application => Some("application"),
            Holder::Network => Some("network"),
            Holder::Gateway => Some("gateway"),
            _ => None,
        }
    }
}
