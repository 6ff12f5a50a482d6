//! Identity and Access Management, as far as it keeps certificates for load balancers. It belongs to no region.

pub(crate) mod lookup;
pub mod records;
mod server_certificates;
#[cfg(test)]
mod tests;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("DeleteServerCertificate", server_certificates::delete),
    OperationSpec::read("GetServerCertificate", server_certificates::fetch),
    OperationSpec::read("ListServerCertificateTags", server_certificates::list_tags),
    OperationSpec::read("ListServerCertificates", server_certificates::list),
    OperationSpec::write("TagServerCertificate", server_certificates::tag),
    OperationSpec::write("UntagServerCertificate", server_certificates::untag),
    OperationSpec::write("UpdateServerCertificate", server_certificates::update),
    OperationSpec::write("UploadServerCertificate", server_certificates::upload),
];
