//! The services that one endpoint answers for, and the protocols they speak.

use crate::ApiError;
use crate::model::Model;

/// An AWS service that Forebay serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Elastic Load Balancing v2.
    Elbv2,
    /// Elastic Compute Cloud: networks, security groups, instances.
    Ec2,
    /// Certificate Manager.
    Acm,
    /// Identity and Access Management: server certificates only.
    Iam,
    /// Security Token Service.
    Sts,
    /// Resource Groups Tagging: resources of all services by their tags.
    Tagging,
    /// Shield: that there is no subscription.
    Shield,
    /// Web application firewall, second version: that no resource has an ACL.
    Wafv2,
    /// Web application firewall, first version: that no resource has an ACL.
    WafRegional,
}

/// How a service's operations look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS Query: a form, answered with XML.
    Query,
    /// EC2's dialect of Query.
    Ec2,
    /// AWS JSON 1.1.
    Json,
}

impl Service {
    /// Every service, in the order of the generated documentation.
    pub const ALL: [Service; 9] = [
        Service::Elbv2,
        Service::Ec2,
        Service::Acm,
        Service::Iam,
        Service::Sts,
        Service::Tagging,
        Service::Shield,
        Service::Wafv2,
        Service::WafRegional,
    ];

    /// The service that a SigV4 credential scope names.
    pub fn from_scope(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.scope() == name)
    }

    /// The name of the service in a SigV4 credential scope.
    pub fn scope(self) -> &'static str {
        match self {
            Service::Elbv2 => "elasticloadbalancing",
            Service::Ec2 => "ec2",
            Service::Acm => "acm",
            Service::Iam => "iam",
            Service::Sts => "sts",
            Service::Tagging => "tagging",
            Service::Shield => "shield",
            Service::Wafv2 => "wafv2",
            Service::WafRegional => "waf-regional",
        }
    }

    /// The protocol that the service speaks.
    pub fn protocol(self) -> Protocol {
        match self {
            Service::Elbv2 | Service::Iam | Service::Sts => Protocol::Query,
            Service::Ec2 => Protocol::Ec2,
            Service::Acm | Service::Tagging | Service::Shield | Service::Wafv2 | Service::WafRegional => {
                Protocol::Json
            }
        }
    }

    /// Every operation that AWS has in this service, in alphabetical order, whether we serve it or not.
    pub fn operations(self) -> Vec<&'static str> {
        Model::of(self).names().collect()
    }

    /// The error codes that AWS documents for an operation, with their HTTP statuses.
    pub fn documented_errors(self, operation: &str) -> Vec<(&'static str, u16)> {
        Model::of(self).errors(operation)
    }

    /// What to answer to an operation that AWS has and Forebay does not serve yet.
    pub fn unsupported(self, operation: &str) -> ApiError {
        let code = if self.protocol() == Protocol::Json {
            "UnknownOperationException"
        } else {
            "InvalidAction"
        };
        let name = self.scope();
        ApiError::sender(
            code,
            format!("The action {operation} of {name} is not supported by Forebay yet."),
        )
    }
}
