//! Sizes of instances, and what their names say about them. AWS calls them instance types.

use std::collections::BTreeMap;

/// The purchase option of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purchase {
    /// It runs until it is terminated.
    OnDemand,
    /// It costs less and may be interrupted.
    Spot,
}

/// A size of instance that is on offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The name, such as `c6i.large`.
    pub name: String,
    /// Number of processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// The price of an hour.
    pub on_demand_price: f64,
    /// The price of a spot instance's hour; `None` if there are none.
    pub spot_price: Option<f64>,
    /// Room for instances by zone; a zone that is not named has none. `None` if room is unlimited.
    pub on_demand_capacity: Option<BTreeMap<String, u32>>,
    /// Room for spot instances, likewise.
    pub spot_capacity: Option<BTreeMap<String, u32>>,
    /// The fraction of spot instances interrupted per month, 0 to 1.
    pub interruption_rate: f64,
}

/// Whether AWS still recommends a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// It is current.
    Current,
    /// It has been superseded.
    Previous,
}

/// Families that AWS lists as previous generation.
const PREVIOUS: [&str; 15] = [
    "c1", "c3", "cc1", "cc2", "cg1", "cr1", "g2", "hi1", "hs1", "i2", "m1", "m2", "m3", "r3", "t1",
];

/// The parts of a name such as `c6gd.2xlarge`.
struct Name<'a> {
    /// `c6gd`
    family: &'a str,
    /// `c`
    series: &'a str,
    /// `gd`
    options: &'a str,
    /// `2xlarge`
    size: &'a str,
}

impl<'a> Name<'a> {
    /// `None` unless it has the form of AWS's names: letters, digits, optional letters, a dot, a size.
    fn parse(name: &'a str) -> Option<Name<'a>> {
        let (family, size) = name.split_once('.')?;
        let digits = family.find(|letter: char| letter.is_ascii_digit())?;
        let (series, rest) = family.split_at(digits);
        let options = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let is_word = |text: &str| text.chars().all(|letter| letter.is_ascii_lowercase());
        let is_name = !series.is_empty() && is_word(series) && !size.is_empty();
        is_name.then_some(Name {
            family,
            series,
            options,
            size,
        })
    }
}

impl Shape {
    /// The price of an hour; `None` if it is not offered that way.
    pub fn price(&self, purchase: Purchase) -> Option<f64> {
        match purchase {
            Purchase::OnDemand => Some(self.on_demand_price),
            Purchase::Spot => self.spot_price,
        }
    }

    /// The room that a zone has; [`u32::MAX`] if it is unlimited.
    pub fn capacity(&self, zone: &str, purchase: Purchase) -> u32 {
        let zones = match purchase {
            Purchase::OnDemand => &self.on_demand_capacity,
            Purchase::Spot if self.spot_price.is_none() => return 0,
            Purchase::Spot => &self.spot_capacity,
        };
        match zones {
            None => u32::MAX,
            Some(zones) => zones.get(zone).copied().unwrap_or(0),
        }
    }

    /// The manufacturer of its processors, in AWS's words; `None` if the name does not tell.
    pub fn cpu_manufacturer(&self) -> Option<&'static str> {
        let name = Name::parse(&self.name)?;
        Some(match name.options {
            _ if name.series.starts_with("mac") => "apple",
            // The first Graviton family has no letter for it.
            options if options.contains('g') || name.family == "a1" => "amazon-web-services",
            options if options.contains('a') => "amd",
            _ => "intel",
        })
    }

    /// Its generation. A name that is not AWS's counts as current.
    pub fn generation(&self) -> Generation {
        match Name::parse(&self.name) {
            Some(name) if PREVIOUS.contains(&name.family) => Generation::Previous,
            _ => Generation::Current,
        }
    }

    /// Whether it is burstable. AWS does not count `t1` among those.
    pub fn is_burstable(&self) -> bool {
        Name::parse(&self.name).is_some_and(|name| name.series == "t" && name.family != "t1")
    }

    /// Whether it is bare metal.
    pub fn is_bare_metal(&self) -> bool {
        Name::parse(&self.name).is_some_and(|name| name.size.starts_with("metal"))
    }

    /// Whether its price is the first choice for comparison: families C, M and R.
    pub(crate) fn is_general(&self) -> bool {
        Name::parse(&self.name).is_some_and(|name| ["c", "m", "r"].contains(&name.series))
    }

    /// Gibibytes per processor.
    pub fn memory_gib_per_vcpu(&self) -> f64 {
        f64::from(self.memory_mib) / 1024.0 / f64::from(self.vcpus.max(1))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A shape with this price and unlimited room, whose spot price is a third of it.
    pub(crate) fn shape(name: &str, vcpus: u32, memory_mib: u32, price: f64) -> Shape {
        Shape {
            name: name.to_owned(),
            vcpus,
            memory_mib,
            architecture: "x86_64".to_owned(),
            on_demand_price: price,
            spot_price: Some(price / 3.0),
            on_demand_capacity: None,
            spot_capacity: None,
            interruption_rate: 0.0,
        }
    }

    #[test]
    fn names_say_what_they_say() {
        use Generation::*;
        for (name, manufacturer, generation, is_burstable, is_bare_metal) in [
            ("c6i.large", Some("intel"), Current, false, false),
            ("m5.24xlarge", Some("intel"), Current, false, false),
            ("c6a.large", Some("amd"), Current, false, false),
            ("c7gn.xlarge", Some("amazon-web-services"), Current, false, false),
            ("a1.medium", Some("amazon-web-services"), Current, false, false),
            ("t3.micro", Some("intel"), Current, true, false),
            ("t1.micro", Some("intel"), Previous, false, false),
            ("t4g.nano", Some("amazon-web-services"), Current, true, false),
            ("m1.small", Some("intel"), Previous, false, false),
            ("c5.metal", Some("intel"), Current, false, true),
            ("i4i.metal-24xl", Some("intel"), Current, false, true),
            ("trn1.32xlarge", Some("intel"), Current, false, false),
            ("mac2.metal", Some("apple"), Current, false, true),
            ("small", None, Current, false, false),
            ("box.large", None, Current, false, false),
            ("5.large", None, Current, false, false),
            ("c5.", None, Current, false, false),
        ] {
            let shape = shape(name, 2, 4096, 1.0);
            assert_eq!(shape.cpu_manufacturer(), manufacturer, "{name}");
            assert_eq!(shape.generation(), generation, "{name}");
            assert_eq!(shape.is_bare_metal(), is_bare_metal, "{name}");
            assert_eq!(shape.is_burstable(), is_burstable, "{name}");
        }
    }

    #[test]
    fn room_is_unbounded_unless_it_is_said() {
        use Purchase::*;
        let mut shape = shape("c5.large", 2, 4096, 1.0);
        assert_eq!(shape.capacity("a", OnDemand), u32::MAX);
        shape.on_demand_capacity = Some(BTreeMap::from([("a".to_owned(), 3)]));
        shape.spot_capacity = Some(BTreeMap::from([("b".to_owned(), 2)]));
        for (zone, purchase, wanted) in [
            ("a", OnDemand, 3),
            ("b", OnDemand, 0),
            ("a", Spot, 0),
            ("b", Spot, 2),
        ] {
            assert_eq!(shape.capacity(zone, purchase), wanted, "{zone} {purchase:?}");
        }
        shape.spot_price = None;
        assert_eq!(shape.capacity("b", Spot), 0);
        assert_eq!(shape.price(Spot), None);
    }
}
