//! The number of zones in each region. New zones come with their default subnets; only unused zones can be removed.

use super::State;
use crate::ec2::defaults::{add_default_subnet, default_subnet_id, remove_subnet};
use crate::ec2::records::{MOST_ZONES, zones};
use crate::tables::Region;
use std::sync::Arc;

/// How many resources of a zone an error names.
const NAMED: usize = 8;

/// Zones that cannot be removed, and what is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct ZonesInUse(pub Vec<(String, Vec<String>)>);

impl ZonesInUse {
    fn told(&self) -> String {
        let told = self.0.iter().map(|(zone, what)| {
            let named = what.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            match what.len().saturating_sub(NAMED) {
                0 => format!("{zone} has {named}"),
                more => format!("{zone} has {named} and {more} more"),
            }
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

impl State {
    /// The names of a region's zones, in order.
    pub fn zones(&self, region: &str) -> Vec<String> {
        zones(region, self.settings.zones)
    }

    /// This state with `count` zones in each region. New zones get default subnets in regions where all existing zones
    /// still have theirs: a user who deleted default subnets does not want new ones.
    ///
    /// # Errors
    /// If a zone that would be removed is in use.
    pub fn with_zones(&self, count: u8) -> Result<State, ZonesInUse> {
        let (before, count) = (self.settings.zones, count.clamp(1, MOST_ZONES));
        let mut state = self.clone();
        if before == count {
            return Ok(state);
        }
        let settings = Arc::make_mut(&mut state.settings);
        settings.zones = count;
        settings.generation += 1;
        let regions: Vec<String> = self.regions().map(|(name, _)| name.to_owned()).collect();
        let mut in_use = Vec::new();
        for name in &regions {
            // All zones are looked at, even after one is found in use, so that the error names everything that is in
            // the way.
            for zone in zones(name, before).into_iter().skip(usize::from(count)) {
                let held = self.existing_region(name).map(|region| held_in(region, &zone));
                match held.filter(|held| !held.is_empty()) {
                    Some(held) => in_use.push((zone, held)),
                    None => state.remove_zone(name, &zone),
                }
            }
            state.add_zones(name, before);
        }
        if in_use.is_empty() {
            Ok(state)
        } else {
            Err(ZonesInUse(in_use))
        }
    }

    /// Creates the default subnets of all zones after the first `before`.
    fn add_zones(&mut self, name: &str, before: u8) {
        let has_default = |region: &Region, zone: &String| {
            let mut subnets = region.subnets.values();
            subnets.any(|subnet| subnet.is_default && subnet.zone == *zone)
        };
        let is_whole = self
            .existing_region(name)
            .is_some_and(|region| zones(name, before).iter().all(|zone| has_default(region, zone)));
        if !is_whole {
            return;
        }
        for zone in self.zones(name).into_iter().skip(usize::from(before)) {
            let Some(slice) = self.take_slice(&default_subnet_id(name, &zone)) else {
                return;
            };
            if !add_default_subnet(self.region_mut(name), name, &zone, slice) {
                self.free_slice(slice);
            }
        }
    }

    /// Deletes the subnets of an unused zone.
    fn remove_zone(&mut self, name: &str, zone: &str) {
        let subnets = self.existing_region(name).into_iter();
        let subnets = subnets.flat_map(|region| region.subnets.values());
        let gone: Vec<_> = subnets.filter(|subnet| subnet.zone == zone).cloned().collect();
        for subnet in gone {
            remove_subnet(self.region_mut(name), &subnet.id);
            subnet.slices.iter().for_each(|&slice| self.free_slice(slice));
        }
    }
}

/// The resources in a zone, except its default subnet.
fn held_in(region: &Region, zone: &str) -> Vec<String> {
    let mut held = Vec::new();
    for balancer in region.load_balancers.values() {
        if balancer.zones.iter().any(|one| one.zone == zone) {
            held.push(format!("load balancer {}", balancer.name));
        }
    }
    for group in region.scaling_groups.values() {
        if group.zones.iter().any(|one| one == zone) {
            held.push(format!("Auto Scaling group {}", group.name));
        }
    }
    for instance in region.instances.values() {
        if instance.zone == zone && instance.state != "terminated" {
            held.push(format!("instance {}", instance.id));
        }
    }
    for target in region.targets.values() {
        if target.zone.as_deref() == Some(zone) {
            let group = region.target_groups.get(&target.group_arn);
            let group = group.map_or("", |group| group.name.as_str());
            held.push(format!("target {} of target group {group}", target.id));
        }
    }
    for subnet in region.subnets.values() {
        let is_used = |subnet: &str| {
            let mut addresses = region.addresses.values();
            addresses.any(|address| address.subnet_id == subnet)
        };
        if subnet.zone == zone && (!subnet.is_default || is_used(&subnet.id)) {
            held.push(format!("subnet {}", subnet.id));
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Caller;
    use crate::testing::text;
    use serde_json::json;

    fn default_subnets(state: &State, region: &str) -> Vec<(String, String)> {
        let region = state.region(region);
        let mut subnets: Vec<_> = region
            .subnets
            .values()
            .filter(|subnet| subnet.is_default)
            .map(|subnet| (subnet.zone.clone(), subnet.cidr.to_string()))
            .collect();
        subnets.sort();
        subnets
    }

    #[test]
    fn as_many_zones_as_asked_for_with_networks_of_their_own() {
        let state = State::new("local-1", "127.64.0.0/10".parse().unwrap());
        let many = state.with_zones(26).unwrap();
        many.check_invariants();
        let subnets = default_subnets(&many, "local-1");
        assert_eq!(subnets.len(), 26);
        assert_eq!(subnets[3], ("local-1d".to_owned(), "172.31.48.0/20".to_owned()));
        assert_eq!(subnets[25], ("local-1z".to_owned(), "172.31.248.0/21".to_owned()));
        let networks: Vec<ipnet::Ipv4Net> = subnets.iter().map(|(_, cidr)| cidr.parse().unwrap()).collect();
        for (at, one) in networks.iter().enumerate() {
            assert!(
                networks[at + 1..]
                    .iter()
                    .all(|other| !one.contains(other) && !other.contains(one))
            );
        }
        // A region that nobody has used yet has as many zones, and keeps them after a reset.
        assert_eq!(default_subnets(&many, "us-east-1").len(), 26);
        assert_eq!(default_subnets(&many.reset(), "local-1"), subnets);
        // The zones are unused, so they can be removed, which leaves the state as it was except for its generation.
        let few = many.with_zones(3).unwrap();
        let (mut before, mut after) = (state.rows(), few.rows());
        before.retain(|row| row.table != "state");
        after.retain(|row| row.table != "state");
        assert_eq!(before, after);
        assert_eq!(default_subnets(&few.with_zones(2).unwrap(), "local-1").len(), 2);
    }

    #[test]
    fn zones_in_use_stay_and_are_told() {
        let mut caller = Caller::new();
        caller.state = caller.state.with_zones(4).unwrap();
        let arn = caller.balancer("four");
        let error = caller.state.with_zones(3).unwrap_err();
        let told = error.to_string();
        assert!(
            told.starts_with("local-1d has load balancer four, subnet subnet-"),
            "{told}"
        );
        let before = caller.state.blueprint();
        let more = caller.state.with_zones(5).unwrap();
        assert_eq!(more.blueprint().balancers, before.balancers, "addresses stay");
        caller.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
        assert!(caller.state.with_zones(3).is_ok());
    }

    #[test]
    fn who_deleted_a_default_subnet_gets_no_new_ones() {
        let mut caller = Caller::new();
        let subnet = caller.subnets().remove(1);
        let deleted = caller.call_of(
            forebay_awswire::Service::Ec2,
            "DeleteSubnet",
            json!({"SubnetId": subnet}),
        );
        deleted.unwrap();
        assert_eq!(
            default_subnets(&caller.state.with_zones(5).unwrap(), "local-1").len(),
            2
        );
    }

    #[test]
    fn subnets_of_their_own_are_in_nobodys_way() {
        let mut caller = Caller::new();
        let wanted = json!({"VpcId": caller.vpc(), "CidrBlock": "172.31.48.0/20"});
        let made = caller
            .call_of(forebay_awswire::Service::Ec2, "CreateSubnet", wanted)
            .unwrap();
        assert!(!text(&made["Subnet"]["SubnetId"]).is_empty());
        let more = caller.state.with_zones(4).unwrap();
        assert_eq!(default_subnets(&more, "local-1")[3].1, "172.31.64.0/24");
    }
}
