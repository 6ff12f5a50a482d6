//! The web application firewall in both versions: answers that no resource has a web ACL. None can be created here. The
//! operation is in `web_acls`.

mod web_acls;

use crate::api::context::OperationSpec;

/// All operations that are served, by both versions.
pub(crate) const OPERATIONS: &[OperationSpec] = &[OperationSpec::read(
    "GetWebACLForResource",
    web_acls::acl_of_resource,
)];
