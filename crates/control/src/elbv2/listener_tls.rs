//! TLS of a listener: its policy and the certificates behind its ARNs.

use crate::Region;
use crate::acm::pem;
use crate::acm::records::{Bundle, Facts};
use crate::elbv2::records::Listener;
use crate::state::State;
use forebay_model::{CertificateBlueprint, KeyKind, TlsBlueprint};
use std::sync::Arc;

/// A listener's TLS configuration; `None` for one without TLS.
pub(crate) fn listener_tls(
    state: &State,
    region: &Region,
    listener: &Listener,
    old: Option<&TlsBlueprint>,
) -> Option<TlsBlueprint> {
    let policy = listener
        .ssl_policy
        .clone()
        .filter(|_| listener.protocol.as_deref() == Some("HTTPS"))?;
    let made = |arn: &String| {
        let made = certificate(state, region, arn)?;
        // Certificates that have not changed stay the same object: the data plane compares pointers.
        let known = old
            .into_iter()
            .flat_map(|old| &old.certificates)
            .find(|known| ***known == made);
        Some(known.map_or_else(|| Arc::new(made), Arc::clone))
    };
    let default = listener.certificate.as_ref().and_then(made);
    let has_default = default.is_some();
    Some(TlsBlueprint {
        policy,
        certificates: default
            .into_iter()
            .chain(listener.certificates.iter().filter_map(made))
            .collect(),
        has_default,
    })
}

/// The certificate behind an ARN; `None` if it has no key because it was requested and never issued.
fn certificate(state: &State, region: &Region, arn: &str) -> Option<CertificateBlueprint> {
    if let Some(imported) = region.certificates.get(arn) {
        let (bundle, facts) = imported.issued.as_ref()?;
        return blueprint(arn, bundle, facts);
    }
    let home = state.existing_region(&state.settings().default_region)?;
    let uploaded = home
        .server_certificates
        .values()
        .find(|uploaded| uploaded.arn == arn)?;
    blueprint(arn, &uploaded.bundle, &uploaded.facts)
}

fn blueprint(arn: &str, bundle: &Bundle, facts: &Facts) -> Option<CertificateBlueprint> {
    let (chain, key) = pem::der(bundle)?;
    let (kind, key_bits) = match facts.key_algorithm.as_str() {
        "EC_prime256v1" => (KeyKind::Ecdsa, 256),
        "EC_secp384r1" => (KeyKind::Ecdsa, 384),
        "EC_secp521r1" => (KeyKind::Ecdsa, 521),
        rsa => (KeyKind::Rsa, rsa.strip_prefix("RSA_")?.parse().ok()?),
    };
    let digits: String = facts
        .signature_algorithm
        .strip_prefix("SHA")
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    Some(CertificateBlueprint {
        arn: arn.to_owned(),
        chain,
        key,
        names: facts.names.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
        kind,
        key_bits,
        hash_bits: digits.parse().ok().filter(|&bits| bits > 1).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Caller, certificate_input, text};
    use forebay_awswire::Service;
    use forebay_model::{Blueprint, KeyKind, TlsBlueprint};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn import(caller: &mut Caller, mut input: Value, again: Option<&str>) -> String {
        if let Some(arn) = again {
            input["CertificateArn"] = json!(arn);
        }
        let answer = caller.call_of(Service::Acm, "ImportCertificate", input).unwrap();
        text(&answer["CertificateArn"])
    }

    fn tls(blueprint: &Blueprint) -> Arc<TlsBlueprint> {
        Arc::clone(blueprint.balancers[0].listeners[0].tls.as_ref().unwrap())
    }

    #[test]
    fn a_listeners_certificates_are_followed_where_they_change() {
        let mut caller = Caller::new();
        let subnets = caller.subnets();
        let made = caller.ok("CreateLoadBalancer", json!({"Name": "b", "Subnets": subnets}));
        let balancer = text(&made["LoadBalancers"][0]["LoadBalancerArn"]);
        let first = import(&mut caller, certificate_input("one.test"), None);
        let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]);
        let made = caller.ok(
            "CreateListener",
            json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
                "Certificates": [{"CertificateArn": first}], "DefaultActions": fixed}),
        );
        let listener = text(&made["Listeners"][0]["ListenerArn"]);
        let (before, old) = (caller.state.clone(), caller.state.blueprint());
        let one = tls(&old);
        assert_eq!(one.policy, "ELBSecurityPolicy-2016-08");
        assert_eq!(one.certificates[0].names, ["one.test"]);
        assert_eq!(one.certificates[0].kind, KeyKind::Ecdsa);
        assert_eq!(
            (one.certificates[0].key_bits, one.certificates[0].hash_bits),
            (256, 256)
        );
        assert!(one.has_default);

        // The same ARN with another certificate: only the certificate's record has changed.
        import(&mut caller, certificate_input("one.test"), Some(&first));
        let new = caller.state.blueprint_since(&before, &old);
        assert_eq!(new, caller.state.blueprint());
        assert_ne!(tls(&new).certificates[0].chain, one.certificates[0].chain);

        // With one more certificate, the first stays the same object.
        let second = import(&mut caller, certificate_input("two.test"), None);
        let (before, old) = (caller.state.clone(), new);
        caller.ok(
            "AddListenerCertificates",
            json!({"ListenerArn": listener, "Certificates": [{"CertificateArn": second}]}),
        );
        let new = caller.state.blueprint_since(&before, &old);
        assert_eq!(tls(&new).certificates.len(), 2);
        assert!(Arc::ptr_eq(
            &tls(&new).certificates[0],
            &tls(&old).certificates[0]
        ));
    }
}
