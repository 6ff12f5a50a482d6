//! Converts `InstanceRequirements` of EC2 and Auto Scaling, and declared shapes, for `forebay_scaling`, which chooses
//! among shapes.

use crate::ec2::listing::strings;
use crate::fleet;
use forebay_scaling::{
    Generation, Inclusion, ON_DEMAND_PRICE_PROTECTION, Range, Requirements, SPOT_PRICE_PROTECTION, Shape,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A shape as allocation strategies see it.
pub(crate) fn shape(declared: &fleet::Shape) -> Shape {
    let bounded = |room: &BTreeMap<String, u32>| (!room.is_empty()).then(|| room.clone());
    Shape {
        name: declared.name.clone(),
        vcpus: declared.vcpus,
        memory_mib: declared.memory_mib,
        architecture: declared.architecture.clone(),
        on_demand_price: declared.on_demand_price,
        spot_price: declared.spot_price,
        on_demand_capacity: bounded(&declared.on_demand_capacity),
        spot_capacity: bounded(&declared.spot_capacity),
        interruption_rate: declared.interruption_rate,
    }
}

/// Requirements from a call. The API model's constraints have been checked.
pub(crate) fn requirements(given: &Value) -> Requirements {
    let generation = |name: String| match name.as_str() {
        "previous" => Generation::Previous,
        _ => Generation::Current,
    };
    let percent = |name: &str| {
        let number = given[name].as_u64();
        number.map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    };
    let names_any = |names: [&str; 3]| names.iter().any(|name| !strings(&given[*name]).is_empty());
    Requirements {
        vcpus: range(&given["VCpuCount"]),
        memory_mib: range(&given["MemoryMiB"]),
        memory_gib_per_vcpu: range(&given["MemoryGiBPerVCpu"]),
        cpu_manufacturers: strings(&given["CpuManufacturers"]),
        allowed: strings(&given["AllowedInstanceTypes"]),
        excluded: strings(&given["ExcludedInstanceTypes"]),
        generations: strings(&given["InstanceGenerations"])
            .into_iter()
            .map(generation)
            .collect(),
        bare_metal: inclusion(&given["BareMetal"], Inclusion::Excluded),
        burstable: inclusion(&given["BurstablePerformance"], Inclusion::Excluded),
        local_storage: inclusion(&given["LocalStorage"], Inclusion::Included),
        local_storage_gb: range(&given["TotalLocalStorageGB"]),
        accelerators: range(&given["AcceleratorCount"]),
        accelerator_memory_mib: range(&given["AcceleratorTotalMemoryMiB"]),
        names_accelerators: names_any(["AcceleratorTypes", "AcceleratorNames", "AcceleratorManufacturers"]),
        network_bandwidth_gbps: range(&given["NetworkBandwidthGbps"]),
        network_interfaces: range(&given["NetworkInterfaceCount"]),
        ebs_bandwidth_mbps: range(&given["BaselineEbsBandwidthMbps"]),
        requires_hibernation: given["RequireHibernateSupport"] == true,
        spot_price_protection: percent("SpotMaxPricePercentageOverLowestPrice")
            .unwrap_or(SPOT_PRICE_PROTECTION),
        on_demand_price_protection: percent("OnDemandMaxPricePercentageOverLowestPrice")
            .unwrap_or(ON_DEMAND_PRICE_PROTECTION),
        spot_share_of_on_demand: percent("MaxSpotPriceAsPercentageOfOptimalOnDemandPrice"),
    }
}

fn range(given: &Value) -> Range {
    Range {
        minimum: given["Min"].as_f64(),
        maximum: given["Max"].as_f64(),
    }
}

fn inclusion(given: &Value, default: Inclusion) -> Inclusion {
    match given.as_str() {
        Some("included") => Inclusion::Included,
        Some("excluded") => Inclusion::Excluded,
        Some("required") => Inclusion::Required,
        _ => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_given_has_its_default() {
        let given = json!({"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 1024, "Max": 4096}});
        let wanted = Requirements {
            vcpus: Range {
                minimum: Some(2.0),
                maximum: None,
            },
            memory_mib: Range::new(1024.0, 4096.0),
            ..Requirements::default()
        };
        assert_eq!(requirements(&given), wanted);
    }

    #[test]
    fn what_is_given_is_read() {
        let given = json!({
            "MemoryGiBPerVCpu": {"Min": 0.5, "Max": 4.5}, "CpuManufacturers": ["intel"], "AllowedInstanceTypes": ["c*"],
            "ExcludedInstanceTypes": ["c5*"], "InstanceGenerations": ["current", "previous"], "BareMetal": "included",
            "BurstablePerformance": "required", "LocalStorage": "excluded", "TotalLocalStorageGB": {"Max": 1.0},
            "AcceleratorCount": {"Max": 0}, "AcceleratorTotalMemoryMiB": {"Min": 1}, "AcceleratorTypes": ["gpu"],
            "NetworkBandwidthGbps": {"Min": 1.5}, "NetworkInterfaceCount": {"Max": 4}, "BaselineEbsBandwidthMbps": {"Min": 3},
            "RequireHibernateSupport": true, "SpotMaxPricePercentageOverLowestPrice": 7,
            "OnDemandMaxPricePercentageOverLowestPrice": 8, "MaxSpotPriceAsPercentageOfOptimalOnDemandPrice": 9,
        });
        let least = |minimum| Range {
            minimum: Some(minimum),
            maximum: None,
        };
        let most = |maximum| Range {
            minimum: None,
            maximum: Some(maximum),
        };
        let wanted = Requirements {
            vcpus: Range::default(),
            memory_mib: Range::default(),
            memory_gib_per_vcpu: Range::new(0.5, 4.5),
            cpu_manufacturers: vec!["intel".to_owned()],
            allowed: vec!["c*".to_owned()],
            excluded: vec!["c5*".to_owned()],
            generations: vec![Generation::Current, Generation::Previous],
            bare_metal: Inclusion::Included,
            burstable: Inclusion::Required,
            local_storage: Inclusion::Excluded,
            local_storage_gb: most(1.0),
            accelerators: most(0.0),
            accelerator_memory_mib: least(1.0),
            names_accelerators: true,
            network_bandwidth_gbps: least(1.5),
            network_interfaces: most(4.0),
            ebs_bandwidth_mbps: least(3.0),
            requires_hibernation: true,
            spot_price_protection: 7,
            on_demand_price_protection: 8,
            spot_share_of_on_demand: Some(9),
        };
        assert_eq!(requirements(&given), wanted);
    }
}
