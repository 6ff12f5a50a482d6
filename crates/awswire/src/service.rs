//! The services behind the endpoint, and their protocols.

use crate::{ApiError, Protocol};

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
    /// CloudWatch: metrics, alarms, dashboards.
    CloudWatch,
    /// Resource Groups Tagging: resources of all services by their tags.
    Tagging,
    /// Shield: reports that there is no subscription.
    Shield,
    /// Web application firewall, version 2: reports that no resource has an ACL.
    Wafv2,
    /// Web application firewall, version 1: reports that no resource has an ACL.
    WafRegional,
    /// EC2 Auto Scaling: groups of instances.
    AutoScaling,
    /// Systems Manager: the Parameter Store.
    Ssm,
    /// Simple Queue Service.
    Sqs,
    /// Lambda: functions.
    Lambda,
    /// EventBridge Scheduler: schedules.
    Scheduler,
    /// EventBridge: rules with schedules.
    Events,
}

/// The properties of a service.
struct ServiceSpec {
    service: Service,
    /// The name in the AWS CLI, in botocore, and of the model's file.
    name: &'static str,
    /// The names in ARNs of universal targets (`arn:aws:scheduler:::aws-sdk:NAME:ACTION`).
    sdk_names: &'static [&'static str],
    /// The name for people, in the generated documentation.
    title: &'static str,
    /// The name in a SigV4 credential scope.
    scope: &'static str,
    /// Its protocols. A request that shows none of them is answered in the first.
    protocols: &'static [Protocol],
    /// Whether the model has the shapes of all operations, not only of those that are served: for small models of which most is served.
    has_whole_model: bool,
    /// Its stripped botocore model.
    model: &'static str,
}

// To add a service: a variant of `Service`, an entry at the same position here, and its operations in `control`.
static SERVICES: [ServiceSpec; 16] = [
    ServiceSpec {
        service: Service::Elbv2,
        name: "elbv2",
        sdk_names: &["elasticloadbalancingv2"],
        title: "Elastic Load Balancing v2",
        scope: "elasticloadbalancing",
        protocols: &[Protocol::Query],
        has_whole_model: true,
        model: include_str!("../models/elbv2.json"),
    },
    ServiceSpec {
        service: Service::Ec2,
        name: "ec2",
        sdk_names: &["ec2"],
        title: "EC2",
        scope: "ec2",
        protocols: &[Protocol::Ec2],
        has_whole_model: false,
        model: include_str!("../models/ec2.json"),
    },
    ServiceSpec {
        service: Service::Acm,
        name: "acm",
        sdk_names: &["acm"],
        title: "Certificate Manager",
        scope: "acm",
        protocols: &[Protocol::Json11],
        has_whole_model: true,
        model: include_str!("../models/acm.json"),
    },
    ServiceSpec {
        service: Service::Iam,
        name: "iam",
        sdk_names: &["iam"],
        title: "IAM",
        scope: "iam",
        protocols: &[Protocol::Query],
        has_whole_model: false,
        model: include_str!("../models/iam.json"),
    },
    ServiceSpec {
        service: Service::Sts,
        name: "sts",
        sdk_names: &["sts"],
        title: "STS",
        scope: "sts",
        protocols: &[Protocol::Query],
        has_whole_model: false,
        model: include_str!("../models/sts.json"),
    },
    ServiceSpec {
        service: Service::CloudWatch,
        name: "cloudwatch",
        sdk_names: &["cloudwatch"],
        title: "CloudWatch",
        scope: "monitoring",
        protocols: &[Protocol::Query, Protocol::Json10, Protocol::Cbor],
        has_whole_model: false,
        model: include_str!("../models/cloudwatch.json"),
    },
    ServiceSpec {
        service: Service::Tagging,
        name: "resourcegroupstaggingapi",
        sdk_names: &["resourcegroupstaggingapi"],
        title: "Resource Groups Tagging",
        scope: "tagging",
        protocols: &[Protocol::Json11, Protocol::Cbor],
        has_whole_model: false,
        model: include_str!("../models/resourcegroupstaggingapi.json"),
    },
    ServiceSpec {
        service: Service::Shield,
        name: "shield",
        sdk_names: &["shield"],
        title: "Shield",
        scope: "shield",
        protocols: &[Protocol::Json11, Protocol::Cbor],
        has_whole_model: false,
        model: include_str!("../models/shield.json"),
    },
    ServiceSpec {
        service: Service::Wafv2,
        name: "wafv2",
        sdk_names: &["wafv2"],
        title: "WAF",
        scope: "wafv2",
        protocols: &[Protocol::Json11],
        has_whole_model: false,
        model: include_str!("../models/wafv2.json"),
    },
    ServiceSpec {
        service: Service::WafRegional,
        name: "waf-regional",
        sdk_names: &["waf"],
        title: "WAF Classic, regional",
        scope: "waf-regional",
        protocols: &[Protocol::Json11],
        has_whole_model: false,
        model: include_str!("../models/waf-regional.json"),
    },
    ServiceSpec {
        service: Service::AutoScaling,
        name: "autoscaling",
        sdk_names: &["autoscaling"],
        title: "EC2 Auto Scaling",
        scope: "autoscaling",
        protocols: &[Protocol::Query],
        has_whole_model: true,
        model: include_str!("../models/autoscaling.json"),
    },
    ServiceSpec {
        service: Service::Ssm,
        name: "ssm",
        sdk_names: &["ssm"],
        title: "Systems Manager",
        scope: "ssm",
        protocols: &[Protocol::Json11],
        has_whole_model: false,
        model: include_str!("../models/ssm.json"),
    },
    ServiceSpec {
        service: Service::Sqs,
        name: "sqs",
        sdk_names: &["sqs"],
        title: "Simple Queue Service",
        scope: "sqs",
        protocols: &[Protocol::Query, Protocol::Json10],
        has_whole_model: true,
        model: include_str!("../models/sqs.json"),
    },
    ServiceSpec {
        service: Service::Lambda,
        name: "lambda",
        sdk_names: &["lambda"],
        title: "Lambda",
        scope: "lambda",
        protocols: &[Protocol::RestJson],
        has_whole_model: false,
        model: include_str!("../models/lambda.json"),
    },
    ServiceSpec {
        service: Service::Scheduler,
        name: "scheduler",
        sdk_names: &["scheduler"],
        title: "EventBridge Scheduler",
        scope: "scheduler",
        protocols: &[Protocol::RestJson],
        has_whole_model: true,
        model: include_str!("../models/scheduler.json"),
    },
    ServiceSpec {
        service: Service::Events,
        name: "events",
        sdk_names: &["eventbridge", "events"],
        title: "EventBridge",
        scope: "events",
        protocols: &[Protocol::Json11],
        has_whole_model: false,
        model: include_str!("../models/events.json"),
    },
];

impl Service {
    /// All services, in the order of the generated documentation.
    pub const ALL: [Service; SERVICES.len()] = {
        let mut all = [Service::Elbv2; SERVICES.len()];
        let mut place = 0;
        while place < all.len() {
            // Entries are looked up by position, so the table must be in the order of the enum.
            assert!(SERVICES[place].service as usize == place);
            all[place] = SERVICES[place].service;
            place += 1;
        }
        all
    };

    const fn spec(self) -> &'static ServiceSpec {
        &SERVICES[self as usize]
    }

    /// The service with this name in a SigV4 credential scope.
    pub fn from_scope(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.scope() == name)
    }

    /// The name of the service in a SigV4 credential scope.
    pub const fn scope(self) -> &'static str {
        self.spec().scope
    }

    /// The protocols that the service speaks, the one of its oldest clients first.
    pub const fn protocols(self) -> &'static [Protocol] {
        self.spec().protocols
    }

    /// The protocol in which the service understands a request that shows `shown`: that one, or one that resembles it, or
    /// else its first, in which it refuses what it cannot read.
    pub(crate) fn understands(self, shown: Protocol) -> Protocol {
        let spoken = self.protocols();
        let same = spoken.iter().find(|&&protocol| protocol == shown);
        let alike = || spoken.iter().find(|protocol| protocol.resembles(shown));
        *same.or_else(alike).unwrap_or(&spoken[0])
    }

    /// The service's name for people.
    pub const fn title(self) -> &'static str {
        self.spec().title
    }

    /// The service's name in the AWS CLI, in botocore, and of its model's file.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The service with this name in the ARN of a universal target. EventBridge has two names there.
    pub fn from_sdk_name(name: &str) -> Option<Service> {
        let is_named = |service: &Service| service.spec().sdk_names.contains(&name);
        Service::ALL.into_iter().find(is_named)
    }

    /// Whether the service's model has the shapes of all operations, not only of those that are served.
    pub const fn has_whole_model(self) -> bool {
        self.spec().has_whole_model
    }

    /// The service's stripped botocore model.
    pub(crate) const fn model(self) -> &'static str {
        self.spec().model
    }

    /// The error for an operation that AWS has and Forebay does not serve yet.
    pub fn unsupported(self, protocol: Protocol, operation: &str) -> ApiError {
        let name = self.scope();
        ApiError::sender(
            protocol.unknown_operation(),
            format!("The action {operation} of {name} is not supported by Forebay yet."),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The protocols that AWS lists for a service's newest clients; older clients may speak more.
    #[test]
    fn services_speak_what_aws_says() {
        for service in Service::ALL {
            let model: Value = serde_json::from_str(service.model()).unwrap();
            let listed = model["protocols"].as_array().unwrap();
            assert!(!listed.is_empty(), "{service:?}");
            for word in listed {
                let protocol = match (word.as_str().unwrap(), model["json"].as_str()) {
                    ("query", _) => Protocol::Query,
                    ("ec2", _) => Protocol::Ec2,
                    ("rest-json", _) => Protocol::RestJson,
                    ("json", Some("1.0")) => Protocol::Json10,
                    ("json", Some("1.1")) => Protocol::Json11,
                    ("smithy-rpc-v2-cbor", _) => Protocol::Cbor,
                    other => panic!("{service:?}: {other:?} is not built"),
                };
                assert!(
                    service.protocols().contains(&protocol),
                    "{service:?}: {protocol:?}"
                );
            }
        }
    }

    #[test]
    fn request_in_a_protocol_that_is_not_spoken_is_refused_in_one_that_is() {
        use Protocol::{Cbor, Ec2, Json10, Json11, Query};
        for (service, shown, understood) in [
            (Service::Shield, Cbor, Cbor),
            (Service::Shield, Json11, Json11),
            (Service::Shield, Json10, Json11),
            (Service::Shield, Query, Json11),
            (Service::Ec2, Query, Ec2),
            (Service::Ec2, Cbor, Ec2),
            (Service::Elbv2, Json11, Query),
            (Service::Lambda, Query, Protocol::RestJson),
            (Service::Lambda, Json10, Protocol::RestJson),
        ] {
            assert_eq!(service.understands(shown), understood, "{service:?} {shown:?}");
        }
    }
}
