//! Lists tagged resources, and all keys and values in use.

use crate::api::arns::{own_arn, parts};
use crate::api::context::View;
use crate::api::errors::invalid_parameter;
use crate::api::filtering::TagFilter;
use crate::api::tagging::shown as shown_tags;
use crate::ec2::resource_types::resource_type;
use crate::records::Tags;
use crate::tagging::pages::{Size, page};
use forebay_awswire::ApiError;

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most resource types in one call.
const TYPES_LIMIT: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct ResourcesInput {
    pagination_token: Option<String>,
    tag_filters: Vec<TagFilter>,
    resources_per_page: Option<i64>,
    tags_per_page: Option<i64>,
    resource_type_filters: Vec<String>,
    include_compliance_details: bool,
    exclude_compliant_resources: bool,
    #[serde(rename = "ResourceARNList")]
    arns: Vec<String>,
}

/// A resource with tags.
struct Tagged {
    arn: String,
    tags: Arc<Tags>,
}

/// All tagged resources in the region, by ARN.
fn tagged(view: &View<'_>) -> Vec<Tagged> {
    let all = view.region().tags.iter().filter_map(|(key, tags)| {
        let arn = if key.starts_with("arn:") {
            key.clone()
        } else {
            // EC2's tags are stored by id.
            let kind = resource_type(key)?;
            own_arn(view, "ec2", &format!("{kind}/{key}"))
        };
        Some(Tagged {
            arn,
            tags: Arc::clone(tags),
        })
    });
    // Tags of Auto Scaling groups are stored in the groups, because they have more than a key and a value.
    let groups = view.region().scaling_groups.values();
    let groups = groups.filter(|group| !group.tags.is_empty()).map(|group| Tagged {
        arn: group.arn.clone(),
        tags: Arc::new(
            group
                .tags
                .iter()
                .map(|tag| (tag.key.clone(), tag.value.clone()))
                .collect(),
        ),
    });
    let mut all: Vec<Tagged> = all.chain(groups).collect();
    all.sort_by(|one, other| one.arn.cmp(&other.arn));
    all
}

/// Whether an ARN is of a type such as `ec2`, `ec2:instance` or `elasticloadbalancing:loadbalancer/app`.
fn is_of_type(arn: &str, wanted: &str) -> bool {
    let parts = parts(arn);
    let (service, resource) = (parts.service, parts.resource.unwrap_or_default());
    let (wanted_service, kind) = wanted.split_once(':').unwrap_or((wanted, ""));
    service == Some(wanted_service)
        && (kind.is_empty()
            || resource
                .strip_prefix(kind)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':'])))
}

fn check(given: &ResourcesInput) -> Result<(), ApiError> {
    if !given.arns.is_empty() {
        let others = [
            ("ResourceTypeFilters", !given.resource_type_filters.is_empty()),
            ("TagFilters", !given.tag_filters.is_empty()),
            ("ResourcesPerPage", given.resources_per_page.is_some()),
            ("TagsPerPage", given.tags_per_page.is_some()),
            ("PaginationToken", has_text(given.pagination_token.as_deref())),
        ];
        if let Some((name, _)) = others.iter().find(|(_, there)| *there) {
            return Err(invalid_parameter(format!(
                "ResourceARNList and {name} cannot be specified in the same request."
            )));
        }
    }
    if given
        .tag_filters
        .iter()
        .any(|filter| !has_text(filter.key.as_deref()))
    {
        return Err(invalid_parameter("Each tag filter must have a key."));
    }
    if given.resource_type_filters.len() > TYPES_LIMIT {
        return Err(invalid_parameter("Up to 100 resource types can be specified."));
    }
    if given
        .resource_type_filters
        .iter()
        .any(|wanted| wanted.is_empty() || wanted.starts_with(':'))
    {
        return Err(invalid_parameter(
            "A resource type must have the form service[:resourceType].",
        ));
    }
    if given.exclude_compliant_resources && !given.include_compliance_details {
        return Err(invalid_parameter(
            "ExcludeCompliantResources can be true only if IncludeComplianceDetails is true.",
        ));
    }
    Ok(())
}

fn has_text(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

pub(crate) fn resources(view: &View<'_>) -> Result<Value, ApiError> {
    let given: ResourcesInput = view.input()?;
    check(&given)?;
    let size = Size::new(given.resources_per_page, given.tags_per_page)?;
    let mut all = tagged(view);
    let types = &given.resource_type_filters;
    all.retain(|one| {
        (given.arns.is_empty() || given.arns.contains(&one.arn))
            && (types.is_empty() || types.iter().any(|wanted| is_of_type(&one.arn, wanted)))
            && given.tag_filters.iter().all(|filter| filter.matches(&one.tags))
            // There are no tag policies: everything complies.
            && !given.exclude_compliant_resources
    });
    let items = all.into_iter().map(|one| (one.arn, one.tags));
    let (held, token) = page(
        view,
        items,
        |tags| tags.len(),
        size,
        given.pagination_token.as_deref(),
    )?;
    let shown = held.iter().map(|(arn, tags)| {
        let mut value = json!({"ResourceARN": arn, "Tags": shown_tags(tags)});
        if given.include_compliance_details {
            value["ComplianceDetails"] = json!({"ComplianceStatus": true});
        }
        value
    });
    Ok(json!({"PaginationToken": token, "ResourceTagMappingList": shown.collect::<Vec<_>>()}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WordsInput {
    #[serde(default)]
    pagination_token: Option<String>,
    #[serde(default)]
    key: String,
}

pub(crate) fn keys(view: &View<'_>) -> Result<Value, ApiError> {
    words(view, "TagKeys", |tags, _| tags.keys().cloned().collect())
}

pub(crate) fn values(view: &View<'_>) -> Result<Value, ApiError> {
    words(view, "TagValues", |tags, key| {
        tags.get(key).cloned().into_iter().collect()
    })
}

/// The distinct words that `of` takes from all resources' tags.
fn words(view: &View<'_>, member: &str, of: impl Fn(&Tags, &str) -> Vec<String>) -> Result<Value, ApiError> {
    let given: WordsInput = view.input()?;
    let all = tagged(view);
    let all: BTreeSet<String> = all.iter().flat_map(|one| of(&one.tags, &given.key)).collect();
    let items = all.into_iter().map(|word| (word, ()));
    let (held, token) = page(
        view,
        items,
        |()| 0,
        Size::WORDS,
        given.pagination_token.as_deref(),
    )?;
    let held: Vec<String> = held.into_iter().map(|(word, ())| word).collect();
    Ok(json!({"PaginationToken": token, member: held}))
}
