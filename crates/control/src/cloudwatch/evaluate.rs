//! Evaluation of alarms over time: which are due, their new state, and the resulting changes. Called once a second, it
//! only computes from each alarm's name whether the alarm is due.

use crate::cloudwatch::changes::{AlarmCommand, is_scaling};
use crate::cloudwatch::composite::verdicts;
use crate::cloudwatch::metric::series;
use crate::cloudwatch::queries::Evaluation;
use crate::cloudwatch::records::{Alarm, MetricRule, Source, Watches};
use crate::ports::Datapoints;
use crate::state::State;
use crate::tables::Region;
use forebay_awswire::timestamp;
use forebay_signals::Statistic;
use forebay_signals::alarm::{self, Reason};
use forebay_signals::math::Value as Came;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// How often an alarm is evaluated, in seconds, and the offset within that period. The offset leaves time for
/// measurements to arrive, and spreads alarms so that not all are evaluated at once.
fn schedule(rule: &MetricRule, name: &str) -> (i64, i64) {
    // FNV-1a. Any hash that spreads names will do, as long as it never changes.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let (spread, period) = ((hash % 20) as i64, i64::from(rule.period()));
    if period * i64::from(rule.evaluation_periods) > DAY {
        (HOUR, 5 + spread)
    } else if period < MINUTE {
        (10, 2 + spread / 5)
    } else {
        (MINUTE, 5 + spread)
    }
}

fn is_due(rule: &MetricRule, name: &str, before: Wall, now: Wall) -> bool {
    let (step, offset) = schedule(rule, name);
    // Comparing numbers of turns instead of times makes a late tick evaluate once, however many turns it has missed.
    let turn = |at: Wall| (at.seconds() - offset).div_euclid(step);
    turn(now) > turn(before)
}

/// The changes of alarms that became due since `before`, up to `now`.
pub(crate) fn due(state: &State, datapoints: &dyn Datapoints, before: Wall, now: Wall) -> Vec<AlarmCommand> {
    let mut commands = Vec::new();
    for (name, region) in state.regions() {
        if !region.alarms.is_empty() {
            due_in(name, region, datapoints, before, now, &mut commands);
        }
    }
    commands
}

fn due_in(
    region_name: &str,
    region: &Region,
    datapoints: &dyn Datapoints,
    before: Wall,
    now: Wall,
    commands: &mut Vec<AlarmCommand>,
) {
    let (mut changed, mut composites) = (BTreeMap::new(), false);
    let named = |alarm: &Alarm| (region_name.to_owned(), alarm.name.clone());
    for alarm in region.alarms.values() {
        if alarm.actions_due {
            let (region, alarm_name) = named(alarm);
            commands.push(AlarmCommand::RunActions { region, alarm_name });
        }
        let rule = match &alarm.watches {
            Watches::Metric(rule) => rule,
            Watches::Composite(_) => {
                composites = true;
                continue;
            }
        };
        if !is_due(rule, &alarm.name, before, now) {
            continue;
        }
        let (verdict, newest) = evaluate(region_name, alarm, rule, datapoints, now);
        match verdict {
            Some(verdict) => {
                changed.insert(alarm.name.clone(), verdict.state);
                commands.push(verdict.command(region_name, &alarm.name, newest));
            }
            // Scaling continues as long as the state persists.
            None if alarm.actions_enabled && alarm.actions(alarm.state).iter().any(|arn| is_scaling(arn)) => {
                let (region, alarm_name) = named(alarm);
                commands.push(AlarmCommand::RepeatScaling {
                    region,
                    alarm_name,
                    newest,
                });
            }
            None => {}
        }
    }
    if composites {
        commands.extend(
            verdicts(region, changed)
                .into_iter()
                .map(|verdict| AlarmCommand::SetState {
                    region: region_name.to_owned(),
                    alarm_name: verdict.name,
                    state: verdict.state,
                    reason: verdict.reason,
                    reason_data: verdict.data,
                    newest: None,
                }),
        );
    }
}

/// A metric alarm's new state, and the reason.
struct Verdict {
    state: alarm::State,
    reason: String,
    data: Value,
}

impl Verdict {
    fn command(self, region: &str, alarm_name: &str, newest: Option<f64>) -> AlarmCommand {
        AlarmCommand::SetState {
            region: region.to_owned(),
            alarm_name: alarm_name.to_owned(),
            state: self.state,
            reason: self.reason,
            reason_data: self.data.to_string(),
            newest,
        }
    }
}

/// An alarm's new state, `None` if it stays; and the newest value in the evaluation.
fn evaluate(
    region: &str,
    alarm: &Alarm,
    rule: &MetricRule,
    datapoints: &dyn Datapoints,
    now: Wall,
) -> (Option<Verdict>, Option<f64>) {
    let Some(decides) = rule.rule() else {
        return (None, None);
    };
    let period = i64::from(rule.period());
    // Periods end with the last whole minute, or if they are shorter, with the last whole period.
    let step = period.min(MINUTE);
    let to = now.seconds().div_euclid(step) * step;
    let periods = decides.range(rule.period()) as i64;
    let from = to - periods * period;
    let points = match points(region, rule, datapoints, from, to) {
        Ok(points) => points,
        Err(problem) => {
            let state = alarm::State::InsufficientData;
            let verdict = (alarm.state != state).then(|| Verdict {
                state,
                reason: format!("Insufficient Data: {problem}"),
                data: json!({"version": "1.0", "queryDate": dated(now.seconds())}),
            });
            return (verdict, None);
        }
    };
    let range: Vec<Option<f64>> = (0..periods)
        .map(|place| points.get(&(from + place * period)).copied())
        .collect();
    let newest = range.iter().rev().find_map(|point| *point);
    let evaluation = decides.evaluate(&range, alarm.state);
    if evaluation.state == alarm.state {
        return (None, newest);
    }
    let times = range.iter().zip(0..);
    let told: Vec<(Option<f64>, String)> = times
        .map(|(point, place)| (*point, short(from + place * period)))
        .collect();
    let reason = Reason {
        rule: &decides,
        evaluation: &evaluation,
        range: &told,
        before: alarm.state,
    };
    let evaluated = evaluation.evaluated.iter().rev();
    let evaluated: Vec<(i64, f64)> = evaluated
        .filter_map(|&place| Some((from + place as i64 * period, (*range.get(place)?)?)))
        .collect();
    let verdict = Verdict {
        state: evaluation.state,
        reason: reason.to_string(),
        data: reason_data(rule, &evaluated, now),
    };
    (Some(verdict), newest)
}

/// Values by the second at which their period begins.
fn points(
    region: &str,
    rule: &MetricRule,
    datapoints: &dyn Datapoints,
    from: i64,
    to: i64,
) -> Result<BTreeMap<i64, f64>, String> {
    let (from, to) = (Wall::from_seconds(from), Wall::from_seconds(to));
    let queries = match &rule.source {
        Source::Queries(queries) => queries,
        Source::Stat(stat) => {
            let statistic = stat
                .stat
                .parse::<Statistic>()
                .map_err(|error| error.to_string())?;
            let series = series(&stat.metric, region);
            let read = datapoints.read(&series, from, to, stat.period, stat.unit.as_deref());
            let values = read.into_iter();
            return Ok(values
                .filter_map(|(at, summary)| Some((at.seconds(), statistic.of(&summary)?)))
                .collect());
        }
    };
    let returned = queries.iter().find(|query| query.returns());
    let id = returned.map_or("", |query| query.id.as_str());
    match Evaluation::new(queries, region, datapoints, from, to).value(id)? {
        Came::Series(series) => Ok(series.points),
        Came::Many(mut all) if all.len() == 1 => Ok(all.swap_remove(0).series.points),
        Came::Many(all) => Err(format!(
            "the expression comes to {} series, and must come to one",
            all.len()
        )),
        Came::Number(_) => Err("the expression comes to a number, and must come to a series".to_owned()),
    }
}

/// AWS's reason data: the newest point first.
fn reason_data(rule: &MetricRule, evaluated: &[(i64, f64)], now: Wall) -> Value {
    let values: Vec<f64> = evaluated.iter().map(|point| point.1).collect();
    let points = evaluated.iter();
    let points: Vec<Value> = points
        .map(|(at, value)| json!({"timestamp": dated(*at), "value": value}))
        .collect();
    let mut data = json!({
        "version": "1.0",
        "queryDate": dated(now.seconds()),
        "period": rule.period(),
        "recentDatapoints": values.into_iter().rev().collect::<Vec<f64>>(),
        "threshold": rule.threshold,
        "evaluatedDatapoints": points,
    });
    if let Some((oldest, _)) = evaluated.last() {
        data["startDate"] = json!(dated(*oldest));
    }
    if let Source::Stat(stat) = &rule.source {
        data["statistic"] = json!(stat.stat);
    }
    data
}

/// A time such as `2026-11-29T01:05:10.000+0000`.
fn dated(seconds: i64) -> String {
    timestamp(seconds as f64).replace('Z', "+0000")
}

/// A time as in AWS's reasons: `29/11/26 01:05:10`.
fn short(seconds: i64) -> String {
    let text = timestamp(seconds as f64);
    let part = |range: core::ops::Range<usize>| text.get(range).unwrap_or_default();
    format!("{}/{}/{} {}", part(8..10), part(5..7), part(2..4), part(11..19))
}
