//! Certificates of listeners: add, remove and describe them.

use crate::acm::lookup as acm;
use crate::api::context::{Tx, View};
use crate::api::errors::{not_permitted, validation};
use crate::api::paging::{PageInput, answer, page};
use crate::iam::lookup as iam;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::limits;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Default page size of DescribeListenerCertificates.
const PAGE: usize = 100;

/// A certificate as calls give it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CertificateInput {
    #[serde(default)]
    pub(crate) certificate_arn: String,
    pub(crate) is_default: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CertificatesInput {
    #[serde(default)]
    listener_arn: String,
    #[serde(default)]
    certificates: Vec<CertificateInput>,
    #[serde(flatten)]
    page: PageInput,
}

/// Refuses a certificate that neither ACM nor IAM has, or that was requested and never issued. Under the moto dialect
/// any ARN of these services is accepted.
pub(crate) fn check_certificate(view: &View<'_>, arn: &str) -> Result<(), ApiError> {
    let looks_right = arn.starts_with("arn:aws:acm:") || arn.starts_with("arn:aws:iam:");
    if acm::is_pending(view, arn) && view.dialect() == Dialect::Aws {
        // AWS uses this text whatever is wrong with the certificate.
        return Err(ApiError::sender(
            "UnsupportedCertificate",
            format!(
                "The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported key size."
            ),
        ));
    }
    let known = acm::knows(view, arn) || iam::knows(view, arn);
    if known || (looks_right && view.dialect() == Dialect::Moto) {
        return Ok(());
    }
    Err(ApiError::sender(
        "CertificateNotFound",
        format!("Certificate {arn} not found"),
    ))
}

pub(crate) fn add_listener_certificates(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: CertificatesInput = tx.input()?;
    let mut listener = (**tx.region().listener(&input.listener_arn)?).clone();
    if input.certificates.len() > tx.state.quota(limits::CERTIFICATES_PER_BALANCER) {
        return Err(too_many());
    }
    if !matches!(listener.protocol.as_deref(), Some("HTTPS" | "TLS")) {
        return Err(ApiError::sender(
            "UnsupportedProtocol",
            "Certificates can be added only to listeners with the protocol HTTPS or TLS",
        ));
    }
    let [given] = &input.certificates[..] else {
        return Err(validation("You must specify exactly one certificate"));
    };
    if given.is_default.is_some() {
        return Err(validation(
            "IsDefault cannot be specified for a listener's further certificates",
        ));
    }
    check_certificate(tx, &given.certificate_arn)?;
    let arn = given.certificate_arn.clone();
    if !listener.certificates.contains(&arn) {
        let listeners = tx.region().listeners_of(&listener.balancer_arn);
        let count: usize = listeners.iter().map(|other| other.certificates.len()).sum();
        if count >= tx.state.quota(limits::CERTIFICATES_PER_BALANCER) {
            return Err(too_many());
        }
        listener.certificates.push(arn.clone());
        tx.region_mut()
            .listeners
            .insert(listener.arn.clone(), Arc::new(listener));
    }
    Ok(json!({"Certificates": [{"CertificateArn": arn, "IsDefault": false}]}))
}

fn too_many() -> ApiError {
    ApiError::sender(
        "TooManyCertificates",
        "The maximum number of certificates has been reached",
    )
}

pub(crate) fn remove_listener_certificates(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: CertificatesInput = tx.input()?;
    let mut listener = (**tx.region().listener(&input.listener_arn)?).clone();
    let [given] = &input.certificates[..] else {
        return Err(validation("You must specify exactly one certificate"));
    };
    let is_extra = listener.certificates.contains(&given.certificate_arn);
    if listener.certificate.as_ref() == Some(&given.certificate_arn) && !is_extra {
        return Err(not_permitted(
            "The default certificate of a listener cannot be removed",
        ));
    }
    if is_extra {
        listener.certificates.retain(|arn| *arn != given.certificate_arn);
        tx.region_mut()
            .listeners
            .insert(listener.arn.clone(), Arc::new(listener));
    }
    Ok(json!({}))
}

pub(crate) fn describe_listener_certificates(view: &View<'_>) -> Result<Value, ApiError> {
    let input: CertificatesInput = view.input()?;
    let listener = view.region().listener(&input.listener_arn)?;
    let default = listener.certificate.iter().map(|arn| (arn, true));
    let all = default.chain(listener.certificates.iter().map(|arn| (arn, false)));
    let items: Vec<(usize, (&String, bool))> = all.enumerate().collect();
    let (held, next) = page(view, items, |(place, _)| format!("{place:06}"), &input.page, PAGE)?;
    let value =
        |(_, (arn, default)): (usize, (&String, bool))| json!({"CertificateArn": arn, "IsDefault": default});
    Ok(answer(
        "Certificates",
        held.into_iter().map(value).collect(),
        next,
    ))
}
