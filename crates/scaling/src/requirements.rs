//! Attribute-based instance type selection: the shapes that a group may use if it states requirements instead of names
//! (AWS's `InstanceRequirements`).
//!
//! A shape has only what it declares; local storage, accelerators and bandwidth cannot be declared.

use crate::shape::{Generation, Purchase, Shape};
use forebay_units::wildcard;

/// How far a spot price may exceed the lowest, in per cent (AWS's default).
pub const SPOT_PRICE_PROTECTION: u32 = 100;
/// How far an on-demand price may exceed the lowest, in per cent (AWS's default).
pub const ON_DEMAND_PRICE_PROTECTION: u32 = 20;

/// A minimum and a maximum, both optional.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// The minimum.
    pub minimum: Option<f64>,
    /// The maximum.
    pub maximum: Option<f64>,
}

impl Range {
    /// A range with both bounds.
    pub const fn new(minimum: f64, maximum: f64) -> Range {
        Range {
            minimum: Some(minimum),
            maximum: Some(maximum),
        }
    }

    /// Whether the number lies within the range.
    pub fn contains(&self, number: f64) -> bool {
        self.minimum.is_none_or(|least| least <= number) && self.maximum.is_none_or(|most| number <= most)
    }
}

/// Whether shapes of a kind may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inclusion {
    /// They may be used, as well as others.
    Included,
    /// They must not be used.
    Excluded,
    /// Only they may be used.
    Required,
}

impl Inclusion {
    fn admits(self, is_of_kind: bool) -> bool {
        match self {
            Inclusion::Included => true,
            Inclusion::Excluded => !is_of_kind,
            Inclusion::Required => is_of_kind,
        }
    }
}

/// The requirements that a shape must meet. [`Requirements::default`] is what AWS assumes for empty requirements.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// `VCpuCount`
    pub vcpus: Range,
    /// `MemoryMiB`
    pub memory_mib: Range,
    /// `MemoryGiBPerVCpu`
    pub memory_gib_per_vcpu: Range,
    /// `CpuManufacturers`; any if empty.
    pub cpu_manufacturers: Vec<String>,
    /// `AllowedInstanceTypes`, where `*` matches anything; all if empty.
    pub allowed: Vec<String>,
    /// `ExcludedInstanceTypes`, likewise.
    pub excluded: Vec<String>,
    /// `InstanceGenerations`; any if empty.
    pub generations: Vec<Generation>,
    /// `BareMetal`
    pub bare_metal: Inclusion,
    /// `BurstablePerformance`
    pub burstable: Inclusion,
    /// `LocalStorage`
    pub local_storage: Inclusion,
    /// `TotalLocalStorageGB`
    pub local_storage_gb: Range,
    /// `AcceleratorCount`
    pub accelerators: Range,
    /// `AcceleratorTotalMemoryMiB`
    pub accelerator_memory_mib: Range,
    /// Whether `AcceleratorTypes`, `AcceleratorNames` or `AcceleratorManufacturers` name any.
    pub names_accelerators: bool,
    /// `NetworkBandwidthGbps`
    pub network_bandwidth_gbps: Range,
    /// `NetworkInterfaceCount`; every instance has one.
    pub network_interfaces: Range,
    /// `BaselineEbsBandwidthMbps`
    pub ebs_bandwidth_mbps: Range,
    /// `RequireHibernateSupport`
    pub requires_hibernation: bool,
    /// `SpotMaxPricePercentageOverLowestPrice`
    pub spot_price_protection: u32,
    /// `OnDemandMaxPricePercentageOverLowestPrice`
    pub on_demand_price_protection: u32,
    /// `MaxSpotPriceAsPercentageOfOptimalOnDemandPrice`, which replaces the protection by spot prices.
    pub spot_share_of_on_demand: Option<u32>,
}

impl Default for Requirements {
    fn default() -> Requirements {
        Requirements {
            vcpus: Range::default(),
            memory_mib: Range::default(),
            memory_gib_per_vcpu: Range::default(),
            cpu_manufacturers: Vec::new(),
            allowed: Vec::new(),
            excluded: Vec::new(),
            generations: Vec::new(),
            bare_metal: Inclusion::Excluded,
            burstable: Inclusion::Excluded,
            local_storage: Inclusion::Included,
            local_storage_gb: Range::default(),
            accelerators: Range::default(),
            accelerator_memory_mib: Range::default(),
            names_accelerators: false,
            network_bandwidth_gbps: Range::default(),
            network_interfaces: Range::default(),
            ebs_bandwidth_mbps: Range::default(),
            requires_hibernation: false,
            spot_price_protection: SPOT_PRICE_PROTECTION,
            on_demand_price_protection: ON_DEMAND_PRICE_PROTECTION,
            spot_share_of_on_demand: None,
        }
    }
}

/// Why a shape may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Too few or too many vCPUs.
    #[error("its number of vCPUs is out of range")]
    Vcpus,
    /// Too little or too much memory.
    #[error("its memory is out of range")]
    Memory,
    /// Too little or too much memory per vCPU.
    #[error("its memory for each vCPU is out of range")]
    MemoryPerVcpu,
    /// Its processors are of another manufacturer.
    #[error("its processors are not of a listed manufacturer")]
    CpuManufacturer,
    /// It is not among the allowed ones.
    #[error("it is not one of the allowed instance types")]
    NotAllowed,
    /// It is among the excluded ones.
    #[error("it is one of the excluded instance types")]
    Excluded,
    /// Its generation is not among those listed.
    #[error("its generation is not listed")]
    Generation,
    /// It is bare metal and that is excluded, or the other way round.
    #[error("bare metal is excluded, or required")]
    BareMetal,
    /// It is burstable and that is excluded, or the other way round.
    #[error("burstable performance is excluded, or required")]
    Burstable,
    /// It has no local storage.
    #[error("it declares no local storage")]
    LocalStorage,
    /// It has no accelerators.
    #[error("it declares no accelerators")]
    Accelerators,
    /// It has one network interface and declares no bandwidth.
    #[error("it declares no such network interfaces or bandwidth")]
    Network,
    /// It declares no EBS bandwidth.
    #[error("it declares no EBS bandwidth")]
    EbsBandwidth,
    /// It cannot hibernate.
    #[error("it cannot hibernate")]
    Hibernation,
    /// It is not offered with this purchase option.
    #[error("it is not offered as a Spot Instance")]
    NoSpot,
    /// It costs too much more than the cheapest.
    #[error("its price is above the price protection threshold")]
    PriceProtection,
}

/// The unit that prices are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriceUnit {
    /// Per instance.
    #[default]
    Instance,
    /// Per processor, for groups whose capacity is counted in them (`DesiredCapacityType` `vcpu`).
    Vcpu,
    /// Per MiB of memory (`memory-mib`).
    MemoryMib,
}

impl PriceUnit {
    fn of(self, shape: &Shape, purchase: Purchase) -> Option<f64> {
        let units = match self {
            PriceUnit::Instance => 1,
            PriceUnit::Vcpu => shape.vcpus.max(1),
            PriceUnit::MemoryMib => shape.memory_mib.max(1),
        };
        shape.price(purchase).map(|price| price / f64::from(units))
    }
}

impl Requirements {
    /// Whether a shape meets the requirements, whatever it costs.
    ///
    /// # Errors
    /// The first requirement that it does not meet.
    pub fn fits(&self, shape: &Shape) -> Result<(), Mismatch> {
        let lists = |list: &[String]| list.iter().any(|glob| wildcard::matches(glob, &shape.name));
        let none_of = |range: &Range| range.contains(0.0);
        let manufacturer = shape.cpu_manufacturer();
        let is_made_by = |name: &String| Some(&**name) == manufacturer;
        let checks = [
            (self.vcpus.contains(shape.vcpus.into()), Mismatch::Vcpus),
            (
                self.memory_mib.contains(shape.memory_mib.into()),
                Mismatch::Memory,
            ),
            (
                self.memory_gib_per_vcpu.contains(shape.memory_gib_per_vcpu()),
                Mismatch::MemoryPerVcpu,
            ),
            (
                self.cpu_manufacturers.is_empty() || self.cpu_manufacturers.iter().any(is_made_by),
                Mismatch::CpuManufacturer,
            ),
            (
                self.allowed.is_empty() || lists(&self.allowed),
                Mismatch::NotAllowed,
            ),
            (!lists(&self.excluded), Mismatch::Excluded),
            (
                self.generations.is_empty() || self.generations.contains(&shape.generation()),
                Mismatch::Generation,
            ),
            (self.bare_metal.admits(shape.is_bare_metal()), Mismatch::BareMetal),
            (self.burstable.admits(shape.is_burstable()), Mismatch::Burstable),
            (
                self.local_storage.admits(false) && none_of(&self.local_storage_gb),
                Mismatch::LocalStorage,
            ),
            (
                none_of(&self.accelerators)
                    && none_of(&self.accelerator_memory_mib)
                    && !self.names_accelerators,
                Mismatch::Accelerators,
            ),
            (
                none_of(&self.network_bandwidth_gbps) && self.network_interfaces.contains(1.0),
                Mismatch::Network,
            ),
            (none_of(&self.ebs_bandwidth_mbps), Mismatch::EbsBandwidth),
            (!self.requires_hibernation, Mismatch::Hibernation),
        ];
        let failed = checks.into_iter().find(|(passes, _)| !passes);
        failed.map_or(Ok(()), |(_, why)| Err(why))
    }

    /// The verdict on each shape, in order, prices included. Fitting shapes are compared with the cheapest of them that
    /// is of a current generation of C, M or R; if there is none, of any current generation; if there is none, of any
    /// generation.
    pub fn select(&self, shapes: &[Shape], purchase: Purchase, unit: PriceUnit) -> Vec<Result<(), Mismatch>> {
        let threshold = self.price_threshold(shapes, purchase, unit);
        let verdict = |shape: &Shape| {
            self.fits(shape)?;
            match (unit.of(shape, purchase), threshold) {
                (None, _) => Err(Mismatch::NoSpot),
                (Some(price), Some(threshold)) if price > threshold => Err(Mismatch::PriceProtection),
                _ => Ok(()),
            }
        };
        shapes.iter().map(verdict).collect()
    }

    fn price_threshold(&self, shapes: &[Shape], purchase: Purchase, unit: PriceUnit) -> Option<f64> {
        let (compared, percent) = match (purchase, self.spot_share_of_on_demand) {
            (Purchase::Spot, Some(share)) => (Purchase::OnDemand, u64::from(share)),
            (Purchase::Spot, None) => (purchase, 100 + u64::from(self.spot_price_protection)),
            (Purchase::OnDemand, _) => (purchase, 100 + u64::from(self.on_demand_price_protection)),
        };
        let fitting = shapes.iter().filter(|shape| self.fits(shape).is_ok());
        let cheapest = fitting.filter_map(|shape| {
            let rank = match shape.generation() {
                Generation::Current if shape.is_general() => 0,
                Generation::Current => 1,
                Generation::Previous => 2,
            };
            Some((rank, unit.of(shape, compared)?))
        });
        let (_, price) = cheapest.min_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)))?;
        Some(price * percent as f64 / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::tests::shape;
    use proptest::prelude::*;

    type Set = fn(&mut Requirements);

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn each_requirement_refuses_with_its_reason() {
        let cases: [(Set, Result<(), Mismatch>); 26] = [
            (|_| {}, Ok(())),
            (|it| it.vcpus = Range::new(2.0, 4.0), Ok(())),
            (|it| it.memory_mib = Range::new(4096.0, 4096.0), Ok(())),
            (|it| it.memory_gib_per_vcpu = Range::new(2.0, 2.0), Ok(())),
            (|it| it.cpu_manufacturers = words(&["amd", "intel"]), Ok(())),
            (|it| it.allowed = words(&["c6*"]), Ok(())),
            (|it| it.generations = vec![Generation::Current], Ok(())),
            (|it| it.accelerators = Range::new(0.0, 0.0), Ok(())),
            (|it| it.vcpus = Range::new(4.0, 8.0), Err(Mismatch::Vcpus)),
            (
                |it| it.memory_mib = Range::new(0.0, 2048.0),
                Err(Mismatch::Memory),
            ),
            (
                |it| it.memory_gib_per_vcpu = Range::new(2.5, 8.0),
                Err(Mismatch::MemoryPerVcpu),
            ),
            (
                |it| it.cpu_manufacturers = words(&["amd"]),
                Err(Mismatch::CpuManufacturer),
            ),
            (
                |it| it.allowed = words(&["m5.*", "c6a.*"]),
                Err(Mismatch::NotAllowed),
            ),
            (|it| it.excluded = words(&["*6i*"]), Err(Mismatch::Excluded)),
            (
                |it| it.generations = vec![Generation::Previous],
                Err(Mismatch::Generation),
            ),
            (|it| it.bare_metal = Inclusion::Required, Err(Mismatch::BareMetal)),
            (|it| it.burstable = Inclusion::Required, Err(Mismatch::Burstable)),
            (
                |it| it.local_storage = Inclusion::Required,
                Err(Mismatch::LocalStorage),
            ),
            (
                |it| it.local_storage_gb = Range::new(1.0, 9.0),
                Err(Mismatch::LocalStorage),
            ),
            (
                |it| it.accelerators = Range::new(1.0, 2.0),
                Err(Mismatch::Accelerators),
            ),
            (
                |it| it.accelerator_memory_mib = Range::new(1.0, 2.0),
                Err(Mismatch::Accelerators),
            ),
            (|it| it.names_accelerators = true, Err(Mismatch::Accelerators)),
            (
                |it| it.network_bandwidth_gbps = Range::new(10.0, 25.0),
                Err(Mismatch::Network),
            ),
            (
                |it| it.network_interfaces = Range::new(2.0, 4.0),
                Err(Mismatch::Network),
            ),
            (
                |it| it.ebs_bandwidth_mbps = Range::new(500.0, 900.0),
                Err(Mismatch::EbsBandwidth),
            ),
            (|it| it.requires_hibernation = true, Err(Mismatch::Hibernation)),
        ];
        let large = shape("c6i.large", 2, 4096, 1.0);
        for (set, wanted) in cases {
            let mut requirements = Requirements::default();
            set(&mut requirements);
            assert_eq!(requirements.fits(&large), wanted, "{requirements:?}");
        }
    }

    #[test]
    fn bursting_and_bare_metal_are_left_out_unless_asked_for() {
        let defaults = Requirements::default();
        let burstable = shape("t3.large", 2, 4096, 1.0);
        let metal = shape("c6i.metal", 2, 4096, 1.0);
        assert_eq!(defaults.fits(&burstable), Err(Mismatch::Burstable));
        assert_eq!(defaults.fits(&metal), Err(Mismatch::BareMetal));
        let generous = Requirements {
            bare_metal: Inclusion::Included,
            burstable: Inclusion::Included,
            ..Requirements::default()
        };
        assert_eq!(generous.fits(&burstable), Ok(()));
        assert_eq!(generous.fits(&metal), Ok(()));
    }

    #[test]
    fn what_costs_too_much_is_left_out() {
        let shapes = [
            shape("c6i.large", 2, 4096, 1.0),
            shape("m6i.large", 2, 8192, 1.2),
            shape("r6i.large", 2, 16384, 1.21),
            // Cheaper, but not what prices are compared with.
            shape("x2.large", 2, 4096, 0.1),
            Shape {
                spot_price: None,
                ..shape("m5.large", 2, 4096, 1.0)
            },
            // Four times the price for four times the processors.
            shape("c6i.2xlarge", 8, 16384, 4.0),
        ];
        let verdicts = |requirements: &Requirements, purchase, unit| {
            let verdicts = requirements.select(&shapes, purchase, unit);
            let letter = |verdict: Result<(), Mismatch>| match verdict {
                Ok(()) => 'y',
                Err(Mismatch::PriceProtection) => 'p',
                Err(Mismatch::NoSpot) => 's',
                Err(_) => 'n',
            };
            verdicts.into_iter().map(letter).collect::<String>()
        };
        let defaults = Requirements::default();
        let tight = Requirements {
            spot_price_protection: 10,
            ..Requirements::default()
        };
        let open = Requirements {
            on_demand_price_protection: 999_999,
            ..Requirements::default()
        };
        // Spot prices are a third of the others: 0.4 and 0.403 lie on either side of 40 % of 1.0.
        let share = Requirements {
            spot_share_of_on_demand: Some(40),
            ..Requirements::default()
        };
        for (requirements, purchase, unit, wanted) in [
            (&defaults, Purchase::OnDemand, PriceUnit::Instance, "yypyyp"),
            (&defaults, Purchase::Spot, PriceUnit::Instance, "yyyysp"),
            (&tight, Purchase::Spot, PriceUnit::Instance, "yppysp"),
            (&open, Purchase::OnDemand, PriceUnit::Instance, "yyyyyy"),
            (&share, Purchase::Spot, PriceUnit::Instance, "yypysp"),
            (&defaults, Purchase::OnDemand, PriceUnit::Vcpu, "yypyyy"),
        ] {
            let came = verdicts(requirements, purchase, unit);
            assert_eq!(came, wanted, "{requirements:?} {purchase:?} {unit:?}");
        }
        // Without C, M or R, prices are compared with the cheapest current one.
        let others = [shape("x2.large", 2, 4096, 1.0), shape("z1.large", 2, 4096, 1.3)];
        let verdicts = defaults.select(&others, Purchase::OnDemand, PriceUnit::Instance);
        assert_eq!(verdicts, [Ok(()), Err(Mismatch::PriceProtection)]);
    }

    #[test]
    fn globs_are_awss() {
        for (glob, name, wanted) in [
            ("m5.8xlarge", "m5.8xlarge", true),
            ("m5.8xlarge", "m5.8xlarge2", false),
            ("c5*.*", "c5n.large", true),
            ("m5a.*", "m5a.large", true),
            ("m5a.*", "m5n.large", false),
            ("r*", "r5.large", true),
            ("*3*", "t3.large", true),
            ("*3*", "t2.large", false),
            ("*", "anything", true),
            ("**", "", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*a", "aba", true),
            ("a*b*a", "aa", false),
            ("", "", true),
            ("", "a", false),
            // A dot matches only a dot.
            ("m5.large", "m5xlarge", false),
        ] {
            assert_eq!(wildcard::matches(glob, name), wanted, "{glob} {name}");
        }
    }

    proptest! {
        /// A pattern made from a name by replacing a part with a star matches that name.
        #[test]
        fn a_star_is_any_piece(name in "[a-z0-9.]{0,12}", from in 0_usize..12, length in 0_usize..12) {
            let from = from.min(name.len());
            let to = (from + length).min(name.len());
            let glob = format!("{}*{}", &name[..from], &name[to..]);
            prop_assert!(wildcard::matches(&glob, &name), "{} {}", glob, name);
            let longer = format!("{name}x");
            prop_assert!(!wildcard::matches(&name, &longer));
        }
    }
}
