//! The services that one endpoint answers for, and the protocols they speak.

use crate::ApiError;

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

/// What there is to say of a service.
struct ServiceSpec {
    service: Service,
    /// For people, in the generated documentation.
    title: &'static str,
    /// Its name in a SigV4 credential scope.
    scope: &'static str,
    protocol: Protocol,
    /// botocore's model of it, stripped.
    model: &'static str,
}

// To add a service: a variant of `Service`, an entry here in its place, and its operations in `control`.
static SERVICES: [ServiceSpec; 9] = [
    ServiceSpec {
        service: Service::Elbv2,
        title: "Elastic Load Balancing v2 (`elbv2`)",
        scope: "elasticloadbalancing",
        protocol: Protocol::Query,
        model: include_str!("../models/elbv2.json"),
    },
    ServiceSpec {
        service: Service::Ec2,
        title: "EC2 (`ec2`)",
        scope: "ec2",
        protocol: Protocol::Ec2,
        model: include_str!("../models/ec2.json"),
    },
    ServiceSpec {
        service: Service::Acm,
        title: "Certificate Manager (`acm`)",
        scope: "acm",
        protocol: Protocol::Json,
        model: include_str!("../models/acm.json"),
    },
    ServiceSpec {
        service: Service::Iam,
        title: "IAM (`iam`)",
        scope: "iam",
        protocol: Protocol::Query,
        model: include_str!("../models/iam.json"),
    },
    ServiceSpec {
        service: Service::Sts,
        title: "STS (`sts`)",
        scope: "sts",
        protocol: Protocol::Query,
        model: include_str!("../models/sts.json"),
    },
    ServiceSpec {
        service: Service::Tagging,
        title: "Resource Groups Tagging (`resourcegroupstaggingapi`)",
        scope: "tagging",
        protocol: Protocol::Json,
        model: include_str!("../models/resourcegroupstaggingapi.json"),
    },
    ServiceSpec {
        service: Service::Shield,
        title: "Shield (`shield`)",
        scope: "shield",
        protocol: Protocol::Json,
        model: include_str!("../models/shield.json"),
    },
    ServiceSpec {
        service: Service::Wafv2,
        title: "WAF (`wafv2`)",
        scope: "wafv2",
        protocol: Protocol::Json,
        model: include_str!("../models/wafv2.json"),
    },
    ServiceSpec {
        service: Service::WafRegional,
        title: "WAF Classic, regional (`waf-regional`)",
        scope: "waf-regional",
        protocol: Protocol::Json,
        model: include_str!("../models/waf-regional.json"),
    },
];

impl Service {
    /// Every service, in the order of the generated documentation.
    pub const ALL: [Service; SERVICES.len()] = {
        let mut all = [Service::Elbv2; SERVICES.len()];
        let mut place = 0;
        while place < all.len() {
            // Entries are found by their place, so the table is in the order of the enum.
            assert!(SERVICES[place].service as usize == place);
            all[place] = SERVICES[place].service;
            place += 1;
        }
        all
    };

    const fn spec(self) -> &'static ServiceSpec {
        &SERVICES[self as usize]
    }

    /// The service that a SigV4 credential scope names.
    pub fn from_scope(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.scope() == name)
    }

    /// The name of the service in a SigV4 credential scope.
    pub const fn scope(self) -> &'static str {
        self.spec().scope
    }

    /// The protocol that the service speaks.
    pub const fn protocol(self) -> Protocol {
        self.spec().protocol
    }

    /// The service's name for people, with the command line's name for it.
    pub const fn title(self) -> &'static str {
        self.spec().title
    }

    /// botocore's model of the service, stripped.
    pub(crate) const fn model(self) -> &'static str {
        self.spec().model
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
