//! What is due by time, or by what has been seen, for the groups and the instances of all regions.

use crate::State;
use crate::api::arns::account_of;
use crate::api::context::{Request, Tx, View};
use crate::autoscaling::needs::needs_settling;
use crate::autoscaling::records::Group;
use crate::autoscaling::{predictive, schedules, settle};
use crate::ec2::lifecycle::observe;
use crate::ports::Observations;
use crate::ports::Ports;
use forebay_awswire::Service;
use forebay_units::Wall;
use serde_json::Value;

/// Regions in which something is to be done for instances or groups.
pub(crate) fn due(state: &State, ports: &Ports<'_>, now: Wall) -> Vec<String> {
    let names = state
        .regions()
        .filter(|(_, region)| !region.scaling_groups.is_empty() || !region.instances.is_empty());
    names
        .filter(|(name, region)| {
            // The first change is enough to know.
            let settled = || {
                settled_where(state, name, ports, now, |tx, group| {
                    !tx.has_changed() && needs_settling(tx, group)
                })
            };
            predictive::is_due(region, now) || settled().is_some()
        })
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The state after whatever is to be done for a region's instances and groups; none if there is nothing. What is random about it follows
/// from the state, so that it is the same each time it is asked.
pub(crate) fn settled(state: &State, region_name: &str, ports: &Ports<'_>, now: Wall) -> Option<State> {
    settled_where(state, region_name, ports, now, |tx, group| {
        needs_settling(tx, group)
    })
}

/// The same, with only those groups settled of which `needs` says so.
pub(super) fn settled_where(
    state: &State,
    region_name: &str,
    ports: &Ports<'_>,
    now: Wall,
    needs: impl Fn(&Tx<'_>, &Group) -> bool,
) -> Option<State> {
    let region = state.existing_region(region_name)?;
    acting(state, region_name, ports.observations, now, "due", |tx| {
        observe(tx);
        predictive::renew(tx, ports.datapoints);
        for name in region.scaling_groups.keys() {
            let group = tx.region().scaling_groups.get(name);
            if group.is_some_and(|group| needs(tx, group)) {
                schedules::run_due(tx, name);
                settle::settle(tx, name);
            }
        }
    })
}

/// The state after Auto Scaling has done something of its own accord in a region; none if nothing has changed. What is random about it
/// follows from the state and `stream`.
pub(super) fn acting(
    state: &State,
    region_name: &str,
    observations: &dyn Observations,
    now: Wall,
    stream: &str,
    act: impl FnOnce(&mut Tx<'_>),
) -> Option<State> {
    let region = state.existing_region(region_name)?;
    let first = region.scaling_groups.values().next();
    let account = first.map_or_else(String::new, |group| account_of(&group.arn).to_owned());
    let request = Request {
        service: Service::AutoScaling,
        operation: "",
        region: region_name,
        account: &account,
        input: Value::Null,
        now,
        caller: "autoscaling",
        endpoint: "",
        instance: None,
        is_proven: false,
    };
    let mut rng = state.drawn(stream);
    let mut tx = Tx::new(View::new(&request, observations, state), &mut rng);
    act(&mut tx);
    tx.next()
}
