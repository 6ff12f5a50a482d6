//! Finds certificates, and the load balancers that use them.

use crate::api::context::View;
use crate::elbv2::records::Listener;
use crate::tables::Region;

/// Whether a certificate with that ARN exists.
pub(crate) fn knows(view: &View<'_>, arn: &str) -> bool {
    view.region().certificates.contains_key(arn)
}

/// Whether the certificate was requested and never issued, so that it has no key.
pub(crate) fn is_pending(view: &View<'_>, arn: &str) -> bool {
    let certificates = &view.region().certificates;
    certificates
        .get(arn)
        .is_some_and(|certificate| certificate.issued.is_none())
}

/// ARNs of the load balancers whose listeners use a certificate.
pub(crate) fn users(region: &Region, arn: &str) -> Vec<String> {
    let listeners = region.listeners.values().filter(|listener| uses(listener, arn));
    let mut users: Vec<String> = listeners.map(|listener| listener.balancer_arn.clone()).collect();
    users.sort();
    users.dedup();
    users
}

/// Whether the listener uses the certificate.
pub(crate) fn uses(listener: &Listener, arn: &str) -> bool {
    listener.certificate.as_deref() == Some(arn) || listener.certificates.iter().any(|other| other == arn)
}
