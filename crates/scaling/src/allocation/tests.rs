use super::*;
use crate::shape::tests::shape;
use Purchase::{OnDemand, Spot};
use proptest::prelude::*;

/// A shape with room in zone `a` only: price, spot price, room for either.
fn bounded(name: &str, price: f64, spot: f64, room: u32) -> Shape {
    let zones = BTreeMap::from([("a".to_owned(), room)]);
    Shape {
        spot_price: Some(spot),
        on_demand_capacity: Some(zones.clone()),
        spot_capacity: Some(zones),
        ..shape(name, 2, 4096, price)
    }
}

fn offers(shapes: &[Shape]) -> Vec<Offer<'_>> {
    shapes.iter().map(|shape| Offer { shape, weight: 1 }).collect()
}

fn pool(shape: &str, purchase: Purchase) -> Pool {
    Pool {
        shape: shape.to_owned(),
        zone: "a".to_owned(),
        purchase,
    }
}

fn places(choice: &Choice) -> Vec<usize> {
    choice.ranked.iter().map(|ranked| ranked.0).collect()
}

#[test]
fn each_strategy_has_its_order() {
    // Expensive and deep; cheap and shallow; middling and almost as deep; cheapest and shallowest.
    let shapes = [
        bounded("one", 4.0, 1.0, 100),
        bounded("two", 2.0, 0.5, 10),
        bounded("three", 3.0, 0.6, 60),
        bounded("four", 1.0, 0.4, 5),
    ];
    let offers = offers(&shapes);
    let order = |distribution: Distribution, purchase| {
        let choice = choose(&offers, "a", &distribution, purchase, &InUse::new());
        assert_eq!(choice.skipped, []);
        (
            places(&choice),
            choice.ranked.iter().map(|ranked| ranked.1).collect::<Vec<_>>(),
        )
    };
    let on_demand = |on_demand_strategy| Distribution {
        on_demand_strategy,
        ..Distribution::default()
    };
    let spot = |spot_strategy| Distribution {
        spot_strategy,
        ..Distribution::default()
    };
    use Ranked::*;
    for (distribution, purchase, wanted, why) in [
        (
            on_demand(OnDemandStrategy::Prioritized),
            OnDemand,
            [0, 1, 2, 3],
            [Priority; 4],
        ),
        (
            on_demand(OnDemandStrategy::LowestPrice),
            OnDemand,
            [3, 1, 2, 0],
            [Price; 4],
        ),
        (
            spot(SpotStrategy::LowestPrice),
            Spot,
            [3, 1, 2, 0],
            [Spread, Spread, Price, Price],
        ),
        (
            spot(SpotStrategy::CapacityOptimized),
            Spot,
            [0, 2, 1, 3],
            [Depth; 4],
        ),
        (
            spot(SpotStrategy::CapacityOptimizedPrioritized),
            Spot,
            [0, 2, 1, 3],
            [DeepAndPriority, DeepAndPriority, Depth, Depth],
        ),
        (
            spot(SpotStrategy::PriceCapacityOptimized),
            Spot,
            [2, 0, 1, 3],
            [DeepAndPrice, DeepAndPrice, Depth, Depth],
        ),
    ] {
        let came = order(distribution, purchase);
        assert_eq!(came, (wanted.to_vec(), why.to_vec()), "{distribution:?}");
    }
}

#[test]
fn pools_that_are_taken_away_often_are_less_deep() {
    let mut shapes = [bounded("one", 4.0, 0.5, 100), bounded("two", 4.0, 1.0, 100)];
    shapes[0].interruption_rate = 0.6;
    let distribution = |spot_strategy| Distribution {
        spot_strategy,
        ..Distribution::default()
    };
    for strategy in [
        SpotStrategy::CapacityOptimized,
        SpotStrategy::PriceCapacityOptimized,
    ] {
        let choice = choose(
            &offers(&shapes),
            "a",
            &distribution(strategy),
            Spot,
            &InUse::new(),
        );
        assert_eq!(places(&choice), [1, 0], "{strategy:?}");
    }
    // With unlimited room, only the interruption rate distinguishes them.
    for shape in &mut shapes {
        shape.spot_capacity = None;
    }
    let choice = choose(
        &offers(&shapes),
        "a",
        &distribution(SpotStrategy::CapacityOptimized),
        Spot,
        &InUse::new(),
    );
    assert_eq!(places(&choice), [1, 0]);
}

#[test]
fn pools_without_room_or_too_dear_are_passed_over() {
    let shapes = [
        bounded("full", 1.0, 0.3, 2),
        bounded("dear", 1.0, 0.9, 9),
        Shape {
            spot_price: None,
            ..bounded("on demand", 1.0, 0.0, 9)
        },
        bounded("good", 1.0, 0.5, 9),
        // More than the on-demand price, which nobody pays unless told to.
        bounded("mad", 0.2, 0.5, 9),
    ];
    let in_use = InUse::from([(pool("full", Spot), 2), (pool("full", OnDemand), 1)]);
    let limited = Distribution {
        spot_max_price: Some(0.5),
        ..Distribution::default()
    };
    let offers = offers(&shapes);
    let choice = choose(&offers, "a", &limited, Spot, &in_use);
    assert_eq!(places(&choice), [3, 4]);
    use Skipped::*;
    assert_eq!(choice.skipped, [(0, NoRoom), (1, AbovePrice), (2, NoSpot)]);
    let choice = choose(&offers, "a", &Distribution::default(), Spot, &in_use);
    assert_eq!(places(&choice), [3, 1]);
    assert_eq!(choice.skipped, [(0, NoRoom), (2, NoSpot), (4, AbovePrice)]);
    // On-demand, one is left of the first, and the maximum spot price does not matter.
    let choice = choose(&offers, "a", &limited, OnDemand, &in_use);
    assert_eq!(places(&choice), [0, 1, 2, 3, 4]);
    let elsewhere = choose(&offers, "b", &limited, OnDemand, &in_use);
    assert_eq!(elsewhere.ranked, []);
    assert_eq!(elsewhere.skipped.len(), 5);
}

#[test]
fn prices_are_those_of_a_unit_of_capacity() {
    let shapes = [bounded("small", 1.0, 0.5, 9), bounded("large", 3.0, 1.5, 9)];
    let mut offers = offers(&shapes);
    let cheapest = Distribution {
        on_demand_strategy: OnDemandStrategy::LowestPrice,
        ..Distribution::default()
    };
    for (weight, wanted) in [(1, [0, 1]), (3, [0, 1]), (4, [1, 0])] {
        offers[1].weight = weight;
        let choice = choose(&offers, "a", &cheapest, OnDemand, &InUse::new());
        assert_eq!(places(&choice), wanted, "{weight}");
    }
}

#[test]
fn lowest_price_spreads_over_the_cheapest_pools() {
    let shapes = [
        bounded("one", 1.0, 0.1, 9),
        bounded("two", 1.0, 0.2, 9),
        bounded("three", 1.0, 0.3, 9),
    ];
    let zones = vec![Zone {
        name: "a".to_owned(),
        instances: 0,
        is_failing: false,
    }];
    for (pools, wanted) in [(1, [0, 0, 0, 0, 0]), (2, [0, 1, 0, 1, 0]), (3, [0, 1, 2, 0, 1])] {
        let distribution = Distribution {
            on_demand_percentage: 0,
            spot_pools: pools,
            ..Distribution::default()
        };
        let launches = plan(
            &offers(&shapes),
            5,
            &distribution,
            zones.clone(),
            ZoneDistribution::default(),
            (Split::default(), InUse::new()),
        );
        let came: Vec<usize> = launches.iter().map(|launch| launch.offer).collect();
        assert_eq!(came, wanted, "{pools}");
    }
}

#[test]
fn the_base_is_filled_first_and_then_the_share() {
    // The documentation's table: a base of 10 and 50 % above it, for groups of 10, 20, 30 and 40.
    let distribution = Distribution {
        on_demand_base: 10,
        on_demand_percentage: 50,
        ..Distribution::default()
    };
    let mut existing = Split::default();
    for _ in 0..40 {
        let purchase = distribution.purchase(existing, 1);
        existing.add(purchase, 1);
        let wanted = match existing.total() {
            10 => (10, 0),
            20 => (15, 5),
            30 => (20, 10),
            40 => (25, 15),
            _ => continue,
        };
        assert_eq!((existing.on_demand, existing.spot), wanted);
    }
    // Base, percentage, what exists, weight, what is next.
    for (base, percentage, (on_demand, spot), weight, wanted) in [
        (0, 100, (5, 0), 1, OnDemand),
        (0, 100, (0, 5), 1, OnDemand),
        (0, 0, (0, 0), 1, Spot),
        (1, 0, (0, 9), 1, OnDemand),
        (1, 0, (1, 0), 1, Spot),
        (0, 30, (0, 0), 1, OnDemand),
        (0, 30, (1, 0), 1, Spot),
        (0, 30, (1, 2), 1, OnDemand),
        (0, 30, (2, 2), 1, Spot),
        (8, 0, (4, 0), 4, OnDemand),
        (8, 0, (8, 0), 4, Spot),
        (0, 50, (4, 0), 4, Spot),
    ] {
        let distribution = Distribution {
            on_demand_base: base,
            on_demand_percentage: percentage,
            ..Distribution::default()
        };
        let came = distribution.purchase(Split { on_demand, spot }, weight);
        assert_eq!(came, wanted, "{base} {percentage} {on_demand} {spot} {weight}");
    }
}

#[test]
fn a_zone_without_room_is_passed_over() {
    let shapes = [bounded("one", 1.0, 0.1, 3)];
    let zones: Vec<Zone> = ["a", "b"]
        .map(|name| Zone {
            name: name.to_owned(),
            instances: 0,
            is_failing: false,
        })
        .into();
    let zones_of = |distribution| -> Vec<usize> {
        let launches = plan(
            &offers(&shapes),
            5,
            &Distribution::default(),
            zones.clone(),
            distribution,
            (Split::default(), InUse::new()),
        );
        launches.iter().map(|launch| launch.zone).collect()
    };
    assert_eq!(zones_of(ZoneDistribution::BalancedBestEffort), [0, 0, 0]);
    assert_eq!(zones_of(ZoneDistribution::BalancedOnly), [0]);
}

#[test]
fn what_the_strategy_would_not_have_is_surplus() {
    let shapes = [bounded("one", 2.0, 0.5, 2), bounded("two", 1.0, 0.1, 9)];
    let existing = |name: &str, purchase| Existing {
        pool: pool(name, purchase),
        weight: 1,
    };
    let spot_half = Distribution {
        on_demand_percentage: 50,
        spot_pools: 1,
        ..Distribution::default()
    };
    let cheapest = Distribution {
        on_demand_strategy: OnDemandStrategy::LowestPrice,
        ..Distribution::default()
    };
    for (distribution, instances, wanted) in [
        // The first has room for two: the third had no alternative, the fourth had one.
        (
            Distribution::default(),
            vec![
                existing("one", OnDemand),
                existing("two", OnDemand),
                existing("two", OnDemand),
            ],
            vec![false, false, true],
        ),
        (
            Distribution::default(),
            vec![
                existing("one", OnDemand),
                existing("one", OnDemand),
                existing("two", OnDemand),
            ],
            vec![false, false, false],
        ),
        (
            cheapest,
            vec![existing("one", OnDemand), existing("two", OnDemand)],
            vec![true, false],
        ),
        // Half of four are on-demand, of the first shape; half are spot, of the cheapest.
        (
            spot_half,
            vec![
                existing("one", OnDemand),
                existing("one", OnDemand),
                existing("one", Spot),
                existing("two", Spot),
            ],
            vec![false, false, true, false],
        ),
        (
            spot_half,
            vec![existing("one", OnDemand), existing("one", OnDemand)],
            vec![false, true],
        ),
        // A shape that is no longer offered.
        (
            Distribution::default(),
            vec![existing("gone", OnDemand)],
            vec![true],
        ),
        (cheapest, vec![], vec![]),
    ] {
        let came = surplus(&instances, &offers(&shapes), &distribution, InUse::new());
        assert_eq!(came, wanted, "{instances:?}");
    }
}

#[test]
fn what_could_not_be_had_otherwise_is_no_surplus() {
    let shapes = [bounded("one", 2.0, 0.5, 2), bounded("two", 1.0, 0.1, 9)];
    let existing = Existing {
        pool: pool("two", OnDemand),
        weight: 1,
    };
    // Others use all there is, so the group's instances had no alternative.
    let taken = InUse::from([(pool("one", OnDemand), 2), (pool("two", OnDemand), 9)]);
    let kept = surplus(&[existing], &offers(&shapes), &Distribution::default(), taken);
    assert_eq!(kept, [false]);
}

fn strategies() -> impl Strategy<Value = Distribution> {
    let spot = prop::sample::select(vec![
        SpotStrategy::LowestPrice,
        SpotStrategy::CapacityOptimized,
        SpotStrategy::CapacityOptimizedPrioritized,
        SpotStrategy::PriceCapacityOptimized,
    ]);
    let on_demand = prop::sample::select(vec![OnDemandStrategy::Prioritized, OnDemandStrategy::LowestPrice]);
    (0_u32..10, 0_u32..=100, on_demand, spot, 1_u32..4).prop_map(
        |(on_demand_base, on_demand_percentage, on_demand_strategy, spot_strategy, spot_pools)| {
            Distribution {
                on_demand_base,
                on_demand_percentage,
                on_demand_strategy,
                spot_strategy,
                spot_pools,
                spot_max_price: None,
            }
        },
    )
}

proptest! {
    /// Each offer is either ranked or skipped, once, and none is ranked without room.
    #[test]
    fn every_offer_is_judged_once(
        rooms in prop::collection::vec((0_u32..5, 1_u32..100), 0..8), distribution in strategies(), is_spot in any::<bool>(),
    ) {
        let shapes: Vec<Shape> = rooms.iter().enumerate().map(|(place, &(room, price))| {
            bounded(&format!("shape {place}"), f64::from(price), f64::from(price) / 2.0, room)
        }).collect();
        let purchase = if is_spot { Spot } else { OnDemand };
        let choice = choose(&offers(&shapes), "a", &distribution, purchase, &InUse::new());
        prop_assert!(choice.ranked.iter().all(|&(place, _)| rooms[place].0 > 0));
        let skipped = choice.skipped.iter().map(|skipped| skipped.0);
        let mut judged: Vec<usize> = places(&choice).into_iter().chain(skipped).collect();
        judged.sort_unstable();
        prop_assert_eq!(judged, (0..shapes.len()).collect::<Vec<_>>());
    }

    /// A plan adds what is missing and overshoots by less than the largest weight; its zones are balanced; its
    /// on-demand part is right to within one instance's weight.
    #[test]
    fn a_plan_fills_and_hardly_overshoots(
        weights in prop::collection::vec((1_u32..9, 1_u32..100), 1..5), missing in 0_u32..60, distribution in strategies(),
    ) {
        let shapes: Vec<Shape> = weights.iter().enumerate().map(|(place, &(_, price))| {
            shape(&format!("shape {place}"), 2, 4096, f64::from(price))
        }).collect();
        let offers: Vec<Offer<'_>> = shapes.iter().zip(&weights).map(|(shape, &(weight, _))| Offer { shape, weight }).collect();
        let zones: Vec<Zone> = ["a", "b", "c"].map(|name| Zone { name: name.to_owned(), instances: 0, is_failing: false }).into();
        let launches = plan(
            &offers, missing, &distribution, zones, ZoneDistribution::BalancedOnly, (Split::default(), InUse::new()),
        );
        let largest = weights.iter().map(|weight| weight.0).max().unwrap();
        let mut split = Split::default();
        let mut zones = [0_u32; 3];
        for launch in &launches {
            split.add(launch.purchase, offers[launch.offer].weight);
            zones[launch.zone] += 1;
        }
        prop_assert!(split.total() >= missing);
        prop_assert!(split.total() < missing + largest);
        prop_assert!(zones.iter().max().unwrap() - zones.iter().min().unwrap() <= 1);
        let wanted = distribution.on_demand_wanted(split.total());
        prop_assert!(split.on_demand.abs_diff(wanted) <= largest);
    }

    /// The strategy never objects to what a plan launches.
    #[test]
    fn what_is_launched_is_no_surplus(
        rooms in prop::collection::vec((0_u32..6, 1_u32..100), 1..5), missing in 0_u32..12, distribution in strategies(),
    ) {
        let shapes: Vec<Shape> = rooms.iter().enumerate().map(|(place, &(room, price))| {
            bounded(&format!("shape {place}"), f64::from(price), f64::from(price) / 2.0, room)
        }).collect();
        let offers = offers(&shapes);
        let zones = vec![Zone { name: "a".to_owned(), instances: 0, is_failing: false }];
        let launches = plan(&offers, missing, &distribution, zones, ZoneDistribution::default(), (Split::default(), InUse::new()));
        let instances: Vec<Existing> = launches.iter().map(|launch| Existing {
            pool: pool(&shapes[launch.offer].name, launch.purchase),
            weight: 1,
        }).collect();
        let verdicts = surplus(&instances, &offers, &distribution, InUse::new());
        prop_assert!(verdicts.iter().all(|is_surplus| !is_surplus), "{:?}", verdicts);
    }
}
