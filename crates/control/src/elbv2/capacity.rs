//! Capacity reservations: stored and described as they are. Nodes do not scale yet, so a reservation is provisioned at
//! once.

use crate::api::context::{Tx, View};
use crate::api::errors::{not_permitted, validation};
use crate::elbv2::records::{BalancerKind, Capacity, LoadBalancer};
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde::Deserialize;
use serde_json::{Value, json};

/// The smallest and the largest reservation of an application load balancer.
const APPLICATION_UNITS: (i64, i64) = (100, 15_000);
/// The smallest and the largest reservation of a network load balancer, for each of its zones.
const NETWORK_UNITS: (i64, i64) = (2750, 45_000);
/// How often a reservation may be decreased in a day.
const DECREASES: usize = 2;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UnitsInput {
    capacity_units: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CapacityInput {
    #[serde(default)]
    load_balancer_arn: String,
    minimum_load_balancer_capacity: Option<UnitsInput>,
    #[serde(default)]
    reset_capacity_reservation: bool,
}

pub(crate) fn modify_capacity_reservation(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: CapacityInput = tx.input()?;
    let mut balancer = (**tx.region().balancer(&input.load_balancer_arn)?).clone();
    let (least, most) = bounds(tx, &balancer)?;
    let given = input
        .minimum_load_balancer_capacity
        .and_then(|minimum| minimum.capacity_units);
    let units = match (given, input.reset_capacity_reservation) {
        (Some(_), true) => {
            return Err(validation(
                "MinimumLoadBalancerCapacity and ResetCapacityReservation cannot be specified at the same time",
            ));
        }
        (None, false) => {
            return Err(validation(
                "Either MinimumLoadBalancerCapacity or ResetCapacityReservation must be specified",
            ));
        }
        (None, true) => None,
        (Some(units), false) if units > most => {
            let text = format!("The capacity of the load balancer cannot be more than {most} units");
            return Err(ApiError::sender("CapacityUnitsLimitExceeded", text));
        }
        (Some(units), false) => match u32::try_from(units) {
            Ok(units) if i64::from(units) >= least => Some(units),
            _ => {
                return Err(validation(format!("The capacity must be at least {least} units")));
            }
        },
    };
    let mut capacity = balancer.capacity.take().unwrap_or_default();
    capacity.forget(tx.request.now);
    // Giving up a reservation does not count as a decrease.
    if let (Some(units), Some(before)) = (units, capacity.units)
        && units < before
    {
        if capacity.decreases.len() >= DECREASES {
            let text = format!("Capacity can be decreased {DECREASES} times a day");
            return Err(ApiError::sender("CapacityDecreaseRequestLimitExceeded", text));
        }
        capacity.decreases.push(tx.request.now);
    }
    capacity.units = units;
    capacity.modified = tx.request.now;
    balancer.capacity = Some(capacity);
    let answer = value(&balancer, tx.request.now);
    tx.put_balancer(balancer);
    Ok(answer)
}

/// The smallest and the largest reservation that the load balancer may have.
fn bounds(view: &View<'_>, balancer: &LoadBalancer) -> Result<(i64, i64), ApiError> {
    match balancer.kind {
        BalancerKind::Application => Ok(APPLICATION_UNITS),
        BalancerKind::Network => {
            let listeners = view.region().listeners_of(&balancer.arn);
            if listeners
                .iter()
                .any(|listener| listener.protocol.as_deref() == Some("TLS"))
            {
                return Err(not_permitted(
                    "Capacity cannot be reserved for network load balancers with TLS listeners",
                ));
            }
            let zones = balancer.zones.len() as i64;
            Ok((NETWORK_UNITS.0 * zones, NETWORK_UNITS.1 * zones))
        }
        BalancerKind::Gateway => Err(not_permitted(
            "Capacity can be reserved only for application and network load balancers",
        )),
    }
}

pub(crate) fn describe_capacity_reservation(view: &View<'_>) -> Result<Value, ApiError> {
    let input: CapacityInput = view.input()?;
    let balancer = view.region().balancer(&input.load_balancer_arn)?;
    Ok(value(balancer, view.request.now))
}

impl Capacity {
    fn forget(&mut self, now: Wall) {
        self.decreases.retain(|&when| now.since(when) < DAY);
    }
}

fn value(balancer: &LoadBalancer, now: Wall) -> Value {
    let mut capacity = balancer.capacity.clone().unwrap_or_default();
    capacity.forget(now);
    let mut value = json!({"DecreaseRequestsRemaining": DECREASES.saturating_sub(capacity.decreases.len())});
    if balancer.capacity.is_some() {
        value["LastModifiedTime"] = json!(capacity.modified.0 as f64 / 1e6);
    }
    let mut states = Vec::new();
    if let Some(units) = capacity.units {
        value["MinimumLoadBalancerCapacity"] = json!({"CapacityUnits": units});
        for zone in &balancer.zones {
            states.push(json!({
                "AvailabilityZone": zone.zone,
                "State": {"Code": "provisioned"},
                "EffectiveCapacityUnits": f64::from(units) / balancer.zones.len() as f64,
            }));
        }
    }
    value["CapacityReservationState"] = Value::Array(states);
    value
}
