//! Finds what is due for the groups and instances of all regions, by time or by what has been observed.

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

/// Regions with something to do for instances or groups.
pub(crate) fn due(state: &State, ports: &Ports<'_>, now: Wall) -> Vec<String> {
    let names = state
        .regions()
        .filter(|(_, region)| !region.scaling_groups.is_empty() || !region.instances.is_empty());
    names
        .filter(|(name, region)| {
            // The first change suffices to know that something is due.
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

/// The state after everything that is due for a region's instances and groups; `None` if nothing is. Random choices are
/// derived from the state, so the result is the same each time.
pub(crate) fn settled(state: &State, region_name: &str, ports: &Ports<'_>, now: Wall) -> Option<State> {
    settled_where(state, region_name, ports, now, |tx, group| {
        needs_settling(tx, group)
    })
}

/// Like [`settled`], for the groups that `needs` selects.
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

/// The state after Auto Scaling has acted on its own in a region; `None` if nothing changed. Random choices are derived
/// from the state and `stream`.
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
        request_id: "",
    };
    let mut rng = state.drawn(stream);
    let mut tx = Tx::new(View::new(&request, observations, state), &mut rng);
    act(&mut tx);
    tx.next()
}
