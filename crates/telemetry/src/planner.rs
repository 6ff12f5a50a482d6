//! The planner page: why groups planned by their load or by a backlog have the capacity that they have.

use crate::backlog::{self, BacklogMetrics};
use crate::metrics::PlannerMetrics;
use crate::text::text;
use bytes::Bytes;
use forebay_scaling::planner::{FlowPlan, Plan};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// All planned groups as JSON, or the one that `?group=` names (percent-encoded).
pub(crate) fn page(
    request: &Request<Incoming>,
    planners: &[PlannerMetrics],
    backlogs: &[BacklogMetrics],
) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default();
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("group="));
    let wanted = wanted.map(decoded);
    let is_wanted = |name: &String| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let planned = planners.iter().filter(|planner| is_wanted(&planner.group));
    let by_backlog = backlogs.iter().filter(|backlog| is_wanted(&backlog.group));
    let found: Vec<Value> = planned.map(group).chain(by_backlog.map(backlog::group)).collect();
    let page = json!({"groups": found, "names": names(planners, backlogs)});
    text(StatusCode::OK, "application/json", format!("{page:#}\n"))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| core::str::from_utf8(hex).ok());
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn names<'p>(planners: &'p [PlannerMetrics], backlogs: &'p [BacklogMetrics]) -> Vec<&'p str> {
    let planned = planners.iter().map(|planner| &*planner.group);
    planned
        .chain(backlogs.iter().map(|backlog| &*backlog.group))
        .collect()
}

fn group(planner: &PlannerMetrics) -> Value {
    let Plan {
        fleet,
        verdict,
        desired,
        needed,
        greatest,
        hold,
        lead,
        spare,
        flows,
    } = &planner.plan;
    json!({
        "group": planner.group,
        "region": planner.region,
        "dry_run": planner.is_dry_run,
        "costs": planner.costs,
        "forecasts": planner.forecasts,
        "orders": planner.orders,
        "releases": planner.releases,
        "desired": fleet.desired,
        "ready": fleet.ready,
        "pending_seconds": fleet.pending.iter().map(core::time::Duration::as_secs_f64).collect::<Vec<_>>(),
        "minimum": fleet.minimum,
        "maximum": fleet.maximum,
        "start_up_seconds": fleet.start_up.map(|time| time.as_secs_f64()),
        "verdict": verdict.text(),
        "order": desired,
        "needed": needed,
        "greatest_need": greatest,
        "hold_seconds": hold.as_secs_f64(),
        "lead_seconds": lead.as_secs_f64(),
        "spare": spare,
        "target_groups": flows.iter().map(flow).collect::<Vec<_>>(),
        "text": planner.plan.explain(),
    })
}

fn flow(flow: &FlowPlan) -> Value {
    json!({
        "name": flow.name,
        "in_flight": flow.in_flight,
        "waiting": flow.waiting,
        "refused": flow.refused,
        "arrivals_per_second": flow.rate.per_second,
        "slope_per_second": flow.rate.slope,
        "window_seconds": flow.rate.window,
        "service_seconds": flow.service_time,
        "load_slots": flow.load,
        "load_ahead_slots": flow.load_ahead,
        "headroom_slots": flow.headroom,
        "backlog_slots": flow.backlog,
        "deadline_slots": flow.deadline,
        "needed_slots": flow.needed_slots,
        "slots_of_one": flow.slots,
        "longest_wait_seconds": flow.longest_wait,
        "margin_wait_seconds": flow.margins.wait,
        "margin_queue": flow.margins.queue,
        "margin_slots": flow.margins.slots,
        "forecast_error": flow.forecast_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use forebay_scaling::planner::{Demand, Fleet, Planner, Settings};
    use forebay_units::Mono;

    #[test]
    fn names_are_decoded() {
        assert_eq!(decoded("a%20b%2Fc"), "a b/c");
        assert_eq!(decoded("50%"), "50%");
        assert_eq!(decoded("%zz"), "%zz");
    }

    #[test]
    fn a_group_is_told_in_figures_and_in_words() {
        let demand = Demand {
            name: "web".to_owned(),
            slots: Some(2.0),
            waiting: 3,
            ..Demand::default()
        };
        let fleet = Fleet {
            maximum: 9,
            start_up: Some(Duration::from_secs(3)),
            ..Fleet::default()
        };
        let plan = Planner::new().plan(Mono::ZERO, &[demand], &fleet, &Settings::default());
        let told = group(&PlannerMetrics {
            region: "local-1".to_owned(),
            group: "g".to_owned(),
            is_dry_run: false,
            costs: None,
            forecasts: Vec::new(),
            plan,
            orders: 1,
            releases: 0,
        });
        assert_eq!((&told["order"], &told["needed"]), (&json!(2), &json!(2)));
        assert_eq!(told["target_groups"][0]["waiting"], 3);
        let text = told["text"].as_str().unwrap();
        assert!(
            text.contains("0 -> 2: more is ordered") && text.contains("target group  web"),
            "{text}"
        );
    }
}
