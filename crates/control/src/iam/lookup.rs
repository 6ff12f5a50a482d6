//! Finding server certificates.

use crate::api::context::OpContext;

/// Whether a server certificate with that ARN is there.
pub(crate) fn knows(work: &OpContext<'_>, arn: &str) -> bool {
    work.home()
        .server_certificates
        .values()
        .any(|certificate| certificate.arn == arn)
}
