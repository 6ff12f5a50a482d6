//! Allocation strategies: what the next instance is, out of several shapes, on-demand or spot; and which instances they would not have.
//!
//! A pool is a shape in a zone, on-demand or spot. Whoever launches tries the pools in the order that is given here, until one has an instance.

use crate::shape::{Purchase, Shape};
use crate::zones::{Zone, ZoneDistribution, next_zone};
use core::cmp::Ordering;
use std::collections::BTreeMap;

/// Which on-demand pool comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDemandStrategy {
    /// The first in the order of overrides.
    #[default]
    Prioritized,
    /// The cheapest for each unit of capacity.
    LowestPrice,
}

/// Which spot pool comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpotStrategy {
    /// The cheapest few, evenly.
    #[default]
    LowestPrice,
    /// The deepest.
    CapacityOptimized,
    /// Of the deep ones the first in the order of overrides.
    CapacityOptimizedPrioritized,
    /// Of the deep ones the cheapest.
    PriceCapacityOptimized,
}

/// A group's `InstancesDistribution`. Its default is AWS's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// So much capacity is on-demand first.
    pub on_demand_base: u32,
    /// Of what comes above that, this share is, from 0 to 100.
    pub on_demand_percentage: u32,
    /// Which on-demand pool comes first.
    pub on_demand_strategy: OnDemandStrategy,
    /// Which spot pool comes first.
    pub spot_strategy: SpotStrategy,
    /// Over how many pools [`SpotStrategy::LowestPrice`] spreads.
    pub spot_pools: u32,
    /// The most that an hour of a spot instance may cost; none if what on-demand ones cost is the limit.
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

/// A shape that a group may use. Those that come first have priority.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// How many units of capacity one instance is: 1 without weights.
    pub weight: u32,
}

/// Where instances come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    /// The shape's name.
    pub shape: String,
    /// The zone.
    pub zone: String,
    /// How they are paid for.
    pub purchase: Purchase,
}

/// How many instances of each pool are taken, by whomever.
pub type InUse = BTreeMap<Pool, u32>;

/// Why a pool is where it is in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranked {
    /// It is where the order of overrides has it.
    Priority,
    /// Its price for each unit.
    Price,
    /// It is one of the cheapest, over which instances are spread.
    Spread,
    /// How much room it has that is likely to stay.
    Depth,
    /// It is deep, and among those it is where the order of overrides has it.
    DeepAndPriority,
    /// It is deep, and among those there is its price for each unit.
    DeepAndPrice,
}

/// Why a pool is not in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// All of it is taken, or there is none in this zone.
    NoRoom,
    /// There are no spot instances of this shape.
    NoSpot,
    /// It costs more than a spot instance may.
    AbovePrice,
}

/// Pools in the order in which they are tried, by the places of their offers; and those that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Those that are.
    pub ranked: Vec<(usize, Ranked)>,
    /// Those that are not.
    pub skipped: Vec<(usize, Skipped)>,
}

/// A pool that has room.
struct Candidate {
    place: usize,
    /// For each unit of capacity.
    price: f64,
    /// How many instances of it are taken.
    taken: u32,
    /// How much room is left that is likely to stay.
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

/// A pool is deep if it has at least this share of the deepest one's room.
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

/// A capacity by how it is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// On-demand.
    pub on_demand: u32,
    /// Spot.
    pub spot: u32,
}

impl Split {
    /// Counts one more instance.
    pub fn add(&mut self, purchase: Purchase, weight: u32) {
        let counted = match purchase {
            Purchase::OnDemand => &mut self.on_demand,
            Purchase::Spot => &mut self.spot,
        };
        *counted = counted.saturating_add(weight);
    }

    /// Both together.
    pub fn total(&self) -> u32 {
        self.on_demand.saturating_add(self.spot)
    }
}

impl Distribution {
    /// How the next instance is paid for: the base is filled first; above it, on-demand instances get their share of what the group will have,
    /// rounded up.
    pub fn purchase(&self, existing: Split, weight: u32) -> Purchase {
        if existing.on_demand < self.on_demand_wanted(existing.total().saturating_add(weight)) {
            Purchase::OnDemand
        } else {
            Purchase::Spot
        }
    }

    /// How much of a capacity is on-demand.
    pub fn on_demand_wanted(&self, total: u32) -> u32 {
        let base = self.on_demand_base.min(total);
        let share = u64::from(total - base) * u64::from(self.on_demand_percentage.min(100));
        base + u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX)
    }
}

/// One launch that fills a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The place of its zone.
    pub zone: usize,
    /// The place of its offer.
    pub offer: usize,
    /// How it is paid for.
    pub purchase: Purchase,
    /// Why this offer.
    pub why: Ranked,
}

/// Launches that bring at least `missing` units of capacity, or as much as there is room for. With weights it may be too much, by less than
/// the largest weight. A zone without room is passed over as the distribution of zones says.
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
    /// Where it came from.
    pub pool: Pool,
    /// How much it counts.
    pub weight: u32,
}

/// Which instances the strategy would not have: the termination policy `AllocationStrategy` has those go. It is asked what it would launch for the
/// same capacity in each zone if there were nothing yet; of each pool, those that come first here are kept. `in_use` is what others have taken,
/// without these. O(instances x offers x log offers).
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
            // It could not do any better.
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
