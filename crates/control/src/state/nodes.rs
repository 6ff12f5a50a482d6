//! Which addresses the nodes of load balancers have: those that were given for their zones, else those of the pools.

use super::State;
use crate::elbv2::records::{BalancerKind, BalancerZone, LoadBalancer, WITHOUT_PUBLIC_IPV4};
use crate::records::{IpVersion, NodeAddresses};
use core::net::IpAddr;
use ipnet::Ipv6Net;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node for which there was no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no {} address left for a node of load balancer {balancer} in {zone}",
    version.word()
)]
pub struct NoAddress {
    /// The load balancer's name.
    pub balancer: String,
    /// Its zone.
    pub zone: String,
    /// Its subnet there.
    pub subnet_id: String,
    /// Of this version.
    pub version: IpVersion,
    /// Whether it was to be one of those that were given for the zone.
    pub is_listed: bool,
}

/// A node's address, before and after it was settled anew from where nodes have their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The load balancer's name.
    pub balancer: String,
    /// The node's zone.
    pub zone: String,
    /// Before.
    pub from: Option<IpAddr>,
    /// After.
    pub to: Option<IpAddr>,
    /// Whether addresses were given for the zone, and all of them were taken.
    pub is_left_over: bool,
}

/// Where a node has an address of one version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// One of those that were given for its zone.
    List,
    /// A pool.
    Pool,
    /// Nowhere.
    Nowhere,
}

impl State {
    /// The addresses of one version that were given for nodes of a zone.
    fn listed(&self, zone: &str, version: IpVersion) -> impl Iterator<Item = IpAddr> {
        let given = self.settings.node_addresses.get(zone).into_iter().flatten();
        given
            .copied()
            .filter(move |address| IpVersion::of(*address) == version)
    }

    /// Whether an address was given for nodes of some zone.
    pub(crate) fn is_for_nodes(&self, address: IpAddr) -> bool {
        let mut given = self.settings.node_addresses.values().flatten();
        given.any(|one| *one == address)
    }

    /// Whether nodes in a zone can have IPv6 addresses.
    pub(crate) fn has_ipv6(&self, zone: &str) -> bool {
        self.settings.pool6.is_some() || self.listed(zone, IpVersion::V6).next().is_some()
    }

    /// Where a node of the load balancer is to have its address of this version.
    fn origin(&self, balancer: &LoadBalancer, zone: &str, version: IpVersion) -> Origin {
        let kind = balancer.ip_address_type.as_str();
        let is_pooled = match version {
            IpVersion::V4 => true,
            IpVersion::V6 if kind == "ipv4" => return Origin::Nowhere,
            IpVersion::V6 => self.settings.pool6.is_some(),
        };
        // Addresses that are given are for the world; a load balancer without public IPv4 addresses leaves those to others.
        let may_list = version == IpVersion::V6 || kind != WITHOUT_PUBLIC_IPV4;
        match (may_list && self.listed(zone, version).next().is_some(), is_pooled) {
            (true, _) => Origin::List,
            (false, true) => Origin::Pool,
            (false, false) => Origin::Nowhere,
        }
    }

    /// Whether an address is one of those that were given for nodes of a zone.
    fn is_listed(&self, zone: &str, address: IpAddr) -> bool {
        self.listed(zone, IpVersion::of(address))
            .any(|one| one == address)
    }

    /// Whether a node may keep its address. One of the pool is kept where others were given, too, until one of those is free.
    fn may_keep(&self, balancer: &LoadBalancer, zone: &str, address: IpAddr) -> bool {
        match self.origin(balancer, zone, IpVersion::of(address)) {
            Origin::List => self.is_listed(zone, address) || self.is_pooled(address),
            Origin::Pool => self.is_pooled(address),
            Origin::Nowhere => false,
        }
    }

    /// Gives back what a load balancer's nodes may not keep.
    pub(crate) fn give_back(&mut self, region: &str, balancer: &mut LoadBalancer) {
        for at in 0..balancer.zones.len() {
            let zone = balancer.zones[at].clone();
            for address in zone.node_addresses() {
                if !self.may_keep(balancer, &zone.zone, address) {
                    self.free_address(region, address);
                    balancer.zones[at].leave(IpVersion::of(address));
                }
            }
        }
    }

    /// Gives a load balancer's nodes the addresses that they are to have. One that has an address of the pool keeps it if all that
    /// were given for its zone are taken; with `or_pool`, one that has none gets one of the pool then.
    ///
    /// # Errors
    /// If there is none left.
    pub(crate) fn place(
        &mut self,
        region: &str,
        balancer: &mut LoadBalancer,
        or_pool: bool,
    ) -> Result<(), NoAddress> {
        for at in 0..balancer.zones.len() {
            for version in IpVersion::ALL {
                let zone = balancer.zones[at].clone();
                let (held, origin) = (
                    zone.node_address(version),
                    self.origin(balancer, &zone.zone, version),
                );
                let is_settled = match (held, origin) {
                    (_, Origin::Nowhere) => true,
                    (Some(held), Origin::List) => self.is_listed(&zone.zone, held),
                    (held, _) => held.is_some(),
                };
                if is_settled {
                    continue;
                }
                let mut found = self.take_from(region, balancer, &zone, version, origin);
                if found.is_none() && held.is_none() && or_pool && origin == Origin::List {
                    found = self.take_from(region, balancer, &zone, version, Origin::Pool);
                }
                match (found, held) {
                    (Some(found), held) => {
                        held.into_iter().for_each(|held| self.free_address(region, held));
                        balancer.zones[at].take(found);
                    }
                    (None, Some(_)) => {}
                    // What was given for IPv6 is not all that a node has: without it, it is reached by IPv4.
                    (None, None) if or_pool && version == IpVersion::V6 && origin == Origin::List => {}
                    (None, None) => {
                        return Err(NoAddress {
                            balancer: balancer.name.clone(),
                            zone: zone.zone,
                            subnet_id: zone.subnet_id,
                            version,
                            is_listed: origin == Origin::List,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes an address for a node, from where it is to have it.
    fn take_from(
        &mut self,
        region: &str,
        balancer: &LoadBalancer,
        zone: &BalancerZone,
        version: IpVersion,
        origin: Origin,
    ) -> Option<IpAddr> {
        if origin == Origin::Pool {
            return self.take_address(region, &zone.subnet_id, &balancer.arn, version);
        }
        // A zone is of one region, and so are the addresses that were given for it.
        let known = self.existing_region(region);
        let is_free =
            |address: &IpAddr| known.is_none_or(|known| !known.addresses.contains_key(&address.to_string()));
        let free = self.listed(&zone.zone, version).find(is_free)?;
        self.hold_address(region, free, &zone.subnet_id, &balancer.arn);
        Some(free)
    }

    /// The same with nodes at these addresses in these zones, and with this IPv6 pool: nodes that have others move, those of the oldest
    /// load balancer first. Tells which moved, and which have an address of the pool because all that were given are taken.
    ///
    /// # Errors
    /// If the pool has no address left for one that must leave its own.
    pub fn with_nodes_at(
        &self,
        pool6: Option<Ipv6Net>,
        node_addresses: NodeAddresses,
    ) -> Result<(State, Vec<Move>), NoAddress> {
        let mut state = self.clone();
        let settings = Arc::make_mut(&mut state.settings);
        (settings.pool6, settings.node_addresses) = (pool6, node_addresses);
        let mut balancers = BTreeMap::new();
        for (name, region) in self.regions() {
            for balancer in region.load_balancers.values() {
                if balancer.kind == BalancerKind::Application {
                    let order = (balancer.sequence, balancer.arn.clone());
                    balancers.insert(order, (name.to_owned(), LoadBalancer::clone(balancer)));
                }
            }
        }
        let before: Vec<LoadBalancer> = balancers.values().map(|(_, balancer)| balancer.clone()).collect();
        // First all that must go: another may be waiting for it.
        for (region, balancer) in balancers.values_mut() {
            state.give_back(region, balancer);
        }
        let mut moves = Vec::new();
        for ((region, mut balancer), before) in balancers.into_values().zip(before) {
            state.place(&region, &mut balancer, true)?;
            for (new, old) in balancer.zones.iter().zip(&before.zones) {
                moves.extend(state.moves(&balancer, old, new));
            }
            if balancer != before {
                let balancers = &mut state.region_mut(&region).load_balancers;
                balancers.insert(balancer.arn.clone(), Arc::new(balancer));
            }
        }
        if state != *self {
            state.grow();
        }
        Ok((state, moves))
    }

    /// What has become of a node's addresses, as far as that is worth telling.
    fn moves(&self, balancer: &LoadBalancer, old: &BalancerZone, new: &BalancerZone) -> Vec<Move> {
        let told = IpVersion::ALL.map(|version| {
            let (from, to) = (old.node_address(version), new.node_address(version));
            let is_listed = self.origin(balancer, &new.zone, version) == Origin::List;
            let is_left_over = is_listed && to.is_none_or(|to| !self.is_listed(&new.zone, to));
            (from != to || is_left_over).then(|| Move {
                balancer: balancer.name.clone(),
                zone: new.zone.clone(),
                from,
                to,
                is_left_over,
            })
        });
        told.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests;
