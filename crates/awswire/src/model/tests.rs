//! The models in this crate.

use super::*;

#[test]
fn models_load_and_name_operations() {
    assert_eq!(Model::of(Service::Elbv2).names().count(), 51);
    assert!(Model::of(Service::Ec2).knows("CreateVpnGateway"));
    assert!(!Model::of(Service::Ec2).knows("CreateVpnGatewayy"));
    for service in Service::ALL {
        assert!(!Model::of(service).version.is_empty(), "{service:?}");
    }
}

#[test]
fn wire_codes_are_not_shape_names() {
    let errors = Service::Elbv2.documented_errors("CreateListener");
    assert!(errors.contains(&("ALPNPolicyNotFound", 400)), "{errors:?}");
    let errors = Service::Elbv2.documented_errors("ModifyCapacityReservation");
    assert!(errors.contains(&("PriorRequestNotComplete", 429)), "{errors:?}");
}

/// Patterns that the Rust engine rejects are not checked; each is listed here with the reason.
#[test]
fn uncompilable_patterns_are_known() {
    let unchecked: Vec<&str> = Service::ALL
        .into_iter()
        .flat_map(|service| Model::of(service).shapes())
        .filter_map(|shape| shape.pattern.as_ref())
        .filter(|pattern| pattern.compiled().is_none())
        .map(|pattern| pattern.source.as_str())
        .collect();
    // ACM's domain names: (?!-) is a look-ahead, which the regex crate does not support by design. ACM's operations check
    // domain names themselves.
    let domain = r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])";
    // Of members that no operation here accepts: databases, buckets, event buses, and values of filters.
    let refused = [
        r"(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)",
        r"[0-9A-Za-z\.\-_]*(?<!\.)",
        r"(?=[/\.\-_A-Za-z0-9]+)((?!aws\.).*)|(\$(\.[\w_-]+(\[(\d+|\*)\])*)*)",
        r"^(?!\s*$).+",
    ];
    assert_eq!(unchecked, [&[domain], &refused[..]].concat());
}
