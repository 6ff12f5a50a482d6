//! Certificate Manager: certificates that listeners present.
//!
//! Imported certificates are served. A requested one stays `PENDING_VALIDATION`: there is no public authority here to issue it.

mod certificates;
pub(crate) mod pem;
pub mod records;
#[cfg(test)]
mod tests;

pub(crate) use certificates::{users, uses};

use crate::operate::{Entry, Work};

/// Whether a certificate with that ARN is there.
pub(crate) fn knows(work: &Work<'_>, arn: &str) -> bool {
    work.region().certificates.contains_key(arn)
}

/// Whether it was requested and nobody has issued it: it has no key to serve with.
pub(crate) fn is_pending(work: &Work<'_>, arn: &str) -> bool {
    let certificates = &work.region().certificates;
    certificates
        .get(arn)
        .is_some_and(|certificate| certificate.issued.is_none())
}

/// All operations that are served.
pub(crate) const OPERATIONS: &[Entry] = &[
    Entry::write("AddTagsToCertificate", certificates::add_tags),
    Entry::write("DeleteCertificate", certificates::delete),
    Entry::read("DescribeCertificate", certificates::describe),
    Entry::read("GetCertificate", certificates::fetch),
    Entry::write("ImportCertificate", certificates::import),
    Entry::read("ListCertificates", certificates::list),
    Entry::read("ListTagsForCertificate", certificates::list_tags),
    Entry::write("RemoveTagsFromCertificate", certificates::remove_tags),
    Entry::write("RequestCertificate", certificates::request),
    Entry::write("UpdateCertificateOptions", certificates::update_options),
];
