//! Identity and Access Management, as far as it keeps certificates for load balancers. It belongs to no region.

pub mod records;
mod server_certificates;

use crate::operate::{Entry, Work};

/// Whether a server certificate with that ARN is there.
pub(crate) fn knows(work: &Work<'_>, arn: &str) -> bool {
    work.home()
        .server_certificates
        .values()
        .any(|certificate| certificate.arn == arn)
}

/// All operations that are served.
pub(crate) const OPERATIONS: &[Entry] = &[
    Entry::write("DeleteServerCertificate", server_certificates::delete),
    Entry::read("GetServerCertificate", server_certificates::fetch),
    Entry::read("ListServerCertificateTags", server_certificates::list_tags),
    Entry::read("ListServerCertificates", server_certificates::list),
    Entry::write("TagServerCertificate", server_certificates::tag),
    Entry::write("UntagServerCertificate", server_certificates::untag),
    Entry::write("UpdateServerCertificate", server_certificates::update),
    Entry::write("UploadServerCertificate", server_certificates::upload),
];
