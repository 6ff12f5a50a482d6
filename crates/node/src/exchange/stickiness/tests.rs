use super::*;
use crate::exchange::tests::pictured;
use crate::{CookieValue, Outcome, Speaks, Step, TargetView, ZoneId};
use forebay_model::{ForwardStickiness, GroupSettings};
use forebay_routing::Facts;
use forebay_units::Mono;
use proptest::prelude::*;
use std::sync::Arc;

struct Brought(Vec<String>);

impl Headers for Brought {
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        name == "cookie" && self.0.iter().any(|line| visit(line.as_bytes()))
    }
}

const START: i64 = 1_800_000_000;

struct World {
    snapshot: Arc<Snapshot>,
    worker: WorkerState,
    wall: Wall,
}

impl World {
    fn new(groups: &[(&str, u8)], stickiness: Stickiness, group: ForwardStickiness) -> World {
        let settings = GroupSettings {
            stickiness,
            ..GroupSettings::default()
        };
        let snapshot = pictured(groups, &settings, group);
        let mut worker = WorkerState::new(0, 7);
        worker.forget(&snapshot);
        World {
            snapshot,
            worker,
            wall: Wall::from_seconds(START),
        }
    }

    fn balancer(targets: u8) -> World {
        let by_balancer = Stickiness::Balancer { seconds: 100 };
        World::new(&[("group", targets)], by_balancer, ForwardStickiness::default())
    }

    fn begin(&mut self, cookies: &[String]) -> (Exchange, Step) {
        let request = Request {
            facts: Facts {
                method: b"GET",
                host: b"a",
                path: b"/",
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &Brought(cookies.to_vec()),
            },
            protocol: "http",
            zone: ZoneId::default(),
            speaks: Speaks::Http1,
            wall: self.wall,
            upgrade: false,
            rule_path: None,
        };
        let listener = &self.snapshot.listeners[0];
        Exchange::begin(Mono::ZERO, &request, listener, &self.snapshot, &mut self.worker)
    }

    /// Serves a request; returns its target and the cookies of its answer. `sets` is a cookie that the answer sets.
    fn serve(&mut self, cookies: &[String], sets: &str) -> (Arc<TargetView>, Cookies) {
        let (mut exchange, step) = self.begin(cookies);
        let Step::Send { target, .. } = step else {
            panic!("{step:?}")
        };
        let listener = &self.snapshot.listeners[0];
        let at = Mono::ZERO;
        exchange.on(
            at,
            Outcome::Answered(200),
            listener,
            &self.snapshot,
            &mut self.worker,
        );
        let brought = exchange.cookies(self.wall, listener, &self.snapshot, &mut self.worker, |name| {
            name == sets
        });
        exchange.settle(at, None, listener, &mut self.worker);
        (target, brought)
    }

    fn non_sticky(&self) -> u64 {
        let stats = &self.snapshot.listeners[0].balancer.stats;
        stats
            .iter()
            .map(|stats| stats.non_sticky.load(core::sync::atomic::Ordering::Relaxed))
            .sum()
    }

    fn guard(&mut self, seconds: i64) {
        self.wall = Wall::from_seconds(self.wall.seconds() + seconds);
    }
}

fn line(name: &str, value: CookieValue) -> String {
    format!("{name}={}", String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn a_client_stays_with_its_target() {
    let mut world = World::balancer(5);
    let (first, cookies) = world.serve(&[], "");
    assert!(cookies.target.is_some() && cookies.app.is_none() && cookies.group.is_none());
    let mut brought = vec!["other=1".to_owned(), line("x=y; AWSALB", cookies.target.unwrap())];
    for _ in 0..50 {
        world.guard(99);
        let (target, cookies) = world.serve(&brought, "");
        assert_eq!(target.address, first.address);
        // Each answer sets a new cookie, which starts a new term.
        brought = vec![line("AWSALBCORS", cookies.target.unwrap())];
    }
    assert_eq!(world.non_sticky(), 1);
    world.guard(100);
    let elsewhere = (0..5)
        .filter(|_| world.serve(&brought, "").0.address != first.address)
        .count();
    assert_eq!(elsewhere, 4, "round robin goes on once the cookie is too old");
    assert_eq!(world.non_sticky(), 6);
}

#[test]
fn cors_goes_first_and_what_is_forged_is_replaced() {
    let mut world = World::balancer(5);
    let (first, cookies) = world.serve(&[], "");
    let (second, others) = world.serve(&[], "");
    assert_ne!(first.address, second.address);
    let both = [
        line("AWSALB", cookies.target.unwrap()),
        line("AWSALBCORS", others.target.unwrap()),
    ];
    assert_eq!(world.serve(&both, "").0.address, second.address);
    let mut forged = cookies.target.unwrap();
    forged[60] ^= 1;
    for value in [
        line("AWSALB", forged),
        "AWSALB=".into(),
        "AWSALB".into(),
        format!("AWSALB={}", "A".repeat(500)),
    ] {
        let (_, cookies) = world.serve(&[value], "");
        assert!(cookies.target.is_some());
    }
    assert_eq!(world.non_sticky(), 6);
    // Cookies sealed with another deployment's secret mean nothing here.
    let mut other = World::balancer(5);
    other.worker.keys = forebay_balance::Keys::new(forebay_model::Secret([9; 32]));
    let (_, foreign) = other.serve(&[], "");
    let before = world.non_sticky();
    world.serve(&[line("AWSALB", foreign.target.unwrap())], "");
    assert_eq!(world.non_sticky(), before + 1);
}

#[test]
fn a_target_that_refuses_is_left_and_its_successor_kept() {
    let mut world = World::balancer(3);
    let (first, cookies) = world.serve(&[], "");
    let brought = [line("AWSALB", cookies.target.unwrap())];
    let (mut exchange, step) = world.begin(&brought);
    assert!(matches!(step, Step::Send { target, .. } if target.address == first.address));
    let listener = &world.snapshot.listeners[0];
    let refused = Outcome::NotConnected(crate::ConnectError::Refused);
    let step = exchange.on(Mono::ZERO, refused, listener, &world.snapshot, &mut world.worker);
    let Step::Send { target, .. } = step else {
        panic!("{step:?}")
    };
    assert_ne!(target.address, first.address);
    let cookies = exchange.cookies(world.wall, listener, &world.snapshot, &mut world.worker, |_| {
        false
    });
    drop(exchange);
    let (next, _) = world.serve(&[line("AWSALB", cookies.target.unwrap())], "");
    assert_eq!(next.address, target.address);
}

#[test]
fn an_application_cookie_begins_the_session() {
    let app = Stickiness::App {
        cookie: "session".into(),
        seconds: 100,
    };
    let mut world = World::new(&[("group", 5)], app, ForwardStickiness::default());
    assert_eq!(world.serve(&[], "other").1, Cookies::default());
    let (first, cookies) = world.serve(&[], "session");
    let ours = line("AWSALBAPP-0", cookies.app.unwrap());
    assert!(cookies.target.is_none());
    let both = [format!("session=1; {ours}")];
    for _ in 0..10 {
        let (target, cookies) = world.serve(&both, "");
        assert_eq!((target.address, cookies), (first.address, Cookies::default()));
    }
    // Without the application's own cookie the session is over.
    let away = (0..5).filter(|_| world.serve(core::slice::from_ref(&ours), "").0.address != first.address);
    assert!(away.count() >= 3);
    // Its target is gone: the answer names its new one.
    let (mut exchange, _) = world.begin(&both);
    let listener = &world.snapshot.listeners[0];
    let refused = Outcome::NotConnected(crate::ConnectError::Refused);
    exchange.on(Mono::ZERO, refused, listener, &world.snapshot, &mut world.worker);
    let cookies = exchange.cookies(world.wall, listener, &world.snapshot, &mut world.worker, |_| {
        false
    });
    assert!(cookies.app.is_some());
}

#[test]
fn a_client_stays_with_its_group() {
    let keeps = ForwardStickiness {
        enabled: true,
        duration_seconds: Some(100),
    };
    let arns = [
        "targetgroup/blue/0123456789abcdef",
        "targetgroup/green/fedcba9876543210",
    ];
    let mut world = World::new(&[(arns[0], 2), (arns[1], 2)], Stickiness::Off, keeps);
    let net = |target: &TargetView| match target.address.map(|address| address.ip()) {
        Some(core::net::IpAddr::V4(ip)) => ip.octets()[2],
        _ => panic!(),
    };
    let (first, cookies) = world.serve(&[], "");
    assert!(cookies.target.is_none());
    let brought = [line("AWSALBTG", cookies.group.unwrap())];
    assert!((0..50).all(|_| net(&world.serve(&brought, "").0) == net(&first)));
    let without = (0..50)
        .filter(|_| net(&world.serve(&[], "").0) == net(&first))
        .count();
    assert!((10..40).contains(&without), "{without}");
    // A group's cookie says nothing about targets, and vice versa.
    let mut other = World::balancer(2);
    other.serve(&[line("AWSALB", cookies.group.unwrap())], "");
    assert_eq!(other.non_sticky(), 1);
}

#[test]
fn an_overloaded_target_is_left() {
    let settings = GroupSettings {
        stickiness: Stickiness::Balancer { seconds: 100 },
        sticky_ceiling_percent: 150,
        ..GroupSettings::default()
    };
    let snapshot = pictured(&[("group", 4)], &settings, ForwardStickiness::default());
    let mut world = World::balancer(4);
    world.snapshot = snapshot;
    let (first, cookies) = world.serve(&[], "");
    let brought = [line("AWSALB", cookies.target.unwrap())];
    let open: Vec<_> = (0..20)
        .map(|_| {
            let (exchange, step) = world.begin(&brought);
            let Step::Send { target, .. } = step else {
                panic!("{step:?}")
            };
            (exchange, target.address == first.address)
        })
        .collect();
    let own = first.stats.load();
    // 20 requests on 4 targets: at most one above 1.5 times the mean of 5.
    assert!((2..=8).contains(&own), "{own}");
    assert!(open.iter().any(|entry| !entry.1));
    drop(open);
    assert_eq!(first.stats.load(), 0);
}

proptest! {
    #[test]
    fn no_cookie_leads_to_a_target_that_gets_no_traffic(eligible in proptest::collection::btree_set(0_u32..6, 1..6), wanted in 0_usize..6) {
        let mut world = World::balancer(6);
        let mut cookies = Vec::new();
        for _ in 0..6 {
            let (target, brought) = world.serve(&[], "");
            cookies.push((target.address, line("AWSALB", brought.target.unwrap())));
        }
        let snapshot = Arc::get_mut(&mut world.snapshot).unwrap();
        let group = Arc::get_mut(&mut snapshot.groups[0]).unwrap();
        group.eligible.targets = eligible.iter().copied().collect();
        let healthy: Vec<_> = eligible.iter().map(|&index| group.targets[index as usize].address).collect();
        let (address, cookie) = cookies[wanted].clone();
        let (chosen, _) = world.serve(&[cookie], "");
        prop_assert!(healthy.contains(&chosen.address));
        prop_assert!(!healthy.contains(&address) || chosen.address == address);
    }
}
