//! Listeners: create, modify, delete, describe.

use crate::api::context::{Tx, View};
use crate::api::errors::{configuration, listener_missing, not_in, validation};
use crate::api::paging::{PageInput, answer, page};
use crate::api::tagging::{has_tags, put_tags};
use crate::elbv2::actions::{Setting, action_value, read_actions};
use crate::elbv2::arns::{new_listener_arn, new_rule_arn};
use crate::elbv2::certificates::{CertificateInput, check_certificate};
use crate::elbv2::group_fit::check_forwards;
use crate::elbv2::load_balancers::remove_listener;
use crate::elbv2::records::{BalancerKind, Listener, LoadBalancer, MutualAuthentication, Rule, StatedAction};
use crate::elbv2::tags::{TagInput, read_tags};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{Priority, limits, policy};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Default page size of DescribeListeners.
const PAGE: usize = 100;
/// The default policy of an HTTPS listener (API reference, CreateListener).
const DEFAULT_POLICY: &str = "ELBSecurityPolicy-2016-08";

const ONE_CERTIFICATE: &str =
    "You must provide a list containing exactly one certificate if the listener protocol is HTTPS.";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MutualInput {
    mode: Option<String>,
    trust_store_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListenerInput {
    #[serde(default)]
    load_balancer_arn: String,
    #[serde(default)]
    listener_arn: String,
    protocol: Option<String>,
    port: Option<u16>,
    ssl_policy: Option<String>,
    certificates: Option<Vec<CertificateInput>>,
    default_actions: Option<Vec<Value>>,
    alpn_policy: Option<Vec<String>>,
    #[serde(default)]
    tags: Vec<TagInput>,
    mutual_authentication: Option<MutualInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    load_balancer_arn: Option<String>,
    #[serde(default)]
    listener_arns: Vec<String>,
    #[serde(flatten)]
    page: PageInput,
}

pub(crate) fn create_listener(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: ListenerInput = tx.input()?;
    let balancer = Arc::clone(tx.region().balancer(&input.load_balancer_arn)?);
    check_port_and_protocol(balancer.kind, input.port, input.protocol.as_deref())?;
    let tags = read_tags(input.tags.clone())?;
    let empty = Listener {
        arn: String::new(),
        balancer_arn: balancer.arn.clone(),
        protocol: None,
        port: None,
        certificate: None,
        certificates: Vec::new(),
        ssl_policy: None,
        alpn_policy: Vec::new(),
        mutual_authentication: None,
        sequence: tx.state.generation(),
        attributes: Default::default(),
    };
    let mut listener = changed(tx, &empty, &input)?;
    let setting = setting(tx, &balancer, &listener, &[]);
    let actions = read_actions(input.default_actions.as_deref().unwrap_or_default(), &setting)?;
    let same_port = tx
        .region()
        .listeners_of(&balancer.arn)
        .into_iter()
        .find(|other| other.port == listener.port)
        .cloned();
    if let Some(existing) = same_port.filter(|_| listener.port.is_some()) {
        let default = default_rule(tx, &existing.arn);
        let wanted = Listener {
            arn: existing.arn.clone(),
            sequence: existing.sequence,
            certificates: existing.certificates.clone(),
            attributes: existing.attributes.clone(),
            ..listener
        };
        let identical = default.is_some_and(|rule| rule.actions == actions);
        if *existing == wanted && identical && has_tags(tx.region(), &existing.arn, &tags) {
            return Ok(json!({"Listeners": [listener_value(tx, &existing)]}));
        }
        return Err(port_taken());
    }
    if tx.region().listeners_of(&balancer.arn).len() >= tx.state.quota(limits::LISTENERS_PER_BALANCER) {
        let text = "The maximum number of listeners for this load balancer has been reached";
        return Err(ApiError::sender("TooManyListeners", text));
    }
    check_forwards(tx, &balancer, listener.protocol.as_deref(), &actions, None)?;
    listener.arn = new_listener_arn(tx, &balancer.arn);
    let rule = Rule {
        arn: new_rule_arn(tx, &listener.arn),
        listener_arn: listener.arn.clone(),
        priority: Priority::Default,
        conditions: Vec::new(),
        actions,
        transforms: Vec::new(),
    };
    let region = tx.region_mut();
    put_tags(region, &listener.arn, tags);
    region.rules.insert(rule.arn.clone(), Arc::new(rule));
    region
        .listeners
        .insert(listener.arn.clone(), Arc::new(listener.clone()));
    Ok(json!({"Listeners": [listener_value(tx, &listener)]}))
}

fn port_taken() -> ApiError {
    ApiError::sender(
        "DuplicateListener",
        "A listener already exists on this port for this load balancer",
    )
}

pub(crate) fn modify_listener(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: ListenerInput = tx.input()?;
    let before = Arc::clone(tx.region().listener(&input.listener_arn)?);
    let balancer = Arc::clone(tx.region().balancer(&before.balancer_arn)?);
    if let Some(protocol) = input.protocol.as_deref()
        && !protocols_of(balancer.kind).contains(&protocol)
    {
        let code = if known_protocol(protocol) {
            "UnsupportedProtocol"
        } else {
            "ValidationError"
        };
        return Err(ApiError::sender(
            code,
            format!("Protocol {protocol} is not supported"),
        ));
    }
    let listener = changed(tx, &before, &input)?;
    let taken = |other: &&Arc<Listener>| other.arn != listener.arn && other.port == listener.port;
    if listener.port.is_some() && tx.region().listeners_of(&balancer.arn).iter().any(taken) {
        return Err(port_taken());
    }
    let Some(mut rule) = default_rule(tx, &listener.arn) else {
        return Err(listener_missing());
    };
    let rearranged = input.default_actions.as_deref().filter(|given| !given.is_empty());
    if let Some(given) = rearranged {
        rule.actions = read_actions(given, &setting(tx, &balancer, &listener, &rule.actions))?;
    }
    if rearranged.is_some() || listener.protocol != before.protocol {
        let protocol = listener.protocol.as_deref();
        check_forwards(tx, &balancer, protocol, &rule.actions, Some(&rule.arn))?;
    }
    if listener.protocol != before.protocol {
        check_rules_under(tx, &balancer, &listener)?;
    }
    let region = tx.region_mut();
    region.rules.insert(rule.arn.clone(), Arc::new(rule));
    region
        .listeners
        .insert(listener.arn.clone(), Arc::new(listener.clone()));
    Ok(json!({"Listeners": [listener_value(tx, &listener)]}))
}

/// Rules that are kept must also fit the listener's new protocol.
fn check_rules_under(view: &View<'_>, balancer: &LoadBalancer, listener: &Listener) -> Result<(), ApiError> {
    for rule in view.region().rules_of(&listener.arn) {
        check_forwards(
            view,
            balancer,
            listener.protocol.as_deref(),
            &rule.actions,
            Some(&rule.arn),
        )?;
    }
    Ok(())
}

/// The listener with the call's changes.
fn changed(view: &View<'_>, before: &Listener, input: &ListenerInput) -> Result<Listener, ApiError> {
    let mut listener = before.clone();
    if input.port.is_some() {
        listener.port = input.port;
    }
    if let Some(protocol) = &input.protocol {
        listener.protocol = Some(protocol.clone());
    }
    if let Some(names) = &input.alpn_policy {
        check_alpn(view, &listener, names)?;
        listener.alpn_policy = names.clone();
    }
    let secure = matches!(listener.protocol.as_deref(), Some("HTTPS" | "TLS"));
    if !secure {
        if input.ssl_policy.is_some() {
            // "specifed" is AWS's spelling.
            let protocol = listener.protocol.as_deref().unwrap_or("GENEVE");
            let text = format!("An SSL policy cannot be specifed for {protocol} listeners");
            return Err(validation(text));
        }
        if input.certificates.as_ref().is_some_and(|given| !given.is_empty()) {
            return Err(configuration(
                "Certificates can be specified only if the listener protocol is HTTPS or TLS",
            ));
        }
        (
            listener.certificate,
            listener.ssl_policy,
            listener.mutual_authentication,
        ) = (None, None, None);
        listener.certificates = Vec::new();
        return Ok(listener);
    }
    apply_tls(view, &mut listener, input)?;
    Ok(listener)
}

fn apply_tls(view: &View<'_>, listener: &mut Listener, input: &ListenerInput) -> Result<(), ApiError> {
    if let Some(given) = &input.certificates {
        let [only] = &given[..] else {
            let code = match view.dialect() {
                Dialect::Aws if given.len() > 1 => "TooManyCertificates",
                _ => "InvalidConfigurationRequest",
            };
            return Err(ApiError::sender(code, ONE_CERTIFICATE));
        };
        if only.is_default.is_some() && view.dialect() == Dialect::Aws {
            return Err(validation(
                "IsDefault cannot be specified for a listener's default certificate",
            ));
        }
        check_certificate(view, &only.certificate_arn)?;
        listener.certificate = Some(only.certificate_arn.clone());
    }
    if listener.certificate.is_none() && view.dialect() == Dialect::Aws {
        return Err(configuration(ONE_CERTIFICATE));
    }
    if let Some(name) = &input.ssl_policy {
        if policy(name).is_none() {
            let text = format!("SSL policy '{name}' not found");
            return Err(ApiError::sender("SSLPolicyNotFound", text));
        }
        listener.ssl_policy = Some(name.clone());
    }
    listener
        .ssl_policy
        .get_or_insert_with(|| DEFAULT_POLICY.to_owned());
    if let Some(given) = &input.mutual_authentication {
        let mode = given.mode.as_deref().unwrap_or("off");
        // A stored mode that is not enforced would let any client write the headers that targets trust.
        if mode == "passthrough" && view.dialect() == Dialect::Aws {
            return Err(configuration(
                "Mutual authentication 'passthrough' is not supported by Forebay yet: the mode must be 'off'",
            ));
        }
        let store = given.trust_store_arn.as_deref().filter(|arn| !arn.is_empty());
        if mode == "verify" || store.is_some() {
            let text = "Trust stores are not supported by Forebay yet: the mode of mutual authentication must be 'off'";
            return Err(ApiError::sender("TrustStoreNotFound", text));
        }
        listener.mutual_authentication = Some(MutualAuthentication {
            mode: mode.to_owned(),
        });
    }
    listener
        .mutual_authentication
        .get_or_insert_with(|| MutualAuthentication {
            mode: "off".to_owned(),
        });
    Ok(())
}

fn check_alpn(view: &View<'_>, listener: &Listener, names: &[String]) -> Result<(), ApiError> {
    if names.is_empty() || view.dialect() == Dialect::Moto {
        return Ok(());
    }
    if listener.protocol.as_deref() != Some("TLS") {
        return Err(configuration(
            "An ALPN policy can be specified only if the listener protocol is TLS",
        ));
    }
    let known = [
        "HTTP1Only",
        "HTTP2Only",
        "HTTP2Optional",
        "HTTP2Preferred",
        "None",
    ];
    match names {
        [only] if known.contains(&only.as_str()) => Ok(()),
        _ => Err(ApiError::sender(
            "ALPNPolicyNotFound",
            "The specified ALPN policy is not supported",
        )),
    }
}

fn protocols_of(kind: BalancerKind) -> &'static [&'static str] {
    match kind {
        BalancerKind::Application => &["HTTP", "HTTPS"],
        BalancerKind::Network => &["UDP", "TCP", "TLS", "TCP_UDP"],
        BalancerKind::Gateway => &[],
    }
}

fn known_protocol(protocol: &str) -> bool {
    [
        "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC",
    ]
    .contains(&protocol)
}

fn check_port_and_protocol(
    kind: BalancerKind,
    port: Option<u16>,
    protocol: Option<&str>,
) -> Result<(), ApiError> {
    if kind == BalancerKind::Gateway {
        return match (port, protocol) {
            (Some(_), _) => Err(validation("A port cannot be specified for gateway listeners")),
            (_, Some(_)) => Err(validation("A protocol cannot be specified for gateway listeners")),
            _ => Ok(()),
        };
    }
    if port.is_none() {
        return Err(validation("A listener port must be specified"));
    }
    let Some(protocol) = protocol else {
        return Err(validation("A listener protocol must be specified"));
    };
    let known = protocols_of(kind);
    if known.contains(&protocol) {
        return Ok(());
    }
    if !known_protocol(protocol) {
        // AWS names these values, not all that its model knows.
        return Err(not_in(
            protocol,
            "protocol",
            &["HTTP", "HTTPS", "UDP", "TCP", "TLS", "TCP_UDP"],
        ));
    }
    Err(validation(format!(
        "Listener protocol '{protocol}' must be one of '{}'",
        known.join(", ")
    )))
}

fn setting<'a>(
    view: &View<'_>,
    balancer: &LoadBalancer,
    listener: &'a Listener,
    before: &'a [StatedAction],
) -> Setting<'a> {
    Setting {
        kind: balancer.kind,
        protocol: listener.protocol.as_deref(),
        dialect: view.dialect(),
        before,
        list: "defaultActions",
    }
}

fn default_rule(view: &View<'_>, listener_arn: &str) -> Option<Rule> {
    let rules = view.region().rules_of(listener_arn);
    rules
        .last()
        .filter(|rule| rule.priority == Priority::Default)
        .map(|rule| (***rule).clone())
}

/// A listener in the API's form.
pub(crate) fn listener_value(view: &View<'_>, listener: &Listener) -> Value {
    let rule = default_rule(view, &listener.arn);
    let actions = rule.iter().flat_map(|rule| &rule.actions);
    let actions: Vec<Value> = actions
        .map(|stated| action_value(stated, view.dialect()))
        .collect();
    let mut value = json!({
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.balancer_arn,
        "DefaultActions": actions,
    });
    let mut put = |name: &str, member: Option<Value>| {
        if let Some(member) = member {
            value[name] = member;
        }
    };
    put("Port", listener.port.map(|port| json!(port)));
    put(
        "Protocol",
        listener.protocol.as_ref().map(|protocol| json!(protocol)),
    );
    put(
        "Certificates",
        listener
            .certificate
            .as_ref()
            .map(|arn| json!([{"CertificateArn": arn}])),
    );
    put("SslPolicy", listener.ssl_policy.as_ref().map(|name| json!(name)));
    put(
        "AlpnPolicy",
        (!listener.alpn_policy.is_empty()).then(|| json!(listener.alpn_policy)),
    );
    put(
        "MutualAuthentication",
        listener
            .mutual_authentication
            .as_ref()
            .map(|mutual| json!({"Mode": mutual.mode})),
    );
    value
}

pub(crate) fn delete_listener(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: ListenerInput = tx.input()?;
    tx.region().listener(&input.listener_arn)?;
    remove_listener(tx, &input.listener_arn);
    Ok(json!({}))
}

pub(crate) fn describe_listeners(view: &View<'_>) -> Result<Value, ApiError> {
    let input: DescribeInput = view.input()?;
    let region = view.region();
    let mut listeners: Vec<&Arc<Listener>> = match (&input.load_balancer_arn, &input.listener_arns[..]) {
        (None, []) => {
            return Err(validation(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
        (Some(_), [_, ..]) => {
            return Err(validation(
                "Listener ARNs and a load balancer ARN cannot be specified at the same time",
            ));
        }
        (Some(balancer), []) => {
            region.balancer(balancer)?;
            region.listeners_of(balancer)
        }
        (None, arns) => arns
            .iter()
            .map(|arn| region.listener(arn))
            .collect::<Result<_, _>>()?,
    };
    listeners.sort_by_key(|listener| page_key(listener));
    let (held, next) = page(view, listeners, |listener| page_key(listener), &input.page, PAGE)?;
    let values = held
        .into_iter()
        .map(|listener| listener_value(view, listener))
        .collect();
    Ok(answer("Listeners", values, next))
}

/// Sorts listeners oldest first; the ARN orders those of one generation.
fn page_key(listener: &Listener) -> String {
    format!("{:020}/{}", listener.sequence, listener.arn)
}
