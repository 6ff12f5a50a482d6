//! Identity and Access Management: certificates for load balancers, and roles, policies and instance profiles, which
//! are stored and described but not enforced. IAM is global.
//!
//! Read `records`, `entities` (what all share), `roles`, `policies`, `instance_profiles`, `server_certificates`,
//! `lookup`.

mod entities;
mod instance_profiles;
pub(crate) mod lookup;
mod policies;
pub mod records;
mod roles;
mod server_certificates;
#[cfg(test)]
mod tests;

pub(crate) use roles::may_be_assumed_by;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AddRoleToInstanceProfile", instance_profiles::add_role),
    OperationSpec::write("AttachRolePolicy", roles::attach),
    OperationSpec::write("CreateInstanceProfile", instance_profiles::create),
    OperationSpec::write("CreatePolicy", policies::create),
    OperationSpec::write("CreatePolicyVersion", policies::create_version),
    OperationSpec::write("CreateRole", roles::create),
    OperationSpec::write("DeleteInstanceProfile", instance_profiles::delete),
    OperationSpec::write("DeletePolicy", policies::delete),
    OperationSpec::write("DeletePolicyVersion", policies::delete_version),
    OperationSpec::write("DeleteRole", roles::delete),
    OperationSpec::write("DeleteRolePolicy", roles::delete_policy),
    OperationSpec::write("DeleteServerCertificate", server_certificates::delete),
    OperationSpec::write("DetachRolePolicy", roles::detach),
    OperationSpec::read("GetInstanceProfile", instance_profiles::get),
    OperationSpec::read("GetPolicy", policies::get),
    OperationSpec::read("GetPolicyVersion", policies::get_version),
    OperationSpec::read("GetRole", roles::get),
    OperationSpec::read("GetRolePolicy", roles::get_policy),
    OperationSpec::read("GetServerCertificate", server_certificates::fetch),
    OperationSpec::read("ListAttachedRolePolicies", roles::list_attached),
    OperationSpec::read("ListEntitiesForPolicy", policies::list_entities),
    OperationSpec::read("ListInstanceProfileTags", instance_profiles::list_tags),
    OperationSpec::read("ListInstanceProfiles", instance_profiles::list),
    OperationSpec::read("ListInstanceProfilesForRole", instance_profiles::list_for_role),
    OperationSpec::read("ListPolicies", policies::list),
    OperationSpec::read("ListPolicyTags", policies::list_tags),
    OperationSpec::read("ListPolicyVersions", policies::list_versions),
    OperationSpec::read("ListRolePolicies", roles::list_policies),
    OperationSpec::read("ListRoleTags", roles::list_tags),
    OperationSpec::read("ListRoles", roles::list),
    OperationSpec::read("ListServerCertificateTags", server_certificates::list_tags),
    OperationSpec::read("ListServerCertificates", server_certificates::list),
    OperationSpec::write("PutRolePolicy", roles::put_policy),
    OperationSpec::write("RemoveRoleFromInstanceProfile", instance_profiles::remove_role),
    OperationSpec::write("SetDefaultPolicyVersion", policies::set_default_version),
    OperationSpec::write("TagInstanceProfile", instance_profiles::tag),
    OperationSpec::write("TagPolicy", policies::tag),
    OperationSpec::write("TagRole", roles::tag),
    OperationSpec::write("TagServerCertificate", server_certificates::tag),
    OperationSpec::write("UntagInstanceProfile", instance_profiles::untag),
    OperationSpec::write("UntagPolicy", policies::untag),
    OperationSpec::write("UntagRole", roles::untag),
    OperationSpec::write("UntagServerCertificate", server_certificates::untag),
    OperationSpec::write("UpdateAssumeRolePolicy", roles::update_trust),
    OperationSpec::write("UpdateRole", roles::update),
    OperationSpec::write("UpdateRoleDescription", roles::update_description),
    OperationSpec::write("UpdateServerCertificate", server_certificates::update),
    OperationSpec::write("UploadServerCertificate", server_certificates::upload),
];
