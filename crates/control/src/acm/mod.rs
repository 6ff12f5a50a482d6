//! Certificate Manager: certificates for listeners.
//!
//! Imported certificates are served. A requested one stays `PENDING_VALIDATION`: there is no certificate authority to
//! issue it. Read `records`, `pem`, `certificates`, `lookup`.

mod certificates;
pub(crate) mod lookup;
pub(crate) mod pem;
pub mod records;
#[cfg(test)]
mod tests;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AddTagsToCertificate", certificates::add_tags),
    OperationSpec::write("DeleteCertificate", certificates::delete),
    OperationSpec::read("DescribeCertificate", certificates::describe),
    OperationSpec::read("GetCertificate", certificates::fetch),
    OperationSpec::write("ImportCertificate", certificates::import),
    OperationSpec::read("ListCertificates", certificates::list),
    OperationSpec::read("ListTagsForCertificate", certificates::list_tags),
    OperationSpec::write("RemoveTagsFromCertificate", certificates::remove_tags),
    OperationSpec::write("RequestCertificate", certificates::request),
    OperationSpec::write("UpdateCertificateOptions", certificates::update_options),
];
