use super::*;
use crate::ids::ZoneId;
use crate::{Event, Node, Output, ProbeResult};
use core::sync::atomic::Ordering::Relaxed;
use forebay_model::*;
use forebay_routing::Headers;
use forebay_units::Wall;

pub(super) struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

/// A snapshot with `targets` healthy targets behind a default forward.
fn snapshot(targets: u8) -> Arc<Snapshot> {
    pictured(
        &[("group", targets)],
        &GroupSettings::default(),
        ForwardStickiness::default(),
    )
}

/// A snapshot with one group per given number of healthy targets, each behind a default forward.
pub(super) fn pictured(
    groups: &[(&str, u8)],
    settings: &GroupSettings,
    stickiness: ForwardStickiness,
) -> Arc<Snapshot> {
    let group = |arn: &str, targets: u8, net: u8| GroupBlueprint {
        settings: settings.clone(),
        ..fixtures::group(arn, fixtures::targets(net, targets))
    };
    let forward = Action::Forward(Forward {
        groups: groups
            .iter()
            .map(|&(arn, _)| WeightedGroup {
                group_arn: arn.into(),
                weight: 1,
            })
            .collect(),
        stickiness,
    });
    let refuses = Action::Unsupported {
        kind: "authenticate-oidc".into(),
        raw: "{}".into(),
    };
    let rule = |priority, conditions, action| RuleBlueprint {
        conditions,
        ..fixtures::rule(priority, action)
    };
    let login = Condition::PathPattern(TextMatch::Wildcards(vec!["/login".into()]));
    let slow = Condition::PathPattern(TextMatch::Wildcards(vec!["/slow".into()]));
    let rewrite = Rewrite {
        regex: "(.{0,90}){0,90}x".into(),
        replace: "/".into(),
    };
    let rewrites = RuleBlueprint {
        transforms: vec![Transform::Url(vec![rewrite])],
        ..rule(Priority::At(2), vec![slow], forward.clone())
    };
    let rules = vec![
        rule(Priority::At(1), vec![login], refuses),
        rewrites,
        rule(Priority::Default, vec![], forward),
    ];
    let balancer = fixtures::balancer("balancer", fixtures::listener("listener", rules));
    let mut node = Node::new(1);
    node.apply(
        Mono::ZERO,
        &Blueprint {
            generation: 1,
            balancers: vec![Arc::new(balancer)],
            groups: (0..)
                .zip(groups)
                .map(|(net, &(arn, targets))| Arc::new(group(arn, targets, net)))
                .collect(),
            secret: Secret([7; 32]),
            ..Blueprint::default()
        },
    );
    node.handle_deadline(Mono::ZERO);
    let mut latest = None;
    while let Some(output) = node.poll_output() {
        match output {
            Output::Publish(snapshot) => latest = Some(snapshot),
            Output::Probe(order) => {
                node.handle(
                    Mono::ZERO,
                    Event::Probed {
                        target: order.target,
                        result: ProbeResult::Answered(200),
                    },
                );
            }
            Output::ProbeFunction(_)
            | Output::Drained { .. }
            | Output::Weighed { .. }
            | Output::Channels(_) => {}
        }
    }
    latest.unwrap()
}

struct Case {
    snapshot: Arc<Snapshot>,
    worker: WorkerState,
    exchange: Exchange,
}

impl Case {
    fn begin(targets: u8, method: &str, path: &str) -> (Case, Step) {
        let snapshot = snapshot(targets);
        let mut worker = WorkerState::new(0, 1);
        let request = Request {
            facts: Facts {
                method: method.as_bytes(),
                host: b"a.b",
                path: path.as_bytes(),
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone: ZoneId(0),
            speaks: Speaks::Http1,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        };
        let (exchange, step) = Exchange::begin(
            Mono::ZERO,
            &request,
            &snapshot.listeners[0],
            &snapshot,
            &mut worker,
        );
        (
            Case {
                snapshot,
                worker,
                exchange,
            },
            step,
        )
    }

    fn on(&mut self, ms: u64, outcome: Outcome) -> Step {
        self.exchange.on(
            Mono::from_millis(ms),
            outcome,
            &self.snapshot.listeners[0],
            &self.snapshot,
            &mut self.worker,
        )
    }

    fn in_flight(&self) -> u32 {
        self.snapshot.groups[0]
            .targets
            .iter()
            .map(|target| target.stats.in_flight.load(Relaxed))
            .sum()
    }
}

fn died(reused: bool, sent: Sent, replayable: bool) -> Outcome {
    Outcome::Died(Death {
        reused,
        sent,
        replayable,
    })
}

fn status(step: Step) -> Option<u16> {
    if let Step::Answer(answer) = step {
        Some(answer.status)
    } else {
        None
    }
}

fn is_sent_again(step: &Step) -> bool {
    matches!(
        step,
        Step::Send {
            reuse: Reuse::Never,
            ..
        }
    )
}

#[test]
fn who_may_be_sent_again() {
    // Method, reused, sent, replayable, after ms: is it sent again?
    let cases = [
        ("GET", true, Sent::Some, true, 5, true),
        ("HEAD", true, Sent::Some, true, 5, true),
        ("GET", false, Sent::Some, true, 5, false),
        ("GET", true, Sent::Some, false, 5, false),
        ("GET", true, Sent::Some, true, 5000, false),
        ("GET", true, Sent::Nothing, true, 5000, true),
        ("POST", true, Sent::Some, true, 5, false),
        ("PUT", true, Sent::Some, true, 5, false),
        ("POST", true, Sent::Nothing, true, 5, true),
        ("POST", true, Sent::Nothing, false, 5, false),
    ];
    for case @ (method, reused, sent, replayable, ms, again) in cases {
        let (mut run, _) = Case::begin(2, method, "/");
        let step = run.on(ms, died(reused, sent, replayable));
        assert_eq!(is_sent_again(&step), again, "{case:?}");
        if !again {
            assert_eq!(status(step), Some(502), "{case:?}");
        }
    }
}

/// A connection's first request, and any with a body, used to be answered 502.
#[test]
fn what_was_not_processed_goes_elsewhere_whatever_it_asks_for() {
    for reused in [true, false] {
        let (mut run, first) = Case::begin(2, "POST", "/");
        let Step::Send { target: first, .. } = first else {
            panic!("{first:?}")
        };
        let mut seen = vec![first.id];
        for attempt in 2..=5 {
            let step = run.on(5, died(reused, Sent::Unprocessed, true));
            let Step::Send { target, .. } = step else {
                panic!("{step:?} after {attempt}")
            };
            seen.push(target.id);
            assert_eq!(run.in_flight(), 1);
        }
        assert_ne!(seen[0], seen[1], "another target, if there is one");
        assert_eq!(
            status(run.on(5, died(reused, Sent::Unprocessed, true))),
            Some(502)
        );
        let (mut run, _) = Case::begin(2, "POST", "/");
        assert_eq!(
            status(run.on(5, died(reused, Sent::Unprocessed, false))),
            Some(502),
            "not at hand any more"
        );
    }
}

#[test]
fn a_refused_request_tries_each_target_once() {
    let (mut run, step) = Case::begin(3, "POST", "/");
    let Step::Send {
        target,
        reuse: Reuse::Careful,
    } = step
    else {
        panic!("{step:?}")
    };
    let mut seen = vec![target.id];
    for _ in 0..2 {
        let Step::Send { target, .. } = run.on(1, Outcome::NotConnected(ConnectError::Refused)) else {
            panic!("no retry")
        };
        assert!(!seen.contains(&target.id));
        seen.push(target.id);
        assert_eq!(run.in_flight(), 1);
    }
    assert_eq!(
        status(run.on(1, Outcome::NotConnected(ConnectError::Refused))),
        Some(502)
    );
    assert_eq!(run.in_flight(), 0);
}

#[test]
fn failures_have_albs_statuses() {
    let failed = |outcome| {
        let (mut run, _) = Case::begin(1, "GET", "/");
        status(run.on(1, outcome))
    };
    assert_eq!(failed(Outcome::NotConnected(ConnectError::TimedOut)), Some(504));
    assert_eq!(
        failed(Outcome::NotConnected(ConnectError::OutOfResources)),
        Some(503)
    );
    assert_eq!(failed(Outcome::Failed(Reason::TargetSilent)), Some(504));
    assert_eq!(failed(Outcome::Failed(Reason::BadAnswer)), Some(502));
    assert_eq!(failed(Outcome::Failed(Reason::DeregistrationOver)), Some(502));
    assert_eq!(status(Case::begin(0, "GET", "/").1), Some(503));
    assert_eq!(
        status(Case::begin(1, "GET", "/login").1),
        Some(500),
        "what can't be carried out lets nothing through"
    );
    // A path of 16 KB took 2.75 s in this case.
    let (slow, step) = Case::begin(1, "GET", "/slow");
    assert_eq!(status(step), Some(500));
    let transform = slow.exchange.record.transform;
    assert_eq!(
        transform,
        Some(Err(forebay_routing::TransformError::CompileTooBig))
    );
}

#[test]
fn an_answer_that_has_begun_is_never_replaced() {
    let (mut run, _) = Case::begin(1, "GET", "/");
    assert!(matches!(run.on(1, Outcome::Answered(200)), Step::Relay));
    assert!(matches!(
        run.on(2, Outcome::Failed(Reason::TargetClosed)),
        Step::Abort
    ));
    let Case {
        mut exchange,
        snapshot,
        mut worker,
    } = run;
    let record = exchange.settle(Mono::from_millis(3), None, &snapshot.listeners[0], &mut worker);
    assert_eq!(
        (record.reason, record.target_status),
        (Some(Reason::TargetClosed), Some(200))
    );
    assert_eq!(
        snapshot.groups[0].targets[0].stats.totals.of(0).answers[2].load(Relaxed),
        1
    );
}

#[test]
fn a_connection_that_dies_after_the_answer_began_sends_nothing_again() {
    let late = [
        died(true, Sent::Nothing, true),
        Outcome::NotConnected(ConnectError::Refused),
    ];
    for outcome in late {
        let (mut run, _) = Case::begin(2, "GET", "/");
        assert!(matches!(run.on(1, Outcome::Answered(200)), Step::Relay));
        assert!(matches!(run.on(2, outcome), Step::Abort));
    }
}

#[test]
fn an_exchange_that_is_dropped_is_no_longer_in_flight() {
    let (run, _) = Case::begin(1, "GET", "/");
    assert_eq!(run.in_flight(), 1);
    let snapshot = Arc::clone(&run.snapshot);
    drop(run);
    assert_eq!(snapshot.groups[0].targets[0].stats.in_flight.load(Relaxed), 0);
}
