//! Sizes of instances, and what their names say of them: AWS calls them instance types.

use std::collections::BTreeMap;

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purchase {
    /// It stays until it is not wanted any more.
    OnDemand,
    /// It costs less and may be taken away.
    Spot,
}

/// A size of instance that is on offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Such as `c6i.large`.
    pub name: String,
    /// Processors.
    pub vcpus: u32,
    /// MiB.
    pub memory_mib: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// What an hour costs.
    pub on_demand_price: f64,
    /// What an hour of one that may be taken away costs; none if there are none.
    pub spot_price: Option<f64>,
    /// How many each zone has room for, by zone; a zone that is not named has none. None if room is not bounded.
    pub on_demand_capacity: Option<BTreeMap<String, u32>>,
    /// The same of those that may be taken away.
    pub spot_capacity: Option<BTreeMap<String, u32>>,
    /// Which share of those is taken away in a month, from 0 to 1.
    pub interruption_rate: f64,
}

/// Whether AWS recommends a family still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// It does.
    Current,
    /// It has better ones.
    Previous,
}

/// Families that AWS lists as those of a previous generation.
const PREVIOUS: [&str; 15] = [
    "c1", "c3", "cc1", "cc2", "cg1", "cr1", "g2", "hi1", "hs1", "i2", "m1", "m2", "m3", "r3", "t1",
];

/// What a name such as `c6gd.2xlarge` consists of.
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
    /// None if it is not made as AWS's are: letters, digits, perhaps letters, a dot, a size.
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
    /// What an hour costs; none if it is not on offer like that.
    pub fn price(&self, purchase: Purchase) -> Option<f64> {
        match purchase {
            Purchase::OnDemand => Some(self.on_demand_price),
            Purchase::Spot => self.spot_price,
        }
    }

    /// How many a zone has room for; [`u32::MAX`] if room is not bounded.
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

    /// Who made its processors, in AWS's words; none if its name does not say.
    pub fn cpu_manufacturer(&self) -> Option<&'static str> {
        let name = Name::parse(&self.name)?;
        Some(match name.options {
            _ if name.series.starts_with("mac") => "apple",
            // The first Graviton's family has no letter for it.
            options if options.contains('g') || name.family == "a1" => "amazon-web-services",
            options if options.contains('a') => "amd",
            _ => "intel",
        })
    }

    /// Its generation. What is no name of AWS's is on offer now.
    pub fn generation(&self) -> Generation {
        match Name::parse(&self.name) {
            Some(name) if PREVIOUS.contains(&name.family) => Generation::Previous,
            _ => Generation::Current,
        }
    }

    /// Whether it gets more of its processors for a while than it pays for. AWS does not count `t1` among those.
    pub fn is_burstable(&self) -> bool {
        Name::parse(&self.name).is_some_and(|name| name.series == "t" && name.family != "t1")
    }

    /// Whether it is a whole machine.
    pub fn is_bare_metal(&self) -> bool {
        Name::parse(&self.name).is_some_and(|name| name.size.starts_with("metal"))
    }

    /// Whether it is one of those that prices are compared to first: C, M or R.
    pub(crate) fn is_general(&self) -> bool {
        Name::parse(&self.name).is_some_and(|name| ["c", "m", "r"].contains(&name.series))
    }

    /// Gibibytes for each processor.
    pub fn memory_gib_per_vcpu(&self) -> f64 {
        f64::from(self.memory_mib) / 1024.0 / f64::from(self.vcpus.max(1))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A shape of a price, without bounds of room, whose spot price is a third of that.
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
