//! The shape that a launch takes, and whether it is a Spot Instance: decided by the mixed instances policy, or else by
//! the launch template or configuration.

use crate::api::errors::validation;
use crate::autoscaling::mixed::{Mixed, in_use, override_at, purchase, unit};
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::Source;
use forebay_awswire::ApiError;
use forebay_scaling::{Offer, Purchase, Skipped, Split, choose};
use serde_json::{Value, json};

/// A shape to launch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// The shape; `None` if the launch template or configuration names it.
    pub(super) instance_type: Option<String>,
    /// The image, if the override has its own.
    pub(super) image_id: Option<String>,
    /// The override's own launch template, as given, if it has one.
    pub(super) template: Option<Value>,
    pub(super) weight: Option<u32>,
    pub(super) is_spot: bool,
}

impl Choice {
    /// Writes the choice into RunInstances' input.
    pub(super) fn say(&self, input: &mut Value) {
        if let Some(name) = &self.instance_type {
            input["InstanceType"] = json!(name);
            // The requirements have served to choose the shape; RunInstances does not know them.
            if let Some(input) = input.as_object_mut() {
                input.remove("InstanceRequirements");
            }
        }
        if let Some(image) = &self.image_id {
            input["ImageId"] = json!(image);
        }
        if self.is_spot {
            input["InstanceMarketOptions"] = json!({"MarketType": "spot"});
        }
    }
}

/// The candidates for the next launch from `source` in a zone, the best first. `input` is what the source's template or
/// configuration says.
///
/// # Errors
/// The reason why there are none.
pub(super) fn choices(
    pass: &Pass<'_, '_>,
    source: &Source,
    input: &Value,
    zone: &str,
) -> Result<Vec<Choice>, ApiError> {
    let Source::Mixed(policy) = source else {
        return Ok(vec![Choice {
            instance_type: None,
            image_id: None,
            template: None,
            weight: None,
            is_spot: input["InstanceMarketOptions"]["MarketType"] == "spot",
        }]);
    };
    let mixed = Mixed::read(pass.tx, policy, input, unit(&pass.group));
    let wanted = mixed.distribution.purchase(existing(pass), mixed.lightest());
    let offered = mixed.offered(wanted);
    let offers: Vec<Offer<'_>> = offered.iter().map(|known| known.offer()).collect();
    let found = choose(&offers, zone, &mixed.distribution, wanted, &in_use(pass.tx));
    if found.ranked.is_empty() {
        let skipped = found.skipped.iter();
        let skipped = skipped.map(|&(place, why)| refusal(&offered[place].shape.name, zone, why));
        let texts: Vec<String> = skipped.chain(mixed.unusable.iter().cloned()).collect();
        return Err(nothing(wanted, &texts));
    }
    let choices = found.ranked.iter().map(|&(place, _)| {
        let offered = &offered[place];
        let given = override_at(policy, offered.place);
        Choice {
            instance_type: Some(offered.shape.name.clone()),
            image_id: given["ImageId"].as_str().map(str::to_owned),
            template: given.get("LaunchTemplateSpecification").cloned(),
            weight: offered.weight,
            is_spot: wanted == Purchase::Spot,
        }
    });
    Ok(choices.collect())
}

/// The group's current capacity, split into on-demand and Spot.
fn existing(pass: &Pass<'_, '_>) -> Split {
    let mut split = Split::default();
    let members = pass.tx.region().members_of(&pass.group.name);
    for member in members.filter(|member| member.state.counts()) {
        split.add(purchase(member.is_spot), member.weight.unwrap_or(1));
    }
    split
}

fn refusal(name: &str, zone: &str, why: Skipped) -> String {
    match why {
        Skipped::NoRoom => format!("There is no capacity left for {name} in zone {zone}."),
        Skipped::NoSpot => format!("{name} is not offered as a Spot Instance."),
        Skipped::AbovePrice => format!("{name} costs more than the maximum Spot price."),
    }
}

fn nothing(wanted: Purchase, texts: &[String]) -> ApiError {
    let kind = match wanted {
        Purchase::OnDemand => "On-Demand",
        Purchase::Spot => "Spot",
    };
    if texts.is_empty() {
        return validation(format!(
            "No instance type of the policy is offered as a {kind} Instance."
        ));
    }
    validation(format!("Could not launch {kind} Instances. {}", texts.join(" ")))
}
