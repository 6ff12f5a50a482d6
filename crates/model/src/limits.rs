//! All defaults and quotas of the AWS APIs that Forebay keeps to, with unit and source (user guide for Application Load
//! Balancers, "Quotas for your Application Load Balancers", and the Elastic Load Balancing API reference, 2026).

/// A quota, as in DescribeAccountLimits.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The API's name.
    pub name: &'static str,
    /// The default, which Forebay enforces.
    pub max: u32,
}

macro_rules! quotas {
    ($($(#[$doc:meta])* $konst:ident = $name:literal, $max:literal;)*) => {
        $($(#[$doc])* pub const $konst: Quota = Quota { name: $name, max: $max };)*
        /// All quotas, in the order of DescribeAccountLimits.
        pub const QUOTAS: &[Quota] = &[$($konst),*];
    };
}

quotas! {
    /// Application load balancers per region.
    BALANCERS = "application-load-balancers", 50;
    /// Target groups per region.
    GROUPS = "target-groups", 3000;
    /// Targets per load balancer.
    TARGETS_PER_BALANCER = "targets-per-application-load-balancer", 1000;
    /// Listeners per load balancer.
    LISTENERS_PER_BALANCER = "listeners-per-application-load-balancer", 50;
    /// Rules per load balancer, default rules excluded.
    RULES_PER_BALANCER = "rules-per-application-load-balancer", 100;
    /// Certificates per load balancer, default certificates excluded.
    CERTIFICATES_PER_BALANCER = "certificates-per-application-load-balancer", 25;
    /// Target groups per action.
    GROUPS_PER_ACTION = "target-groups-per-action-on-application-load-balancer", 5;
    /// Target groups per load balancer.
    GROUPS_PER_BALANCER = "target-groups-per-application-load-balancer", 100;
    /// Registrations of one target id per load balancer.
    REGISTRATIONS_PER_TARGET = "target-id-registrations-per-application-load-balancer", 1000;
    /// Targets per target group.
    TARGETS_PER_GROUP = "targets-per-target-group", 1000;
    /// Condition values per rule.
    CONDITION_VALUES_PER_RULE = "condition-values-per-alb-rule", 5;
    /// Wildcard characters per rule. AWS's pages say 5 or 6; the more lenient one holds here.
    WILDCARDS_PER_RULE = "condition-wildcards-per-alb-rule", 6;
}

/// Tags per resource.
pub const TAGS_PER_RESOURCE: usize = 50;
/// Seconds allowed to connect to a target (ALB, fixed).
pub const CONNECT_TIMEOUT_SECONDS: u64 = 10;
/// Positions (where a byte is consumed) in all expressions of a listener's rules that cannot be made into tables. At
/// this limit they take some 6 ms on the longest path. Not an AWS quota; see docs/decisions/0023.
pub const SPOTS_PER_LISTENER: usize = 1024;
/// Bytes of a request's head (ALB quota, fixed).
pub const REQUEST_HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a request line (ALB quota, fixed).
pub const REQUEST_LINE_BYTES: usize = 16 * 1024;
/// Bytes of one request header (ALB quota, fixed).
pub const HEADER_BYTES: usize = 16 * 1024;
/// Bytes of an answer's head (ALB quota, fixed).
pub const RESPONSE_HEAD_BYTES: usize = 32 * 1024;
/// Bytes of a redirect's Location; longer ones are answered with 507.
pub const LOCATION_BYTES: usize = 8 * 1024;
/// Addresses allowed in a request's X-Forwarded-For; more are answered with 463.
pub const FORWARDED_ADDRESSES: usize = 30;
