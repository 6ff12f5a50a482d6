//! Finds security groups, and deletes them with everything that belongs to them.

use crate::api::errors::{missing, no_group};
use crate::ec2::records::SecurityGroup;
use crate::tables::Region;
use forebay_awswire::ApiError;
use std::sync::Arc;

/// The group that a call gives by id, or by name in the default VPC.
pub(crate) fn named(
    region: &Region,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Arc<SecurityGroup>, ApiError> {
    if let Some(id) = id {
        return region
            .security_groups
            .get(id)
            .cloned()
            .ok_or_else(|| no_group(id));
    }
    let name = name.ok_or_else(|| missing("GroupId"))?;
    let default = region
        .vpcs
        .values()
        .find(|vpc| vpc.is_default)
        .map(|vpc| vpc.id.as_str());
    let mut groups = region.security_groups.values();
    let found = groups.find(|group| group.name == name && Some(group.vpc_id.as_str()) == default);
    found.cloned().ok_or_else(|| no_group(name))
}

/// Removes a group with its rules and tags.
pub(crate) fn forget(region: &mut Region, id: &str) {
    let rules: Vec<String> = region
        .group_rules
        .values()
        .filter(|rule| rule.group_id == id)
        .map(|rule| rule.id.clone())
        .collect();
    for rule in rules {
        region.group_rules.remove(&rule);
        region.tags.remove(&rule);
    }
    region.security_groups.remove(id);
    region.tags.remove(id);
}
