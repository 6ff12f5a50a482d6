//! What one tick costs with 500 planned Auto Scaling groups of four instances each, each group with a target group in which all are healthy;
//! and what a look of all their planners costs.
//!
//! `cargo bench -p forebay-bench --bench settle` prints medians of 100. Bound: 5 ms for both together.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement is for people"
)]

use forebay_awswire::Service;
use forebay_control::autoscaling::planning::planned_groups;
use forebay_control::fleet::{Image, SeenInstance, SeenPhase, WantedPhase};
use forebay_control::{
    Drain, Left, NoDatapoints, NobodyActs, Observations, Ports, Request, State, apply, operate, tick,
};
use forebay_model::{HealthState, TargetHealth};
use forebay_node::Node;
use forebay_scaling::planner::{Demand, Planner};
use forebay_units::{Mono, Rng, Wall};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const REGION: &str = "local-1";
const IMAGE: &str = "ami-0123456789abcdef0";
const GROUPS: usize = 500;
const EACH: usize = 4;
/// Listeners of one load balancer.
const LISTENERS: usize = 50;
const TICKS: usize = 100;

/// A launcher that runs whatever is wanted, and targets that are all healthy. As in the server, each answer takes a lock.
#[derive(Default)]
struct Observed {
    seen: Mutex<HashMap<String, SeenInstance>>,
    healthy: Mutex<HashMap<(String, String, u16), ()>>,
}

impl Observations for Observed {
    fn target_health(&self, group_arn: &str, id: &str, port: u16) -> Option<TargetHealth> {
        let healthy = self.healthy.lock().expect("nobody panics");
        healthy.get(&(group_arn.to_owned(), id.to_owned(), port))?;
        Some(TargetHealth {
            state: HealthState::Healthy,
            reason: None,
        })
    }

    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
        let idle = Left {
            in_flight: 0,
            is_cut: false,
        };
        vec![Some(idle); drains.len()]
    }

    fn instance(&self, id: &str) -> Option<SeenInstance> {
        self.seen.lock().expect("nobody panics").get(id).cloned()
    }

    fn images(&self) -> Vec<Image> {
        vec![Image {
            id: IMAGE.to_owned(),
            name: "app".to_owned(),
            description: String::new(),
            created: Wall(0),
        }]
    }
}

struct Scene {
    state: State,
    observed: Observed,
    rng: Rng,
    now: Wall,
}

impl Scene {
    fn call(&mut self, service: Service, operation: &str, input: Value) -> Value {
        let request = Request {
            service,
            operation,
            region: REGION,
            account: "123456789012",
            input,
            now: self.now,
            caller: "AKID",
            endpoint: "",
            instance: None,
            request_id: "00000000-0000-4000-8000-000000000000",
            is_proven: false,
        };
        let outcome = operate(&self.state, &request, &ports(&self.observed), &mut self.rng);
        let outcome = outcome.unwrap_or_else(|problem| panic!("{operation}: {problem}"));
        if let Some(next) = outcome.next {
            self.state = next;
        }
        outcome.answer
    }

    /// A second passes: what is wanted runs, and what was registered is healthy.
    fn second(&mut self) {
        let before = self.now;
        self.now = before + Duration::from_secs(1);
        let mut seen = self.observed.seen.lock().expect("nobody panics");
        seen.clear();
        for instance in self.state.fleet() {
            if instance.phase == WantedPhase::Running {
                let (run, phase) = (instance.run, SeenPhase::Running);
                seen.insert(instance.id.clone(), SeenInstance { run, phase });
            }
        }
        drop(seen);
        let mut healthy = self.observed.healthy.lock().expect("nobody panics");
        for target in self.state.region(REGION).targets.values() {
            healthy.insert((target.group_arn.clone(), target.id.clone(), target.port), ());
        }
        drop(healthy);
        let ports = ports(&self.observed);
        let commands = tick(&self.state, &ports, before, self.now);
        self.state = apply(&self.state, &commands, &ports, &NobodyActs, self.now);
    }

    /// How many commands a tick has, and how long it and what it leads to take: the median.
    fn measured(&self) -> (usize, Duration) {
        let ports = ports(&self.observed);
        let now = self.now + Duration::from_secs(1);
        let mut commands = 0;
        let mut times: Vec<Duration> = (0..TICKS)
            .map(|_| {
                let began = Instant::now();
                let due = tick(&self.state, &ports, self.now, now);
                if !due.is_empty() {
                    black_box(apply(&self.state, &due, &ports, &NobodyActs, now));
                }
                commands = due.len();
                began.elapsed()
            })
            .collect();
        times.sort();
        (commands, times[TICKS / 2])
    }
}

/// How long a look of all planners takes, each with 100 requests a second of 0.1 s and the counters of a real node: the median.
fn looked(scene: &Scene) -> Duration {
    let mut node = Node::new(2);
    node.apply(Mono::ZERO, &scene.state.blueprint());
    let groups = planned_groups(&scene.state, &[], scene.now);
    assert_eq!(groups.len(), GROUPS);
    let mut planners: Vec<Planner> = groups.iter().map(|_| Planner::new()).collect();
    // Long enough for windows of all lengths.
    let mut times: Vec<Duration> = (0..400)
        .map(|look| {
            let began = Instant::now();
            let now = Mono::from_millis(look * 100);
            for (group, planner) in groups.iter().zip(&mut planners) {
                let demands: Vec<Demand> = group
                    .target_groups
                    .iter()
                    .filter_map(|arn| {
                        let demand = node.demand(arn)?;
                        Some(Demand {
                            name: arn.clone(),
                            arrivals: look * 10,
                            completed: look * 10,
                            held: Duration::from_secs(look),
                            in_flight: 10,
                            waiting: demand.waiting,
                            refused: demand.refused,
                            slots: demand.slots,
                            wait: demand.wait,
                            length: demand.length,
                        })
                    })
                    .collect();
                let plan = planner.plan(now, &demands, &group.fleet(scene.now), &group.settings);
                assert_eq!(plan.flows.len(), 1);
                black_box(plan);
            }
            began.elapsed()
        })
        .skip(300)
        .collect();
    times.sort();
    times[TICKS / 2]
}

fn ports(observed: &Observed) -> Ports<'_> {
    Ports {
        observations: observed,
        datapoints: &NoDatapoints,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// All groups, with their instances in service and healthy.
fn scene() -> Scene {
    let mut scene = Scene {
        state: State::new(REGION, "127.64.0.0/10".parse().expect("a network")),
        observed: Observed::default(),
        rng: Rng::named(1, "ids"),
        now: Wall::from_seconds(1_700_000_000),
    };
    let region = scene.state.region(REGION);
    let vpc = region.vpcs.keys().next().expect("a default VPC").clone();
    let subnets: Vec<String> = region.subnets.keys().cloned().collect();
    let configuration =
        json!({"LaunchConfigurationName": "lc", "ImageId": IMAGE, "InstanceType": "m5.large"});
    scene.call(Service::AutoScaling, "CreateLaunchConfiguration", configuration);
    let mut balancer = String::new();
    for place in 0..GROUPS {
        if place % LISTENERS == 0 {
            let input = json!({"Name": format!("lb{place}"), "Subnets": subnets});
            let made = scene.call(Service::Elbv2, "CreateLoadBalancer", input);
            balancer = text(&made["LoadBalancers"][0]["LoadBalancerArn"]);
        }
        let input = json!({"Name": format!("t{place}"), "Protocol": "HTTP", "Port": 80, "VpcId": vpc,
            "Tags": [{"Key": "forebay:concurrency", "Value": "8"}, {"Key": "forebay:queue-length", "Value": "100"}]});
        let made = scene.call(Service::Elbv2, "CreateTargetGroup", input);
        let arn = text(&made["TargetGroups"][0]["TargetGroupArn"]);
        let listener = json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 1000 + place % LISTENERS,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": arn}]});
        scene.call(Service::Elbv2, "CreateListener", listener);
        let input = json!({"AutoScalingGroupName": format!("g{place}"), "LaunchConfigurationName": "lc", "MinSize": 0,
            "MaxSize": 2 * EACH, "DesiredCapacity": EACH, "VPCZoneIdentifier": subnets.join(","),
            "TargetGroupARNs": [arn], "HealthCheckType": "ELB", "HealthCheckGracePeriod": 0,
            "Tags": [{"Key": "forebay:planner", "Value": "on"}]});
        scene.call(Service::AutoScaling, "CreateAutoScalingGroup", input);
    }
    for _ in 0..20 {
        scene.second();
    }
    let ready = |scene: &Scene| {
        let region = scene.state.region(REGION);
        let members = region.members.values();
        members.filter(|member| member.ready.is_some()).count()
    };
    assert_eq!(ready(&scene), GROUPS * EACH, "all instances can be counted on");
    scene
}

fn main() {
    let began = Instant::now();
    let scene = scene();
    println!(
        "{GROUPS} groups of {EACH} instances, made in {:?}",
        began.elapsed()
    );
    let (commands, took) = scene.measured();
    assert_eq!(commands, 0, "there is nothing to do");
    println!("a tick with nothing to do: {took:?}");
    println!("a look of all planners: {:?}", looked(&scene));
    let mut seen = scene.observed.seen.lock().expect("nobody panics");
    let one = seen.values_mut().next().expect("an instance");
    one.phase = SeenPhase::Stopped { why: String::new() };
    drop(seen);
    let (commands, took) = scene.measured();
    assert_eq!(commands, 1, "one region has something to do");
    println!("a tick in which an instance has ended, and its replacement: {took:?}");
}
