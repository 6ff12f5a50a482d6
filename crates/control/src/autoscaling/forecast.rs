//! Forecasts of predictive scaling policies: the load of the coming hours and the capacity that it needs, and how
//! accurate past forecasts were.

use crate::State;
use crate::api::context::View;
use crate::api::errors::validation;
use crate::autoscaling::lookup::{asked_group, key};
use crate::ports::{Datapoints, Series};
use forebay_awswire::ApiError;
use forebay_scaling::backtest;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub use forebay_scaling::ForecastError;

pub(super) const HOUR: i64 = 3600;
/// How many hours of history are read, as on AWS.
const HISTORY: i64 = 14 * 24;
/// The most hours of a forecast in one answer.
const LONGEST: i64 = 30 * 24;

/// A load: its metric, and the divisor that turns an hour's sum into the load that the target value is given for.
pub(super) struct Load {
    series: Series,
    divisor: f64,
}

impl Load {
    /// Forecasts the load of hours, given by their numbers, from the loads of past hours.
    ///
    /// # Errors
    /// If too little is known about the past.
    pub(super) fn forecast(
        &self,
        history: &BTreeMap<i64, f64>,
        from: i64,
        to: i64,
    ) -> Result<Vec<f64>, String> {
        forebay_scaling::forecast(history, from, to).ok_or_else(|| {
            format!(
                "There are fewer than 24 hours of {} of {}, which a forecast needs.",
                self.series.name, self.series.namespace
            )
        })
    }
}

pub(crate) fn get(view: &View<'_>, datapoints: &dyn Datapoints) -> Result<Value, ApiError> {
    let group = asked_group(view)?;
    let given = &view.request.input;
    let name = given["PolicyName"].as_str().unwrap_or_default();
    let policies = &view.region().scaling_policies;
    let policy = policies
        .get(&key(&group.name, name))
        .filter(|policy| policy.kind == "PredictiveScaling")
        .ok_or_else(|| {
            validation(format!(
                "There is no predictive scaling policy {name} of group {}.",
                group.name
            ))
        })?;
    let hour = |member: &str| (given[member].as_f64().unwrap_or_default() as i64).div_euclid(HOUR);
    let (from, to) = (hour("StartTime"), hour("EndTime"));
    if to <= from || to - from > LONGEST {
        return Err(validation("EndTime must be after StartTime, by 30 days at most."));
    }
    let configuration = &policy.data["PredictiveScalingConfiguration"];
    let specification = &configuration["MetricSpecifications"][0];
    let load = load(view.request.region, specification, &group.name)?;
    let history = history(&load, datapoints, view.request.now);
    let loads = load.forecast(&history, from, to).map_err(validation)?;
    let may_raise = configuration["MaxCapacityBreachBehavior"] == "IncreaseMaxCapacity";
    let most = if may_raise { u32::MAX } else { group.max };
    let needed: Vec<f64> = loads
        .iter()
        .map(|load| f64::from(capacity(*load, specification).clamp(group.min, most)))
        .collect();
    let times: Vec<i64> = (from..to).map(|hour| hour * HOUR).collect();
    Ok(json!({
        "LoadForecast": [{"Timestamps": times, "Values": loads, "MetricSpecification": specification}],
        "CapacityForecast": {"Timestamps": times, "Values": needed},
        "UpdateTime": view.request.now.0 as f64 / 1e6,
    }))
}

/// How far a policy's forecasts would have been from its load in the last 24 known hours. `None` if there is no such
/// policy, or too little is known.
pub fn error(
    state: &State,
    region: &str,
    group: &str,
    policy: &str,
    datapoints: &dyn Datapoints,
    now: Wall,
) -> Option<ForecastError> {
    let policies = &state.existing_region(region)?.scaling_policies;
    let policy = policies.get(&key(group, policy))?;
    let configuration = policy.data.get("PredictiveScalingConfiguration")?;
    let load = load(region, &configuration["MetricSpecifications"][0], group).ok()?;
    backtest(&history(&load, datapoints, now))
}

/// For each of the group's predictive scaling policies, a sentence about its forecast for now and its accuracy.
pub fn told(state: &State, region: &str, group: &str, datapoints: &dyn Datapoints, now: Wall) -> Vec<String> {
    let Some(known) = state.existing_region(region) else {
        return Vec::new();
    };
    let predicted = known.scaling_groups.get(group).map(|group| &group.predicted);
    let policies = known.policies_of(group);
    let of_kind = policies.filter(|policy| policy.kind == "PredictiveScaling");
    of_kind
        .map(|policy| {
            let made = predicted.and_then(|predicted| predicted.get(&policy.name));
            let hour = made.and_then(|made| {
                let past = now.seconds().checked_sub(made.from.seconds())?.div_euclid(HOUR);
                made.capacities.get(usize::try_from(past).ok()?)
            });
            let capacity = match (hour, made.and_then(|made| made.problem.as_ref())) {
                (Some(capacity), _) => format!("this hour needs {capacity}"),
                (None, Some(problem)) => problem.clone(),
                (None, None) => "it only forecasts, and is not a floor".to_owned(),
            };
            let error = error(state, region, group, &policy.name, datapoints, now);
            let error = match error.map(|error| (error.percent, error.bias_percent, error.hours)) {
                Some((Some(percent), Some(bias), hours)) => {
                    format!("its forecasts were wrong by {percent:.1} % on average over {hours} hours, {bias:+.1} % in sum")
                }
                _ => "no forecast of it could be held against what came yet".to_owned(),
            };
            format!("{}: {capacity}; {error}", policy.name)
        })
        .collect()
}

/// Checks that a policy may scale by its forecasts.
pub(super) fn check_scaling(region: &str, group: &str, configuration: &Value) -> Result<(), ApiError> {
    let specification = &configuration["MetricSpecifications"][0];
    load(region, specification, group).map_err(|problem| {
        validation(format!(
            "{} Without that Mode must be ForecastOnly.",
            problem.message
        ))
    })?;
    if specification["TargetValue"]
        .as_f64()
        .is_none_or(|target| target <= 0.0)
    {
        return Err(validation("TargetValue must be greater than 0."));
    }
    if configuration["SchedulingBufferTime"].as_i64() >= Some(HOUR) {
        return Err(validation("SchedulingBufferTime must be less than 3600 seconds."));
    }
    let may_raise = configuration["MaxCapacityBreachBehavior"] == "IncreaseMaxCapacity";
    match (may_raise, configuration.get("MaxCapacityBuffer")) {
        (true, None) => Err(validation(
            "MaxCapacityBuffer is required if MaxCapacityBreachBehavior is IncreaseMaxCapacity.",
        )),
        (false, Some(_)) => Err(validation(
            "MaxCapacityBuffer is valid only if MaxCapacityBreachBehavior is IncreaseMaxCapacity.",
        )),
        _ => Ok(()),
    }
}

/// The capacity that a load needs.
pub(super) fn capacity(load: f64, specification: &Value) -> u32 {
    let target = specification["TargetValue"].as_f64().unwrap_or(f64::NAN);
    // The margin keeps a rounding error from adding an instance. NaN becomes 0.
    (load / target * (1.0 - 1e-9)).ceil() as u32
}

/// The load of a policy's metric specification.
pub(super) fn load(region: &str, specification: &Value, group: &str) -> Result<Load, ApiError> {
    let pair = &specification["PredefinedMetricPairSpecification"];
    let single = &specification["PredefinedLoadMetricSpecification"];
    let given = if pair.is_null() { single } else { pair };
    let of_group = |name: &str, divisor: f64| Load {
        series: Series {
            region: region.to_owned(),
            namespace: "AWS/EC2".to_owned(),
            name: name.to_owned(),
            dimensions: vec![("AutoScalingGroupName".to_owned(), group.to_owned())],
        },
        divisor,
    };
    match given["PredefinedMetricType"].as_str().unwrap_or_default() {
        // There is a datapoint each second for each instance: an hour's sum is 3,600 times the average of all instances
        // together.
        "ASGCPUUtilization" | "ASGTotalCPUUtilization" => Ok(of_group("CPUUtilization", 3600.0)),
        // The target value is for a minute.
        "ASGNetworkIn" | "ASGTotalNetworkIn" => Ok(of_group("NetworkIn", 60.0)),
        "ASGNetworkOut" | "ASGTotalNetworkOut" => Ok(of_group("NetworkOut", 60.0)),
        "ALBRequestCount" | "ALBTargetGroupRequestCount" => {
            let label = given["ResourceLabel"].as_str().unwrap_or_default();
            let Some((balancer, target_group)) = label.split_once("/targetgroup/") else {
                return Err(validation(
                    "ResourceLabel must be app/LOAD-BALANCER-NAME/ID/targetgroup/TARGET-GROUP-NAME/ID.",
                ));
            };
            Ok(Load {
                series: Series {
                    region: region.to_owned(),
                    namespace: "AWS/ApplicationELB".to_owned(),
                    name: "RequestCount".to_owned(),
                    dimensions: vec![
                        ("LoadBalancer".to_owned(), balancer.to_owned()),
                        ("TargetGroup".to_owned(), format!("targetgroup/{target_group}")),
                    ],
                },
                divisor: 60.0,
            })
        }
        _ => Err(validation(
            "Forebay forecasts only predefined metric pairs and predefined load metrics.",
        )),
    }
}

/// Loads of past whole hours, by the hour's number.
pub(super) fn history(load: &Load, datapoints: &dyn Datapoints, now: Wall) -> BTreeMap<i64, f64> {
    let this = now.seconds().div_euclid(HOUR);
    let (from, to) = (this - HISTORY, this);
    let at = |hour: i64| Wall::from_seconds(hour * HOUR);
    let points = datapoints.read(&load.series, at(from), at(to), HOUR as u32, None);
    points
        .into_iter()
        .map(|(at, summary)| (at.seconds().div_euclid(HOUR), summary.sum / load.divisor))
        .collect()
}
