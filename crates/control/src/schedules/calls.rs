//! A run's call: what it is, how it is carried out, and what the run becomes. If the call is an operation on the state,
//! its change and the end of the run are one commit, so neither exists without the other. Other calls bypass the writer
//! and may be repeated after a crash; a message's id is derived from the run, so the log recognizes the repetition
//! (docs/decisions/0044).

use super::due::settle;
use super::events::{event, execution_id, input, is_of_rule, time};
use super::records::{RunPhase, ScheduledRun};
use super::targets::retry_policy;
use super::universal::{Universal, universal};
use crate::api::arns::account_of;
use crate::api::context::{OperationSpec, Request};
use crate::ids::uuid;
use crate::lambda::{Event, by_arn};
use crate::messages::{Asked, MessageOrder, MessageOutcome};
use crate::operate::{find, find_any};
use crate::ports::Ports;
use crate::state::State;
use core::time::Duration;
use forebay_awswire::{ApiError, Service};
use forebay_queues::{Letter, MessageId};
use forebay_schedules::{Attempt, FailureKind, NextStep};
use forebay_units::{Rng, Wall};
use serde_json::{Value, json};
use std::sync::Arc;

/// The caller of scheduled calls.
const CALLER: &str = "forebay-scheduler";

/// Pause before a dead letter is sent again.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(10);

/// How long after its beginning a run's dead letter is tried, beyond the longest time for retries.
const DEAD_LETTER_AGE: Duration = Duration::from_secs(2 * 86_400);

/// How a due run is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// By [`carry_out`], as a change of the state.
    Write,
    /// By [`ask`] outside the writer, and then [`finish`].
    Ask,
    /// By [`put`] outside the writer, and then [`finish`].
    Put,
}

/// The operation that a run calls.
struct Calls<'a> {
    service: Service,
    operation: &'static OperationSpec,
    region: &'a str,
    input: Value,
}

/// Up to `most` runs that are due: the region, the key, and how to carry each out. Those under way are left out.
pub fn doing(
    state: &State,
    now: Wall,
    most: usize,
    is_under_way: impl Fn(&str, &str) -> bool + Copy,
) -> Vec<(String, String, Doing)> {
    let all = state.regions().flat_map(|(name, region)| {
        let due = region.scheduled_runs.iter().filter(move |(key, run)| {
            let (RunPhase::Due { at, .. } | RunPhase::DeadLetter { at, .. }) = &run.phase else {
                return false;
            };
            *at <= now && !is_under_way(name, key)
        });
        due.map(move |(key, run)| (name, key, run))
    });
    // What is due is found first, and only then how: that takes longer.
    all.take(most)
        .map(|(name, key, run)| (name.to_owned(), key.clone(), how(run)))
        .collect()
}

fn how(run: &ScheduledRun) -> Doing {
    if matches!(run.phase, RunPhase::DeadLetter { .. }) {
        return Doing::Ask;
    }
    match universal(&run.target.arn, find_any) {
        Some(Ok(Universal { operation, .. })) if operation.changes_state() => Doing::Write,
        Some(Ok(Universal { operation, .. })) if !operation.asks_messages() => Doing::Put,
        // A target that cannot be called goes the same way, and fails there.
        _ => Doing::Ask,
    }
}

fn run_of<'a>(state: &'a State, region: &str, key: &str) -> Option<&'a Arc<ScheduledRun>> {
    state.existing_region(region)?.scheduled_runs.get(key)
}

/// The operation that a run calls. Functions are invoked otherwise.
fn calls<'a>(run: &'a ScheduledRun, region: &'a str) -> Result<Calls<'a>, ApiError> {
    let (service, operation, input) = match (&run.phase, universal(&run.target.arn, find_any)) {
        (
            RunPhase::DeadLetter {
                code, why, condition, ..
            },
            _,
        ) => (
            Service::Sqs,
            find(Service::Sqs, "SendMessage"),
            dead_letter(run, code, why, condition.as_deref()),
        ),
        (_, Some(found)) => {
            let found = found.map_err(|why| ApiError::sender("ValidationException", why))?;
            let given = if run.target.input.is_some() {
                input(run)
            } else {
                "{}".to_owned()
            };
            let given: Value = serde_json::from_str(&given).unwrap_or(Value::Null);
            let mut input = forebay_awswire::input_of(found.service, found.operation.name(), &given)?;
            if found.operation.name() == "Invoke" && input["InvocationType"] != "DryRun" {
                // Nobody waits for the answer, and only an event is given to a function once.
                input["InvocationType"] = json!("Event");
            }
            (found.service, Some(found.operation), input)
        }
        (_, None) => (Service::Sqs, find(Service::Sqs, "SendMessage"), to_queue(run)),
    };
    let operation =
        operation.ok_or_else(|| ApiError::sender("ValidationException", "There is no such operation."))?;
    Ok(Calls {
        service,
        operation,
        region,
        input,
    })
}

/// SendMessage's input for a target that is a queue.
fn to_queue(run: &ScheduledRun) -> Value {
    let mut message = json!({"QueueUrl": url(&run.target.arn), "MessageBody": input(run)});
    if let Some(group) = &run.target.message_group {
        message["MessageGroupId"] = json!(group);
        message["MessageDeduplicationId"] = json!(execution_id(run));
    }
    message
}

fn url(arn: &str) -> String {
    format!(
        "/{}/{}",
        account_of(arn),
        arn.rsplit(':').next().unwrap_or_default()
    )
}

fn dead_letter(run: &ScheduledRun, code: &str, why: &str, condition: Option<&str>) -> Value {
    let text = |text: &str| json!({"DataType": "String", "StringValue": text});
    let mut attributes = json!({
        "ERROR_CODE": text(code),
        "ERROR_MESSAGE": text(if why.is_empty() { "-" } else { why }),
        "TARGET_ARN": text(&run.target.arn),
        "RETRY_ATTEMPTS": text(&run.failures.saturating_sub(1).to_string()),
    });
    if let Some(condition) = condition {
        attributes["EXHAUSTED_RETRY_CONDITION"] = text(condition);
    }
    let body = if is_of_rule(run) {
        attributes["RULE_ARN"] = text(&run.schedule);
        event(run, true).to_string()
    } else {
        attributes["SCHEDULE_ARN"] = text(&run.schedule);
        attributes["SCHEDULED_TIME"] = text(&time(run));
        attributes["EXECUTION_ID"] = text(&execution_id(run));
        attributes["IS_PAYLOAD_TRUNCATED"] = text("false");
        if run.target.arn.starts_with("arn:aws:sqs:") {
            to_queue(run).to_string()
        } else {
            input(run)
        }
    };
    json!({
        "QueueUrl": url(run.target.dead_letter.as_deref().unwrap_or_default()),
        "MessageBody": body,
        "MessageAttributes": attributes,
    })
}

impl Calls<'_> {
    fn with_request<T>(
        self,
        run: &ScheduledRun,
        now: Wall,
        call: impl FnOnce(&OperationSpec, &Request<'_>) -> T,
    ) -> T {
        let operation = self.operation;
        call(
            operation,
            &Request {
                service: self.service,
                operation: operation.name(),
                region: self.region,
                account: account_of(&run.schedule),
                input: self.input,
                now,
                caller: CALLER,
                endpoint: "",
                instance: None,
                is_proven: false,
                request_id: "",
            },
        )
    }
}

/// The state after a run that changes the state; the run has ended or is retried later. `None` if the run does not
/// exist any more.
pub fn carry_out(state: &State, region: &str, key: &str, ports: &Ports<'_>, now: Wall) -> Option<State> {
    let run = run_of(state, region, key)?;
    let mut rng = state.drawn(key);
    let done = calls(run, region).and_then(|calls| {
        calls.with_request(run, now, |operation, request| {
            operation.run(state, request, ports, &mut rng)
        })
    });
    match done {
        Ok(outcome) => {
            // The end of the run is recorded in the operation's result, so both are one commit. With two, a crash in
            // between would repeat the operation.
            let next = outcome.next.unwrap_or_else(|| state.clone());
            // The operation may have deleted its own schedule.
            Some(finish(&next, region, key, Ok(()), now).unwrap_or(next))
        }
        Err(error) => finish(state, region, key, Err(&error), now),
    }
}

/// What a run asks for outside the writer. `None` if the run does not exist any more.
pub fn ask(
    state: &State,
    region: &str,
    key: &str,
    ports: &Ports<'_>,
    now: Wall,
) -> Option<Result<Asked, ApiError>> {
    let run = run_of(state, region, key)?;
    // Derived from the run alone, so the message has the same id whenever it is sent.
    let mut rng = Rng::named(state.stable_seed(), key);
    let is_dead = matches!(run.phase, RunPhase::DeadLetter { .. });
    if run.target.arn.contains(":function:") && !is_dead {
        return Some(invocation(state, region, run, now));
    }
    Some(calls(run, region).and_then(|calls| {
        let asked = calls.with_request(run, now, |operation, request| {
            operation.ask(state, request, ports.observations, &mut rng)
        })?;
        // The operation has drawn a random id. It is replaced by the run's own: the log remembers such ids and does not
        // add a message twice.
        Ok(match asked {
            Asked::Order(MessageOrder::Send { queue, letters }, answer) => {
                let marked = letters.into_iter().enumerate().map(|(place, letter)| Letter {
                    id: id_of(state, run, place),
                    ..letter
                });
                Asked::Order(
                    MessageOrder::Send {
                        queue,
                        letters: marked.collect(),
                    },
                    answer,
                )
            }
            other => other,
        })
    }))
}

/// The id of a run's message, always the same: of the message at this place, if the run sends a batch. A dead letter is another message
/// than the run's own.
fn id_of(state: &State, run: &ScheduledRun, place: usize) -> MessageId {
    let phase = if matches!(run.phase, RunPhase::DeadLetter { .. }) {
        "dead"
    } else {
        "run"
    };
    let place = match place {
        // Without a number: ids of single messages stay what they were, so a run that was sent before an upgrade is known after it.
        0 => String::new(),
        place => format!(" {place}"),
    };
    let mut rng = Rng::named(state.stable_seed(), &format!("{phase} {}{place}", run.key()));
    let drawn = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    MessageId::naming(drawn)
}

/// An event is put into the function's own queue, as by an invocation of type Event.
fn invocation(state: &State, region: &str, run: &ScheduledRun, now: Wall) -> Result<Asked, ApiError> {
    let function = state
        .existing_region(region)
        .and_then(|region| by_arn(region, &run.target.arn));
    let Some(function) = function else {
        let text = format!("Function not found: {}", run.target.arn);
        return Err(ApiError::sender("ResourceNotFoundException", text).with_status(404));
    };
    let event = Event {
        // The same if the run is sent again: it is one event.
        id: uuid(&mut Rng::named(
            state.stable_seed(),
            &format!("event {}", run.key()),
        )),
        attempt: 0,
        sent: now,
        trace: None,
        sender: Some(run.schedule.clone()),
        payload: input(run).into_bytes(),
    };
    let letter = Letter {
        id: id_of(state, run, 0),
        group: None,
        deduplication: None,
        delay: None,
        body: event.bytes(),
    };
    let order = MessageOrder::Send {
        queue: function.events,
        letters: vec![letter],
    };
    Ok(Asked::order(order, |outcome| match outcome {
        MessageOutcome::Sent(sent) => match sent.into_iter().next() {
            Some(Ok(_)) => Ok(Value::Null),
            _ => Err(ApiError::receiver(
                500,
                "ServiceException",
                "There is no room for more events.",
            )),
        },
        other => Err(other.unexpected()),
    }))
}

/// Carries out a run that puts datapoints. `None` if the run does not exist any more.
pub fn put(
    state: &State,
    region: &str,
    key: &str,
    ports: &Ports<'_>,
    now: Wall,
) -> Option<Result<Value, ApiError>> {
    let run = run_of(state, region, key)?;
    let mut rng = Rng::named(0, key);
    Some(calls(run, region).and_then(|calls| {
        let done = calls.with_request(run, now, |operation, request| {
            operation.run(state, request, ports, &mut rng)
        });
        done.map(|outcome| outcome.answer)
    }))
}

/// The state after a run's call: the run has ended, or is retried later. `None` if the run does not exist any more.
pub fn finish(
    state: &State,
    region: &str,
    key: &str,
    result: Result<(), &ApiError>,
    now: Wall,
) -> Option<State> {
    let run = run_of(state, region, key)?;
    let mut changed = (**run).clone();
    changed.phase = match (result, &run.phase) {
        (Ok(()), RunPhase::DeadLetter { code, why, .. }) => RunPhase::Done {
            at: now,
            why: Some(format!("{code}: {why}")),
        },
        (Ok(()), _) => RunPhase::Done { at: now, why: None },
        (Err(error), RunPhase::DeadLetter { .. }) if passes(error) && now < given_up(run) => {
            let mut phase = run.phase.clone();
            if let RunPhase::DeadLetter { at, .. } = &mut phase {
                *at = now + DEAD_LETTER_RETRY;
            }
            phase
        }
        (Err(error), RunPhase::DeadLetter { why, .. }) => RunPhase::Done {
            at: now,
            why: Some(format!(
                "{why} (and sending it to the dead-letter queue failed: {})",
                error.message
            )),
        },
        (Err(error), _) => {
            changed.failures += 1;
            failed(state, run, error, now)
        }
    };
    let arn = changed.schedule.clone();
    let mut next = state.clone();
    let into = next.region_mut(region);
    let is_done = matches!(changed.phase, RunPhase::Done { .. });
    if is_done && (changed.target.input.is_some() || changed.target.transformer.is_some()) {
        // An input may be large, and the history holds twenty runs of each schedule.
        let target = Arc::make_mut(&mut changed.target);
        (target.input, target.transformer) = (None, None);
    }
    let changed = Arc::new(changed);
    if is_done {
        into.scheduled_runs.remove(key);
        into.ended_runs.insert(key.to_owned(), changed);
    } else {
        into.scheduled_runs.insert(key.to_owned(), changed);
    }
    settle(into, &arn);
    next.grow();
    Some(next)
}

/// Whether the same call may succeed later.
fn passes(error: &ApiError) -> bool {
    error.status >= 500 || error.status == 429 || error.code.contains("Throttl")
}

/// When a dead letter that cannot be sent is given up.
fn given_up(run: &ScheduledRun) -> Wall {
    run.begun + DEAD_LETTER_AGE
}

fn failed(state: &State, run: &ScheduledRun, error: &ApiError, now: Wall) -> RunPhase {
    let attempt = Attempt {
        retries: run.failures,
        begun: run.begun,
        kind: if passes(error) {
            FailureKind::Passing
        } else {
            FailureKind::Lasting
        },
    };
    let policy = retry_policy(&run.target).unwrap_or_default();
    match policy.after_failure(attempt, now, &mut state.drawn(&run.schedule)) {
        NextStep::Retry { at, .. } => RunPhase::Due {
            at,
            why: Some(format!("{}: {}", error.code, error.message)),
        },
        NextStep::DeadLetter(exhausted) if run.target.dead_letter.is_some() => RunPhase::DeadLetter {
            code: error.code.clone(),
            why: error.message.clone(),
            condition: exhausted.condition().map(str::to_owned),
            at: now,
        },
        NextStep::DeadLetter(_) => RunPhase::Done {
            at: now,
            why: Some(format!("{}: {}", error.code, error.message)),
        },
    }
}
