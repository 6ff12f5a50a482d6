//! Slices of the pools, and the addresses in them. A slice is the same part of each pool: a number of IPv4 addresses,
//! and as many IPv6 addresses if there is an IPv6 pool.

use super::State;
use crate::records::{Address, IpVersion};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Addresses in a subnet's slice of a pool.
const SLICE_ADDRESSES: u32 = 32;

impl State {
    /// The first free slices, one for each zone. Slices beyond the pool's end have no addresses.
    pub(super) fn free_slices(&self) -> Vec<u32> {
        let free = (0..).filter(|slice| !self.slices.contains_key(slice));
        free.take(usize::from(self.settings.zones)).collect()
    }

    /// How many slices the pool has.
    fn slice_limit(&self) -> u32 {
        let bits = 32 - u32::from(self.settings.pool.prefix_len());
        u32::try_from((1_u64 << bits) / u64::from(SLICE_ADDRESSES)).unwrap_or(u32::MAX)
    }

    /// Takes a free slice of the pool for a new subnet; `None` if the pool is exhausted.
    pub fn take_slice(&mut self, subnet_id: &str) -> Option<u32> {
        let free = (0..self.slice_limit()).find(|slice| !self.slices.contains_key(slice))?;
        self.slices.insert(free, subnet_id.to_owned());
        Some(free)
    }

    /// Frees a deleted subnet's slice.
    pub fn free_slice(&mut self, slice: u32) {
        self.slices.remove(&slice);
    }

    /// The addresses of a slice that nodes and instances may use: as on AWS, all but the first four and the last.
    pub fn slice_addresses(&self, slice: u32) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let first = u32::from(self.settings.pool.network()).wrapping_add(slice.wrapping_mul(SLICE_ADDRESSES));
        let within = slice < self.slice_limit();
        (4..SLICE_ADDRESSES - 1)
            .filter(move |_| within)
            .map(move |offset| Ipv4Addr::from(first + offset))
    }

    /// The IPv6 addresses of a slice, likewise; none without an IPv6 pool.
    pub fn slice_addresses6(&self, slice: u32) -> impl Iterator<Item = Ipv6Addr> + use<> {
        let pool = self.settings.pool6.filter(|_| slice < self.slice_limit());
        let first =
            pool.map(|pool| u128::from(pool.network()) + u128::from(slice) * u128::from(SLICE_ADDRESSES));
        let all = first.map(|first| {
            (4..SLICE_ADDRESSES - 1).map(move |offset| Ipv6Addr::from(first + u128::from(offset)))
        });
        all.into_iter()
            .flatten()
            .filter(move |address| pool.is_some_and(|pool| pool.contains(address)))
    }

    /// The first free address of a slice.
    fn free_in(&self, region: &str, slice: u32, version: IpVersion) -> Option<IpAddr> {
        let region = self.existing_region(region);
        let is_free = |address: &IpAddr| {
            region.is_none_or(|region| !region.addresses.contains_key(&address.to_string()))
        };
        match version {
            IpVersion::V4 => self.slice_addresses(slice).map(IpAddr::V4).find(is_free),
            IpVersion::V6 => self.slice_addresses6(slice).map(IpAddr::V6).find(is_free),
        }
    }

    /// Takes a free address from a subnet's slices for `owner`; `None` if the pool is exhausted or the subnet does not
    /// exist.
    pub fn take_address(
        &mut self,
        region: &str,
        subnet_id: &str,
        owner: &str,
        version: IpVersion,
    ) -> Option<IpAddr> {
        if version == IpVersion::V6 && self.settings.pool6.is_none() {
            return None;
        }
        let known = self.region(region);
        let slices = &known.subnets.get(subnet_id)?.slices;
        let mut held = slices.iter();
        let free = match held.find_map(|&slice| self.free_in(region, slice, version)) {
            Some(address) => address,
            None => {
                // The subnet's slices are used up. Another one keeps subnets from being limited to the size of a slice.
                let slice = self.take_slice(subnet_id)?;
                let Some(address) = self.free_in(region, slice, version) else {
                    self.free_slice(slice);
                    return None;
                };
                let subnet = self.region_mut(region).subnets.get_mut(subnet_id)?;
                Arc::make_mut(subnet).slices.push(slice);
                address
            }
        };
        self.hold_address(region, free, subnet_id, owner);
        Some(free)
    }

    /// Records the owner of an address.
    pub(super) fn hold_address(&mut self, region: &str, address: IpAddr, subnet_id: &str, owner: &str) {
        let record = Address {
            subnet_id: subnet_id.to_owned(),
            owner: owner.to_owned(),
        };
        let addresses = &mut self.region_mut(region).addresses;
        addresses.insert(address.to_string(), Arc::new(record));
    }

    /// Frees an address.
    pub fn free_address(&mut self, region: &str, address: IpAddr) {
        self.region_mut(region).addresses.remove(&address.to_string());
    }

    /// Whether an address belongs to one of the pools.
    pub fn is_pooled(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.settings.pool.contains(&address),
            IpAddr::V6(address) => self.settings.pool6.is_some_and(|pool| pool.contains(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new("local-1", "127.64.0.0/10".parse().unwrap())
    }

    #[test]
    fn addresses_come_back_and_a_used_up_slice_gets_a_second() {
        let mut state = state();
        let subnet = state.region("local-1").subnets.keys().next().unwrap().clone();
        let take = |state: &mut State| {
            state
                .take_address("local-1", &subnet, "me", IpVersion::V4)
                .unwrap()
        };
        let taken: Vec<IpAddr> = (0..27).map(|_| take(&mut state)).collect();
        let unique: std::collections::BTreeSet<&IpAddr> = taken.iter().collect();
        assert_eq!(unique.len(), 27);
        state.free_address("local-1", taken[3]);
        assert_eq!(take(&mut state), taken[3]);
        let further = take(&mut state);
        assert!(!taken.contains(&further));
        assert_eq!(state.region("local-1").subnets[&subnet].slices.len(), 2);
        assert!(state.settings().pool.contains(&match further {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => unreachable!(),
        }));
    }

    #[test]
    fn small_pool_runs_out_and_says_so() {
        let mut state = State::new("local-1", "127.64.0.0/25".parse().unwrap());
        let subnet = state.region("local-1").subnets.keys().next().unwrap().clone();
        let taken = (0..100)
            .map_while(|_| state.take_address("local-1", &subnet, "me", IpVersion::V4))
            .count();
        // Four slices are used: those of the three subnets, and one more for the first subnet.
        assert_eq!(taken, 54);
    }
}
