//! The AWS services that are told apart.

/// A service whose API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Elastic Load Balancing, version 2.
    Elbv2,
    /// The network and instance part of EC2.
    Ec2,
    /// Certificate Manager.
    Acm,
    /// Identity and Access Management (server certificates).
    Iam,
    /// Security Token Service.
    Sts,
}
