//! Mixed instances policies: which shapes a group may use, what each weighs, and which are on-demand or Spot.

use crate::api::context::View;
use crate::autoscaling::records::Group;
use crate::ec2::instance_requirements::{requirements, shape as scaling_shape};
use crate::ec2::instance_types::shapes;
use forebay_scaling::{
    Distribution, InUse, Offer, OnDemandStrategy, Pool, PriceUnit, Purchase, Shape, SpotStrategy,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A shape that a policy offers.
pub(super) struct Offered {
    pub(super) shape: Shape,
    /// The weight of an instance; `None` if all weigh 1.
    pub(super) weight: Option<u32>,
    /// The index of its override; `None` if the policy has none and its launch template names the shape.
    pub(super) place: Option<usize>,
}

/// A policy, resolved to the shapes that exist now.
pub(super) struct Mixed {
    pub(super) distribution: Distribution,
    on_demand: Vec<Offered>,
    spot: Vec<Offered>,
    /// Problems with the policy, for people: shapes that are not declared, or requirements that no shape meets.
    pub(super) unusable: Vec<String>,
}

/// The unit that a group's capacity is counted in.
pub(super) fn unit(group: &Group) -> PriceUnit {
    match group.others.get("DesiredCapacityType").and_then(Value::as_str) {
        Some("vcpu") => PriceUnit::Vcpu,
        Some("memory-mib") => PriceUnit::MemoryMib,
        _ => PriceUnit::Instance,
    }
}

impl Mixed {
    /// Reads a policy. `template` is its launch template's data, which gives the shape or the requirements if there are
    /// no overrides.
    pub(super) fn read(view: &View<'_>, policy: &Value, template: &Value, unit: PriceUnit) -> Mixed {
        let mut mixed = Mixed {
            distribution: distribution(&policy["InstancesDistribution"]),
            on_demand: Vec::new(),
            spot: Vec::new(),
            unusable: Vec::new(),
        };
        let catalogue = Catalogue::new(view);
        let overrides = policy["LaunchTemplate"]["Overrides"].as_array();
        let overrides = overrides.map_or(&[][..], Vec::as_slice);
        if overrides.is_empty() {
            mixed.add(&catalogue, template, None, unit);
        }
        for (place, given) in overrides.iter().enumerate() {
            // An override without a shape takes that of its launch template.
            let says = given.get("InstanceType").is_some() || given.get("InstanceRequirements").is_some();
            let mut wanted = if says { given.clone() } else { template.clone() };
            wanted["WeightedCapacity"] = given["WeightedCapacity"].clone();
            mixed.add(&catalogue, &wanted, Some(place), unit);
        }
        mixed
    }

    fn add(&mut self, catalogue: &Catalogue, given: &Value, place: Option<usize>, unit: PriceUnit) {
        let weight = given["WeightedCapacity"]
            .as_str()
            .and_then(|text| text.parse().ok());
        if let Some(name) = given["InstanceType"].as_str() {
            match catalogue.named(name) {
                Some(shape) => {
                    for purchase in [Purchase::OnDemand, Purchase::Spot] {
                        self.put(purchase, &shape, weight, place);
                    }
                }
                None => self.unusable.push(format!(
                    "The instance type {name} is not declared; declared are {}.",
                    catalogue.names()
                )),
            }
            return;
        }
        let wanted = &given["InstanceRequirements"];
        if wanted.is_null() {
            self.unusable
                .push("The policy names no instance type, and its launch template has none.".to_owned());
            return;
        }
        let needs = requirements(wanted);
        let mut is_met = false;
        for purchase in [Purchase::OnDemand, Purchase::Spot] {
            let verdicts = needs.select(&catalogue.shapes, purchase, unit);
            for (shape, _) in catalogue
                .shapes
                .iter()
                .zip(verdicts)
                .filter(|(_, verdict)| verdict.is_ok())
            {
                is_met = true;
                let weight = weight.or(match unit {
                    PriceUnit::Instance => None,
                    PriceUnit::Vcpu => Some(shape.vcpus.max(1)),
                    PriceUnit::MemoryMib => Some(shape.memory_mib.max(1)),
                });
                self.put(purchase, shape, weight, place);
            }
        }
        if !is_met {
            self.unusable.push(format!(
                "No instance type meets the instance requirements; there are {}.",
                catalogue.names()
            ));
        }
    }

    /// The first override that offers a shape wins.
    fn put(&mut self, purchase: Purchase, shape: &Shape, weight: Option<u32>, place: Option<usize>) {
        let list = match purchase {
            Purchase::OnDemand => &mut self.on_demand,
            Purchase::Spot => &mut self.spot,
        };
        if list.iter().all(|known| known.shape.name != shape.name) {
            let shape = shape.clone();
            list.push(Offered { shape, weight, place });
        }
    }

    /// The shapes that may be launched as on-demand or Spot.
    pub(super) fn offered(&self, purchase: Purchase) -> &[Offered] {
        match purchase {
            Purchase::OnDemand => &self.on_demand,
            Purchase::Spot => &self.spot,
        }
    }

    /// All shapes that may be launched, as on-demand or Spot, each once.
    pub(super) fn all(&self) -> Vec<Offer<'_>> {
        let names: BTreeSet<&str> = self.on_demand.iter().map(|known| &*known.shape.name).collect();
        let more = self
            .spot
            .iter()
            .filter(|known| !names.contains(&*known.shape.name));
        self.on_demand.iter().chain(more).map(Offered::offer).collect()
    }

    /// The smallest weight that one more instance can have.
    pub(super) fn lightest(&self) -> u32 {
        self.all().iter().map(|offer| offer.weight).min().unwrap_or(1)
    }
}

impl Offered {
    pub(super) fn offer(&self) -> Offer<'_> {
        Offer {
            shape: &self.shape,
            weight: self.weight.unwrap_or(1),
        }
    }
}

/// The shapes that exist.
struct Catalogue {
    shapes: Vec<Shape>,
    is_declared: bool,
}

impl Catalogue {
    fn new(view: &View<'_>) -> Catalogue {
        let is_declared = !view.observations.shapes().is_empty();
        let mut shapes: Vec<Shape> = shapes(view).iter().map(scaling_shape).collect();
        if !is_declared {
            // If no shapes are declared, any name is a shape, on-demand and Spot, at no cost.
            shapes.iter_mut().for_each(|shape| shape.spot_price = Some(0.0));
        }
        Catalogue { shapes, is_declared }
    }

    /// The shape with that name. If no shapes are declared, every name is one, without limits.
    fn named(&self, name: &str) -> Option<Shape> {
        let known = self.shapes.iter().find(|shape| shape.name == name).cloned();
        if self.is_declared {
            return known;
        }
        known.or_else(|| {
            Some(Shape {
                name: name.to_owned(),
                vcpus: 1,
                memory_mib: 1024,
                architecture: "x86_64".to_owned(),
                on_demand_price: 0.0,
                spot_price: Some(0.0),
                on_demand_capacity: None,
                spot_capacity: None,
                interruption_rate: 0.0,
            })
        })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.shapes.iter().map(|shape| &*shape.name).collect();
        names.join(", ")
    }
}

/// Reads `InstancesDistribution`.
fn distribution(given: &Value) -> Distribution {
    let default = Distribution::default();
    let number = |name: &str, default: u32| {
        let number = given[name].as_u64().and_then(|number| u32::try_from(number).ok());
        number.unwrap_or(default)
    };
    Distribution {
        on_demand_base: number("OnDemandBaseCapacity", default.on_demand_base),
        on_demand_percentage: number(
            "OnDemandPercentageAboveBaseCapacity",
            default.on_demand_percentage,
        ),
        on_demand_strategy: match given["OnDemandAllocationStrategy"].as_str() {
            Some("lowest-price") => OnDemandStrategy::LowestPrice,
            _ => OnDemandStrategy::Prioritized,
        },
        spot_strategy: match given["SpotAllocationStrategy"].as_str() {
            Some("capacity-optimized") => SpotStrategy::CapacityOptimized,
            Some("capacity-optimized-prioritized") => SpotStrategy::CapacityOptimizedPrioritized,
            Some("price-capacity-optimized") => SpotStrategy::PriceCapacityOptimized,
            _ => SpotStrategy::LowestPrice,
        },
        spot_pools: number("SpotInstancePools", default.spot_pools),
        spot_max_price: given["SpotMaxPrice"].as_str().and_then(|text| text.parse().ok()),
    }
}

/// How many instances of each pool are in use, in groups or not.
pub(super) fn in_use(view: &View<'_>) -> InUse {
    let mut taken = InUse::new();
    for instance in view.region().instances.values() {
        if matches!(instance.state.as_str(), "stopped" | "terminated") {
            continue;
        }
        let pool = pool(&instance.instance_type, &instance.zone, instance.is_spot);
        *taken.entry(pool).or_default() += 1;
    }
    taken
}

/// The pool of an instance.
pub(super) fn pool(shape: &str, zone: &str, is_spot: bool) -> Pool {
    Pool {
        shape: shape.to_owned(),
        zone: zone.to_owned(),
        purchase: purchase(is_spot),
    }
}

pub(super) fn purchase(is_spot: bool) -> Purchase {
    if is_spot {
        Purchase::Spot
    } else {
        Purchase::OnDemand
    }
}

/// The policy's override at that index.
pub(super) fn override_at(policy: &Value, place: Option<usize>) -> Value {
    place.map_or_else(
        || json!({}),
        |place| policy["LaunchTemplate"]["Overrides"][place].clone(),
    )
}
