//! Instance types: the declared shapes, or if there are none, some of AWS's names, which say nothing about this
//! machine.

use crate::api::context::View;
use crate::api::errors::error;
use crate::api::filtering::Item;
use crate::ec2::instance_requirements::{requirements, shape as scaling_shape};
use crate::ec2::listing::{Listing, input, strings};
use crate::ec2::zones::zone_id;
use crate::fleet::Shape;
use forebay_awswire::{ApiError, timestamp};
use forebay_scaling::{Generation, PriceUnit, Purchase};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TYPES: Listing = Listing {
    member: "InstanceTypes",
    ids: "InstanceTypes",
    missing: ("InvalidInstanceType", "instance type"),
};

/// Names of types alone, which have no filters.
const NAMES: Listing = Listing { ids: "", ..TYPES };

const OFFERINGS: Listing = Listing {
    member: "InstanceTypeOfferings",
    ids: "",
    ..TYPES
};

const SPOT_PRICES: Listing = Listing {
    member: "SpotPriceHistory",
    ids: "",
    ..TYPES
};

/// Sizes with their processors and MiB of memory, in the common families. They are only names: an instance gets what
/// the machine gives it.
const SIZES: [(&str, u32, u32); 8] = [
    ("nano", 2, 512),
    ("micro", 2, 1024),
    ("small", 2, 2048),
    ("medium", 2, 4096),
    ("large", 2, 8192),
    ("xlarge", 4, 16384),
    ("2xlarge", 8, 32768),
    ("4xlarge", 16, 65536),
];
const FAMILIES: [&str; 7] = ["t2", "t3", "t3a", "m5", "m6i", "c5", "c6i"];

/// All shapes that instances may have.
pub(crate) fn shapes(view: &View<'_>) -> Vec<Shape> {
    let declared = view.observations.shapes();
    if declared.is_empty() { built_in() } else { declared }
}

/// The shape with that name, declared or built in.
pub(super) fn of_name(declared: &[Shape], name: &str) -> Option<Shape> {
    let found = declared.iter().find(|shape| shape.name == name).cloned();
    found.or_else(|| built_in().into_iter().find(|shape| shape.name == name))
}

fn built_in() -> Vec<Shape> {
    let sizes = FAMILIES
        .iter()
        .flat_map(|family| SIZES.iter().map(move |size| (family, size)));
    // Burstable families end at 2xlarge; the others begin at large.
    let sold = sizes.filter(|(family, (name, processors, _))| {
        if family.starts_with('t') {
            *processors <= 8
        } else {
            *processors > 2 || *name == "large"
        }
    });
    sold.map(|(family, (size, vcpus, memory_mib))| Shape {
        name: format!("{family}.{size}"),
        vcpus: *vcpus,
        memory_mib: *memory_mib,
        architecture: "x86_64".to_owned(),
        // Nothing costs money here: no price is too high, and no Spot Instance is interrupted.
        on_demand_price: 0.0,
        spot_price: None,
        on_demand_capacity: BTreeMap::new(),
        spot_capacity: BTreeMap::new(),
        interruption_rate: 0.0,
    })
    .collect()
}

pub(super) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let items = shapes(view).into_iter().map(|declared| {
        let shape = scaling_shape(&declared);
        let mut usage = vec!["on-demand"];
        if shape.spot_price.is_some() {
            usage.push("spot");
        }
        let value = json!({
            "InstanceType": shape.name,
            "BurstablePerformanceSupported": shape.is_burstable(),
            "CurrentGeneration": shape.generation() == Generation::Current,
            "BareMetal": shape.is_bare_metal(),
            "Hypervisor": "nitro",
            "InstanceStorageSupported": false,
            "ProcessorInfo": {"SupportedArchitectures": [shape.architecture]},
            "SupportedUsageClasses": usage,
            "SupportedRootDeviceTypes": ["ebs"],
            "SupportedVirtualizationTypes": ["hvm"],
            "VCpuInfo": {"DefaultVCpus": shape.vcpus},
            "MemoryInfo": {"SizeInMiB": shape.memory_mib},
        });
        Item::new(&shape.name, value)
    });
    TYPES.list(view, items.collect())
}

/// The zones of the region that have capacity for a shape at all, on-demand or Spot.
fn zones_of(view: &View<'_>, declared: &Shape, purchases: &[Purchase]) -> Vec<String> {
    let shape = scaling_shape(declared);
    let has_room = |zone: &String| {
        purchases
            .iter()
            .any(|purchase| shape.capacity(zone, *purchase) > 0)
    };
    view.state
        .zones(view.request.region)
        .into_iter()
        .filter(has_room)
        .collect()
}

pub(super) fn describe_offerings(view: &View<'_>) -> Result<Value, ApiError> {
    let kind = view.request.input["LocationType"].as_str().unwrap_or("region");
    let mut items = Vec::new();
    for shape in shapes(view) {
        let there = zones_of(view, &shape, &[Purchase::OnDemand, Purchase::Spot]);
        let locations = match kind {
            "region" if there.is_empty() => Vec::new(),
            "region" => vec![view.request.region.to_owned()],
            "availability-zone" => there,
            "availability-zone-id" => there.iter().map(|zone| zone_id(zone)).collect(),
            // There are no Outposts.
            _ => Vec::new(),
        };
        items.extend(locations.into_iter().map(|location| {
            let value = json!({"InstanceType": shape.name, "LocationType": kind, "Location": location});
            Item::new(&format!("{}/{location}", shape.name), value)
        }));
    }
    OFFERINGS.list(view, items)
}

/// The shapes that meet the requirements and whose price is not too high, on-demand or Spot.
pub(super) fn from_requirements(view: &View<'_>) -> Result<Value, ApiError> {
    let _: Value = input(view)?;
    let given = &view.request.input;
    let wanted = &given["InstanceRequirements"];
    let is_given = |name: &str| !strings(&wanted[name]).is_empty();
    if is_given("AllowedInstanceTypes") && is_given("ExcludedInstanceTypes") {
        return Err(error(
            "InvalidParameterCombination",
            "AllowedInstanceTypes and ExcludedInstanceTypes may not be specified together.",
        ));
    }
    let architectures = strings(&given["ArchitectureTypes"]);
    let is_virtual = strings(&given["VirtualizationTypes"])
        .iter()
        .any(|kind| kind == "hvm");
    let offered: Vec<_> = shapes(view)
        .iter()
        .map(scaling_shape)
        .filter(|shape| is_virtual && architectures.contains(&shape.architecture))
        .collect();
    let needs = requirements(wanted);
    let on_demand = needs.select(&offered, Purchase::OnDemand, PriceUnit::Instance);
    let spot = needs.select(&offered, Purchase::Spot, PriceUnit::Instance);
    let verdicts = on_demand.iter().zip(&spot);
    let fitting = offered
        .iter()
        .zip(verdicts)
        .filter(|(_, (on_demand, spot))| on_demand.is_ok() || spot.is_ok());
    let items = fitting.map(|(shape, _)| Item::new(&shape.name, json!({"InstanceType": shape.name})));
    NAMES.list(view, items.collect())
}

/// The declared Spot prices. They never change, so the history of each zone has a single entry, from the beginning.
pub(super) fn describe_spot_prices(view: &View<'_>) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let types = strings(&given["InstanceTypes"]);
    let products = strings(&given["ProductDescriptions"]);
    let product = "Linux/UNIX";
    let began = given["StartTime"]
        .as_f64()
        .unwrap_or(view.request.now.0 as f64 / 1e6);
    let is_asked = |name: &str, value: &str| given[name].as_str().is_none_or(|asked| asked == value);
    let is_product = products.is_empty() || products.iter().any(|asked| asked == product);
    let mut items = Vec::new();
    for shape in shapes(view) {
        let Some(price) = shape.spot_price.filter(|_| is_product) else {
            continue;
        };
        if !types.is_empty() && !types.contains(&shape.name) {
            continue;
        }
        for zone in zones_of(view, &shape, &[Purchase::Spot]) {
            if !is_asked("AvailabilityZone", &zone) || !is_asked("AvailabilityZoneId", &zone_id(&zone)) {
                continue;
            }
            let value = json!({
                "AvailabilityZone": zone, "AvailabilityZoneId": zone_id(&zone), "InstanceType": shape.name,
                "ProductDescription": product, "SpotPrice": format!("{price:.6}"), "Timestamp": began,
            });
            let item = Item::new(&format!("{}/{zone}", shape.name), value);
            items.push(item.fact("timestamp", timestamp(began)));
        }
    }
    SPOT_PRICES.list(view, items)
}
