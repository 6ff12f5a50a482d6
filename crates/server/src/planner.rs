//! Asks each planned group's planner for the capacity it needs, 13 times a second and whenever a request had to wait or was
//! refused, and has its orders carried out.

use crate::fleet::Instances;
use crate::orders::{costs_text, order};
use forebay_control::State;
use forebay_control::autoscaling::forecast;
use forebay_control::autoscaling::planning::{PlannedCapacity, PlannedGroup, planned_groups};
use forebay_gateway::{SharedPorts, Writer};
use forebay_node::{Coming, ResponseTimes};
use forebay_proxy::{Clock, DataPlane};
use forebay_scaling::planner::{Demand, Plan, Planner, Verdict};
use forebay_telemetry::PlannerMetrics;
use forebay_units::Mono;
use forebay_units::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Interval between looks without pressure, chosen so that an order is durable within 100 ms after it becomes necessary;
/// and the shortest interval.
const LOOK: Duration = Duration::from_millis(75);
const LEAST: Duration = Duration::from_millis(20);
/// Forecasts are read again after this time.
const FORECASTS: Duration = Duration::from_secs(10);
/// Pause after an order that could not be carried out.
const PAUSE: Duration = Duration::from_secs(1);

/// The last plans, to be shown.
#[derive(Default)]
pub(crate) struct Plans {
    plans: Mutex<Vec<PlannerMetrics>>,
    looks: ResponseTimes,
    orders: ResponseTimes,
}

impl Plans {
    /// Each planned group's last plan.
    pub(crate) fn all(&self) -> Vec<PlannerMetrics> {
        let plans = lock(&self.plans);
        plans.clone()
    }

    /// Times from when an order became necessary until it was durable.
    pub(crate) fn orders(&self) -> &ResponseTimes {
        &self.orders
    }

    /// Times that looks took, without their orders.
    pub(crate) fn looks(&self) -> &ResponseTimes {
        &self.looks
    }
}

/// What planning works with.
struct Planning {
    plane: Arc<DataPlane>,
    writer: Writer,
    clock: Clock,
    instances: Arc<Instances>,
    ports: SharedPorts,
    plans: Arc<Plans>,
}

/// Since when a request has waited or been refused that no look has seen.
#[derive(Default)]
struct Pressed {
    notify: Notify,
    since: Mutex<Option<Instant>>,
}

impl Pressed {
    fn tell(&self) {
        let mut since = lock(&self.since);
        since.get_or_insert_with(Instant::now);
        drop(since);
        self.notify.notify_one();
    }

    fn take(&self) -> Option<Instant> {
        lock(&self.since).take()
    }
}

/// A planner and what it has ordered.
#[derive(Default)]
struct Known {
    planner: Planner,
    orders: u64,
    releases: u64,
    /// The forecasts of predictive scaling policies, and when they were read.
    forecasts: Option<(Instant, Vec<String>)>,
}

type Key = (String, String);

struct Planners {
    planning: Planning,
    known: BTreeMap<Key, Known>,
    state: Option<Arc<State>>,
    groups: Vec<PlannedGroup>,
    /// Healthy targets of planned groups at the last look.
    healthy: usize,
}

/// Starts to plan the capacity of groups that ask for it. Returns the last plans and the task.
pub(crate) fn start(
    plane: &Arc<DataPlane>,
    writer: &Writer,
    clock: Clock,
    instances: &Arc<Instances>,
    ports: SharedPorts,
) -> (Arc<Plans>, tokio::task::JoinHandle<()>) {
    let plans = Arc::new(Plans::default());
    let running = tokio::spawn(run(Planning {
        plane: Arc::clone(plane),
        writer: writer.clone(),
        clock,
        instances: Arc::clone(instances),
        ports,
        plans: Arc::clone(&plans),
    }));
    (plans, running)
}

/// Plans until the process ends.
async fn run(planning: Planning) {
    let pressed = Arc::new(Pressed::default());
    let pressure = planning.plane.with_node(|node| node.pressure().clone());
    let told = Arc::clone(&pressed);
    pressure.on(Box::new(move || told.tell()));
    let mut last = Instant::now();
    let mut planners = Planners {
        planning,
        known: BTreeMap::new(),
        state: None,
        groups: Vec::new(),
        healthy: 0,
    };
    loop {
        let next = tokio::time::sleep_until((last + LOOK).into());
        tokio::select! {
            () = next => {}
            () = pressed.notify.notified() => {}
        }
        // Before the look: pressure that comes during it then wakes the next one.
        pressure.seen();
        // Without pressure, the change came at some time since the last look.
        let since = pressed.take().unwrap_or(last);
        last = Instant::now();
        let orders = planners.look();
        if !orders.is_empty() {
            let planning = &planners.planning;
            if order(&planning.writer, &planning.ports, orders).await {
                planners.planning.plans.orders.record(since.elapsed());
            } else {
                // While nothing can be stored, every look would order the same again.
                tokio::time::sleep(PAUSE).await;
            }
        }
        // Under constant pressure, looks would otherwise follow each other without a pause.
        tokio::time::sleep_until((last + LEAST).into()).await;
    }
}

impl Planners {
    /// Looks at all groups; returns the orders.
    fn look(&mut self) -> Vec<PlannedCapacity> {
        let began = Instant::now();
        let state = self.planning.writer.state();
        if !self
            .state
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &state))
        {
            self.take(state);
        }
        if self.groups.is_empty() {
            return Vec::new();
        }
        let (now, wall) = (self.planning.clock.now(), self.planning.clock.wall());
        let demands = self.demands();
        let (mut orders, mut plans, mut comings) = (Vec::new(), Vec::new(), Vec::new());
        for (group, demands) in self.groups.iter().zip(&demands) {
            let key = (group.region.clone(), group.name.clone());
            let known = self.known.entry(key).or_default();
            let plan = known
                .planner
                .plan(now, demands, &group.fleet(wall), &group.settings);
            if !group.is_dry_run && plan.desired != group.fleet.desired {
                orders.push(PlannedCapacity {
                    region: group.region.clone(),
                    group: group.name.clone(),
                    desired: plan.desired,
                    cause: plan.cause(),
                });
                *match plan.verdict {
                    Verdict::Release => &mut known.releases,
                    _ => &mut known.orders,
                } += 1;
            }
            comings.push(plan.coming());
            plans.push(told(group, plan, known));
        }
        self.expect(now, &comings, &plans);
        let shown = &self.planning.plans;
        *lock(&shown.plans) = plans;
        shown.looks.record(began.elapsed());
        orders
    }

    /// Tells gates which capacity is on its way, so that they do not refuse requests that will be served in time.
    fn expect(&self, now: Mono, comings: &[Option<(Duration, u32)>], plans: &[PlannerMetrics]) {
        self.planning.plane.with_node(|node| {
            for ((group, coming), plan) in self.groups.iter().zip(comings).zip(plans) {
                // A dry run orders nothing, so gates must not let requests wait for it.
                let coming = coming.filter(|_| !group.is_dry_run);
                for arn in &group.target_groups {
                    let flow = plan.plan.flows.iter().find(|flow| flow.name == name_of(arn));
                    let slots = flow.and_then(|flow| flow.slots);
                    let coming = coming.zip(slots).map(|((after, units), each)| Coming {
                        at: now + after,
                        slots: f64::from(units) * each,
                    });
                    node.expect(arn, coming);
                }
            }
        });
    }

    /// Finds the planned groups of a new state.
    fn take(&mut self, state: Arc<State>) {
        self.groups = planned_groups(
            &state,
            &self.planning.ports.observations.shapes(),
            self.planning.clock.wall(),
        );
        let names: BTreeSet<Key> = self
            .groups
            .iter()
            .map(|group| (group.region.clone(), group.name.clone()))
            .collect();
        self.known.retain(|key, _| names.contains(key));
        self.ask_forecasts(&state);
        self.state = Some(state);
        // A look without groups returns before it replaces the plans.
        if self.groups.is_empty() {
            let plans = &self.planning.plans.plans;
            lock(plans).clear();
        }
    }

    /// Reads the forecasts of predictive scaling policies, where they may have changed.
    fn ask_forecasts(&mut self, state: &State) {
        let wall = self.planning.clock.wall();
        for group in &self.groups {
            let key = (group.region.clone(), group.name.clone());
            let known = self.known.entry(key).or_default();
            if known
                .forecasts
                .as_ref()
                .is_none_or(|(asked, _)| asked.elapsed() >= FORECASTS)
            {
                let datapoints = &*self.planning.ports.datapoints;
                let told = forecast::told(state, &group.region, &group.name, datapoints, wall);
                known.forecasts = Some((Instant::now(), told));
            }
        }
    }

    /// The demand on each group's target groups. When the number of healthy targets changes, the instances are looked at
    /// again.
    fn demands(&mut self) -> Vec<Vec<Demand>> {
        let mut healthy = 0;
        let demands = self.planning.plane.with_node(|node| {
            let of = |group: &PlannedGroup, healthy: &mut usize| {
                let found = group.target_groups.iter().filter_map(|arn| {
                    let demand = node.demand(arn)?;
                    *healthy += demand.healthy;
                    Some(Demand {
                        name: name_of(arn).to_owned(),
                        arrivals: demand.arrivals,
                        completed: demand.completed,
                        held: demand.held,
                        refused: demand.refused,
                        in_flight: demand.in_flight,
                        waiting: demand.waiting,
                        slots: group.in_flight.or(demand.slots),
                        wait: demand.wait,
                        length: demand.length,
                    })
                });
                found.collect()
            };
            self.groups.iter().map(|group| of(group, &mut healthy)).collect()
        });
        if healthy != self.healthy {
            self.healthy = healthy;
            self.planning.instances.look();
        }
        demands
    }
}

/// The name of a target group, from its ARN.
fn name_of(arn: &str) -> &str {
    arn.rsplit('/').nth(1).unwrap_or(arn)
}

fn told(group: &PlannedGroup, plan: Plan, known: &Known) -> PlannerMetrics {
    let costs = group.costs.map(|costs| costs_text(costs, group.fleet.maximum));
    PlannerMetrics {
        region: group.region.clone(),
        group: group.name.clone(),
        is_dry_run: group.is_dry_run,
        costs,
        forecasts: known
            .forecasts
            .as_ref()
            .map_or_else(Vec::new, |(_, told)| told.clone()),
        plan,
        orders: known.orders,
        releases: known.releases,
    }
}
