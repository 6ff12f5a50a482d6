//! Allocation strategies: which of several shapes the next instance is, on-demand or spot, and which existing instances
//! they would not choose.
//!
//! A pool is a shape in a zone, on-demand or spot. A launch tries the pools in the order given here until one has an
//! instance.

use crate::shape::{Purchase, Shape};
use crate::zones::{Zone, ZoneDistribution, next_zone};
use core::cmp::Ordering;
use std::collections::BTreeMap;

/// The order of on-demand pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDemandStrategy {
    /// By the order of overrides.
    #[default]
    Prioritized,
    /// By price per unit of capacity.
    LowestPrice,
}

/// The order of spot pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpotStrategy {
    /// Evenly over the few cheapest pools.
    #[default]
    LowestPrice,
    /// The pools with the most room first.
    CapacityOptimized,
    /// Of the deep pools, by the order of overrides.
    CapacityOptimizedPrioritized,
    /// Of the deep pools, the cheapest first.
    PriceCapacityOptimized,
}

/// A group's `InstancesDistribution`, with AWS's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// Capacity that is on-demand before anything else.
    pub on_demand_base: u32,
    /// Percentage of on-demand capacity above the base, 0 to 100.
    pub on_demand_percentage: u32,
    /// The order of on-demand pools.
    pub on_demand_strategy: OnDemandStrategy,
    /// The order of spot pools.
    pub spot_strategy: SpotStrategy,
    /// Number of pools that [`SpotStrategy::LowestPrice`] spreads over.
    pub spot_pools: u32,
    /// Maximum price of a spot instance's hour; `None` for the on-demand price.
    pub spot_max_price: Option<f64>,
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution {
            on_demand_base: 0,
            on_demand_percentage: 100,
            on_demand_strategy: OnDemandStrategy::default(),
            spot_strategy: SpotStrategy::default(),
            spot_pools: 2,
            spot_max_price: None,
        }
    }
}

/// A shape that a group may use. Earlier ones have priority.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// Units of capacity of one instance: 1 without weights.
    pub weight: u32,
}

/// A source of instances: a shape in a zone, with a purchase option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    /// The shape's name.
    pub shape: String,
    /// The zone.
    pub zone: String,
    /// The purchase option.
    pub purchase: Purchase,
}

/// Instances in use from each pool, whoever uses them.
pub type InUse = BTreeMap<Pool, u32>;

/// Why a pool has its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranked {
    /// Its place in the order of overrides.
    Priority,
    /// Its price per unit.
    Price,
    /// It is one of the cheapest, over which instances are spread.
    Spread,
    /// The room it has that is likely to stay.
    Depth,
    /// It is deep; among deep pools, its place in the order of overrides.
    DeepAndPriority,
    /// It is deep; among deep pools, its price per unit.
    DeepAndPrice,
}

/// Why a pool is not ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// All of it is in use, or it does not exist in this zone.
    NoRoom,
    /// The shape has no spot instances.
    NoSpot,
    /// Its price exceeds the maximum for spot instances.
    AbovePrice,
}

/// The ranking of pools: indices of their offers in the order in which they are tried, and of those that are not tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The pools to try.
    pub ranked: Vec<(usize, Ranked)>,
    /// The pools that are not tried.
    pub skipped: Vec<(usize, Skipped)>,
}

/// A pool with room.
struct Candidate {
    place: usize,
    /// Price per unit of capacity.
    price: f64,
    /// Instances in use from it.
    taken: u32,
    /// Room left that is likely to stay.
    depth: f64,
}

impl Candidate {
    fn by_price(&self, other: &Candidate) -> Ordering {
        self.price
            .total_cmp(&other.price)
            .then(self.place.cmp(&other.place))
    }

    fn by_depth(&self, other: &Candidate) -> Ordering {
        other.depth.total_cmp(&self.depth).then(self.by_price(other))
    }
}

/// A pool is deep if it has at least this fraction of the deepest one's room.
const DEEP: f64 = 0.5;

/// The pools of a zone in the order in which a launch tries them. O(offers x log offers).
pub fn choose(
    offers: &[Offer<'_>],
    zone: &str,
    distribution: &Distribution,
    purchase: Purchase,
    in_use: &InUse,
) -> Choice {
    let mut candidates = Vec::new();
    let mut skipped = Vec::new();
    for place in 0..offers.len() {
        match candidate(offers, place, zone, distribution, purchase, in_use) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => skipped.push((place, why)),
        }
    }
    let ranked = match purchase {
        Purchase::OnDemand => match distribution.on_demand_strategy {
            OnDemandStrategy::Prioritized => all(candidates, Ranked::Priority),
            OnDemandStrategy::LowestPrice => {
                candidates.sort_by(Candidate::by_price);
                all(candidates, Ranked::Price)
            }
        },
        Purchase::Spot => rank_spot(candidates, distribution),
    };
    Choice { ranked, skipped }
}

fn candidate(
    offers: &[Offer<'_>],
    place: usize,
    zone: &str,
    distribution: &Distribution,
    purchase: Purchase,
    in_use: &InUse,
) -> Result<Candidate, Skipped> {
    let offer = offers[place];
    let price = offer.shape.price(purchase).ok_or(Skipped::NoSpot)?;
    let most = distribution.spot_max_price.unwrap_or(offer.shape.on_demand_price);
    if purchase == Purchase::Spot && price > most {
        return Err(Skipped::AbovePrice);
    }
    let pool = Pool {
        shape: offer.shape.name.clone(),
        zone: zone.to_owned(),
        purchase,
    };
    let taken = in_use.get(&pool).copied().unwrap_or(0);
    let room = offer.shape.capacity(zone, purchase).saturating_sub(taken);
    if room == 0 {
        return Err(Skipped::NoRoom);
    }
    let stays = match purchase {
        Purchase::OnDemand => 1.0,
        Purchase::Spot => 1.0 - offer.shape.interruption_rate.clamp(0.0, 1.0),
    };
    Ok(Candidate {
        place,
        price: price / f64::from(offer.weight.max(1)),
        taken,
        depth: f64::from(room) * stays,
    })
}

fn rank_spot(mut candidates: Vec<Candidate>, distribution: &Distribution) -> Vec<(usize, Ranked)> {
    let strategy = distribution.spot_strategy;
    if strategy == SpotStrategy::LowestPrice {
        candidates.sort_by(Candidate::by_price);
        let cheapest = (distribution.spot_pools.max(1) as usize).min(candidates.len());
        let others = candidates.split_off(cheapest);
        candidates.sort_by(|one, other| one.taken.cmp(&other.taken).then(one.by_price(other)));
        let mut ranked = all(candidates, Ranked::Spread);
        ranked.extend(all(others, Ranked::Price));
        return ranked;
    }
    candidates.sort_by(Candidate::by_depth);
    let deepest = candidates.first().map_or(0.0, |first| first.depth);
    let deep = match strategy {
        SpotStrategy::CapacityOptimized => 0,
        _ => candidates.partition_point(|candidate| candidate.depth >= deepest * DEEP),
    };
    let others = candidates.split_off(deep);
    let why = match strategy {
        SpotStrategy::CapacityOptimizedPrioritized => {
            candidates.sort_by_key(|candidate| candidate.place);
            Ranked::DeepAndPriority
        }
        _ => {
            candidates.sort_by(Candidate::by_price);
            Ranked::DeepAndPrice
        }
    };
    let mut ranked = all(candidates, why);
    ranked.extend(all(others, Ranked::Depth));
    ranked
}

fn all(candidates: Vec<Candidate>, why: Ranked) -> Vec<(usize, Ranked)> {
    candidates
        .into_iter()
        .map(|candidate| (candidate.place, why))
        .collect()
}

/// A capacity, split by purchase option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// On-demand capacity.
    pub on_demand: u32,
    /// Spot capacity.
    pub spot: u32,
}

impl Split {
    /// Adds an instance.
    pub fn add(&mut self, purchase: Purchase, weight: u32) {
        let counted = match purchase {
            Purchase::OnDemand => &mut self.on_demand,
            Purchase::Spot => &mut self.spot,
        };
        *counted = counted.saturating_add(weight);
    }

    /// The sum of both.
    pub fn total(&self) -> u32 {
        self.on_demand.saturating_add(self.spot)
    }
}

impl Distribution {
    /// The purchase option of the next instance. The base is filled first; above it, on-demand capacity gets its
    /// percentage of what the group will have, rounded up.
    pub fn purchase(&self, existing: Split, weight: u32) -> Purchase {
        if existing.on_demand < self.on_demand_wanted(existing.total().saturating_add(weight)) {
            Purchase::OnDemand
        } else {
            Purchase::Spot
        }
    }

    /// The on-demand part of a capacity.
    pub fn on_demand_wanted(&self, total: u32) -> u32 {
        let base = self.on_demand_base.min(total);
        let share = u64::from(total - base) * u64::from(self.on_demand_percentage.min(100));
        base + u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX)
    }
}

/// A launch that helps to fill a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Index of its zone.
    pub zone: usize,
    /// Index of its offer.
    pub offer: usize,
    /// Its purchase option.
    pub purchase: Purchase,
    /// Why this offer was chosen.
    pub why: Ranked,
}

/// Launches that add at least `missing` units of capacity, or as much as there is room for. With weights they may
/// exceed it by less than the largest weight. A zone without room is skipped as `zone_distribution` says.
pub fn plan(
    offers: &[Offer<'_>],
    missing: u32,
    distribution: &Distribution,
    mut zones: Vec<Zone>,
    zone_distribution: ZoneDistribution,
    (mut existing, mut in_use): (Split, InUse),
) -> Vec<Launch> {
    let mut launches = Vec::new();
    let mut filled = 0;
    while filled < missing {
        let Some(zone) = next_zone(&zones, zone_distribution, |_| 0) else {
            break;
        };
        let name = zones[zone].name.clone();
        let lightest = offers.iter().map(|offer| offer.weight).min().unwrap_or(1);
        let purchase = distribution.purchase(existing, lightest);
        let choice = choose(offers, &name, distribution, purchase, &in_use);
        let Some(&(offer, why)) = choice.ranked.first() else {
            // Counted as failing for the rest of this plan only, so that the loop goes on with the other zones.
            zones[zone].is_failing = true;
            continue;
        };
        let weight = offers[offer].weight.max(1);
        existing.add(purchase, weight);
        take(&mut in_use, offers[offer].shape, &name, purchase);
        zones[zone].instances += 1;
        filled = u32::saturating_add(filled, weight);
        launches.push(Launch {
            zone,
            offer,
            purchase,
            why,
        });
    }
    launches
}

fn take(in_use: &mut InUse, shape: &Shape, zone: &str, purchase: Purchase) {
    let pool = Pool {
        shape: shape.name.clone(),
        zone: zone.to_owned(),
        purchase,
    };
    *in_use.entry(pool).or_default() += 1;
}

/// An instance that a group has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// The pool that it came from.
    pub pool: Pool,
    /// Its units of capacity.
    pub weight: u32,
}

/// The instances that the strategy would not choose; the termination policy `AllocationStrategy` terminates those. The
/// strategy is asked what it would launch for the same capacity in each zone if there were nothing yet; of each pool,
/// the first instances in this list are kept. `in_use` is what others use, without these. O(instances x offers x log
/// offers).
pub fn surplus(
    instances: &[Existing],
    offers: &[Offer<'_>],
    distribution: &Distribution,
    mut in_use: InUse,
) -> Vec<bool> {
    let mut missing: BTreeMap<&str, u32> = BTreeMap::new();
    for instance in instances {
        let zone = missing.entry(&instance.pool.zone).or_default();
        *zone = zone.saturating_add(instance.weight.max(1));
    }
    let lightest = offers.iter().map(|offer| offer.weight).min().unwrap_or(1);
    let mut existing = Split::default();
    let mut wanted: InUse = BTreeMap::new();
    for instance in instances {
        let zone = &*instance.pool.zone;
        // Nothing is left to plan once the launches so far fill this zone.
        let Some(left) = missing.get_mut(zone).filter(|left| **left > 0) else {
            continue;
        };
        let purchase = distribution.purchase(existing, lightest);
        let choice = choose(offers, zone, distribution, purchase, &in_use);
        let (pool, weight) = match choice.ranked.first() {
            Some(&(place, _)) => {
                let offer = offers[place];
                take(&mut in_use, offer.shape, zone, purchase);
                let pool = Pool {
                    shape: offer.shape.name.clone(),
                    zone: zone.to_owned(),
                    purchase,
                };
                (pool, offer.weight)
            }
            // No pool has room, so nothing better than this instance could be launched.
            None => (instance.pool.clone(), instance.weight),
        };
        *left = left.saturating_sub(weight.max(1));
        existing.add(pool.purchase, weight.max(1));
        *wanted.entry(pool).or_default() += 1;
    }
    let is_surplus = |instance: &Existing| match wanted.get_mut(&instance.pool) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    instances.iter().map(is_surplus).collect()
}

#[cfg(test)]
mod tests;
