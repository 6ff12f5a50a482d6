//! DescribeSSLPolicies: the part of each TLS policy that is served.

use crate::api::context::View;
use crate::api::errors::validation;
use crate::api::paging::{PageInput, answer, page};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{POLICIES, Policy, policy};
use serde::Deserialize;
use serde_json::{Value, json};

/// Default page size of DescribeSSLPolicies.
const PAGE: usize = 100;

/// A policy with the protocols and ciphers that are really served, so that nobody relies on others. Under the moto
/// dialect the lists are AWS's own, because test suites compare with them.
fn value(policy: &Policy, dialect: Dialect) -> Value {
    let (protocols, ciphers): (Vec<&str>, Vec<&str>) = match dialect {
        Dialect::Aws => (
            policy.served_protocols().collect(),
            policy.served_ciphers().collect(),
        ),
        Dialect::Moto => (policy.protocols.to_vec(), policy.ciphers().collect()),
    };
    let ciphers: Vec<Value> = ciphers
        .iter()
        .zip(1_u32..)
        .map(|(name, priority)| json!({"Name": name, "Priority": priority}))
        .collect();
    json!({
        "Name": policy.name,
        "SslProtocols": protocols,
        "Ciphers": ciphers,
        "SupportedLoadBalancerTypes": ["application", "network"],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PoliciesInput {
    #[serde(default)]
    names: Vec<String>,
    load_balancer_type: Option<String>,
    #[serde(flatten)]
    page: PageInput,
}

pub(crate) fn describe_ssl_policies(view: &View<'_>) -> Result<Value, ApiError> {
    let input: PoliciesInput = view.input()?;
    let mut found: Vec<(usize, &Policy)> = Vec::new();
    for name in &input.names {
        let Some(policy) = policy(name) else {
            return Err(ApiError::sender(
                "SSLPolicyNotFound",
                format!("SSL policy '{name}' not found"),
            ));
        };
        if !found.iter().any(|(_, other)| other.name == policy.name) {
            found.push((found.len(), policy));
        }
    }
    if input.names.is_empty() {
        found = POLICIES.iter().enumerate().collect();
    }
    match input.load_balancer_type.as_deref() {
        None | Some("application" | "network") => {}
        Some("gateway") => found.clear(),
        Some(other) => return Err(validation(format!("Load balancer type '{other}' is not known"))),
    }
    let (held, next) = page(view, found, |(place, _)| format!("{place:06}"), &input.page, PAGE)?;
    Ok(answer(
        "SslPolicies",
        held.into_iter()
            .map(|(_, policy)| value(policy, view.dialect()))
            .collect(),
        next,
    ))
}
