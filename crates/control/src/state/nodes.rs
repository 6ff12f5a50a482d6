//! The addresses of load balancer nodes: those listed for their zones if there are any, else the pools'.

use super::State;
use crate::elbv2::records::{BalancerKind, BalancerZone, LoadBalancer, WITHOUT_PUBLIC_IPV4};
use crate::records::{IpVersion, NodeAddresses};
use core::net::IpAddr;
use ipnet::Ipv6Net;
use std::collections::BTreeMap;
use std::sync::Arc;

/// No address is left for a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no {} address left for a node of load balancer {balancer} in {zone}",
    version.word()
)]
pub struct NoAddress {
    /// The load balancer's name.
    pub balancer: String,
    /// The node's zone.
    pub zone: String,
    /// The node's subnet.
    pub subnet_id: String,
    /// The version of the missing address.
    pub version: IpVersion,
    /// Whether the address was to come from the zone's list.
    pub is_listed: bool,
}

/// A node's address before and after the lists or pools of addresses changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The load balancer's name.
    pub balancer: String,
    /// The node's zone.
    pub zone: String,
    /// The old address.
    pub from: Option<IpAddr>,
    /// The new address.
    pub to: Option<IpAddr>,
    /// Whether all addresses in the zone's list are taken, so that the node has none of them.
    pub is_left_over: bool,
}

/// Where a node's address of one version comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From the zone's list.
    List,
    /// From a pool.
    Pool,
    /// The node has no address of this version.
    Nowhere,
}

impl State {
    /// The addresses of one version in a zone's list.
    fn listed(&self, zone: &str, version: IpVersion) -> impl Iterator<Item = IpAddr> {
        let given = self.settings.node_addresses.get(zone).into_iter().flatten();
        given
            .copied()
            .filter(move |address| IpVersion::of(*address) == version)
    }

    /// Whether an address is in some zone's list.
    pub(crate) fn is_for_nodes(&self, address: IpAddr) -> bool {
        let mut given = self.settings.node_addresses.values().flatten();
        given.any(|one| *one == address)
    }

    /// Whether nodes in a zone can have IPv6 addresses.
    pub(crate) fn has_ipv6(&self, zone: &str) -> bool {
        self.settings.pool6.is_some() || self.listed(zone, IpVersion::V6).next().is_some()
    }

    /// Where a load balancer's node in `zone` takes its address of this version from.
    fn origin(&self, balancer: &LoadBalancer, zone: &str, version: IpVersion) -> Origin {
        let kind = balancer.ip_address_type.as_str();
        let is_pooled = match version {
            IpVersion::V4 => true,
            IpVersion::V6 if kind == "ipv4" => return Origin::Nowhere,
            IpVersion::V6 => self.settings.pool6.is_some(),
        };
        // Listed addresses are meant to be public, so a load balancer without public IPv4 addresses leaves them to
        // others.
        let may_list = version == IpVersion::V6 || kind != WITHOUT_PUBLIC_IPV4;
        match (may_list && self.listed(zone, version).next().is_some(), is_pooled) {
            (true, _) => Origin::List,
            (false, true) => Origin::Pool,
            (false, false) => Origin::Nowhere,
        }
    }

    /// Whether an address is in the zone's list.
    fn is_listed(&self, zone: &str, address: IpAddr) -> bool {
        self.listed(zone, IpVersion::of(address))
            .any(|one| one == address)
    }

    /// Whether a node may keep its address. Where there is a list, a node may keep a pool address until a listed one is
    /// free: a working address is not given up for nothing.
    fn may_keep(&self, balancer: &LoadBalancer, zone: &str, address: IpAddr) -> bool {
        match self.origin(balancer, zone, IpVersion::of(address)) {
            Origin::List => self.is_listed(zone, address) || self.is_pooled(address),
            Origin::Pool => self.is_pooled(address),
            Origin::Nowhere => false,
        }
    }

    /// Frees the addresses that a load balancer's nodes may not keep.
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

    /// Gives a load balancer's nodes the addresses that they need. Where all listed addresses are taken, a node with a
    /// pool address keeps it; one without an address gets a pool address if `or_pool` is set.
    ///
    /// # Errors
    /// If no address is left.
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
                // A node with a pool address keeps it until a listed one has been taken: if there is none, it must not
                // be left without any.
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
                    // A missing listed IPv6 address is not an error here: the node is still reachable over IPv4.
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

    /// Takes an address for a node from its origin.
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
        // A zone belongs to one region, and so do the addresses in its list.
        let known = self.existing_region(region);
        let is_free =
            |address: &IpAddr| known.is_none_or(|known| !known.addresses.contains_key(&address.to_string()));
        let free = self.listed(&zone.zone, version).find(is_free)?;
        self.hold_address(region, free, &zone.subnet_id, &balancer.arn);
        Some(free)
    }

    /// This state with other lists of node addresses and another IPv6 pool. Nodes whose addresses are no longer valid
    /// move, those of the oldest load balancer first. Also returns the nodes that moved, and those that have a pool
    /// address because the list is used up.
    ///
    /// # Errors
    /// If the pool has no address left for a node that must give up its own.
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
        // All nodes give up their addresses before any takes one: an address that one node gives up may be the one that
        // another needs.
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

    /// The changes of a node's addresses that are worth reporting.
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
