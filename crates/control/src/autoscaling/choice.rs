//! Which shape a launch takes, and whether it may be taken away: what a mixed instances policy says, or else what the launch template or
//! configuration says.

use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::Source;
use serde_json::{Value, json};

/// A shape to launch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// None if the launch template or configuration says it.
    pub(super) instance_type: Option<String>,
    pub(super) weight: Option<u32>,
    pub(super) is_spot: bool,
}

impl Choice {
    /// Writes itself into RunInstances' input.
    pub(super) fn say(&self, input: &mut Value) {
        if let Some(name) = &self.instance_type {
            input["InstanceType"] = json!(name);
        }
        if self.is_spot {
            input["InstanceMarketOptions"] = json!({"MarketType": "spot"});
        }
    }
}

/// What the next launch in a zone may take, the best first.
pub(super) fn choices(pass: &Pass<'_, '_>, input: &Value, _zone: &str) -> Vec<Choice> {
    let Source::Mixed(policy) = &pass.group.source else {
        return vec![Choice {
            instance_type: None,
            weight: None,
            is_spot: input["InstanceMarketOptions"]["MarketType"] == "spot",
        }];
    };
    let is_spot = is_spot_next(pass, &policy["InstancesDistribution"]);
    let overrides = policy["LaunchTemplate"]["Overrides"].as_array();
    let mut choices: Vec<Choice> = overrides
        .into_iter()
        .flatten()
        .filter(|given| given.get("InstanceType").is_some())
        .map(|given| Choice {
            instance_type: given["InstanceType"].as_str().map(str::to_owned),
            weight: given["WeightedCapacity"]
                .as_str()
                .and_then(|text| text.parse().ok()),
            is_spot,
        })
        .collect();
    if choices.is_empty() {
        choices.push(Choice {
            instance_type: None,
            weight: None,
            is_spot,
        });
    }
    choices
}

/// Whether the next unit of capacity is one that may be taken away.
fn is_spot_next(pass: &Pass<'_, '_>, distribution: &Value) -> bool {
    let base = distribution["OnDemandBaseCapacity"].as_u64().unwrap_or(0);
    let share = distribution["OnDemandPercentageAboveBaseCapacity"]
        .as_u64()
        .unwrap_or(100);
    let members = pass.tx.region().members_of(&pass.group.name);
    let (mut on_demand, mut all) = (0_u64, 0_u64);
    for member in members.filter(|member| member.state.counts()) {
        let weight = u64::from(member.weight.unwrap_or(1));
        all += weight;
        if !member.is_spot {
            on_demand += weight;
        }
    }
    if on_demand < base {
        return false;
    }
    let above = (all + 1).saturating_sub(base);
    (on_demand - base) * 100 >= above * share
}
