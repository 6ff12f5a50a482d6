//! Finds server certificates.

use crate::api::context::View;

/// Whether a server certificate with that ARN exists.
pub(crate) fn knows(view: &View<'_>, arn: &str) -> bool {
    view.home()
        .server_certificates
        .values()
        .any(|certificate| certificate.arn == arn)
}
