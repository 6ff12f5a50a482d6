use super::*;
use crate::Runtime;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn spec(name: &str, reserved: Option<u32>) -> FunctionSpec {
    FunctionSpec {
        arn: name.to_owned(),
        name: name.to_owned(),
        region: "us-east-1".to_owned(),
        runtime: Runtime::Provided,
        runtime_name: "provided.al2023".to_owned(),
        handler: "h".to_owned(),
        code_sha256: String::new(),
        environment: BTreeMap::new(),
        timeout_s: 3,
        memory_mib: 128,
        reserved_concurrency: reserved,
        role: "r".to_owned(),
    }
}

fn pool(environments: usize, specs: &[FunctionSpec]) -> Pool {
    let mut pool = Pool::new(PoolLimits {
        environments,
        idle: Duration::from_secs(300),
        age: Duration::from_secs(3600),
    });
    pool.publish(specs.to_vec());
    pool
}

fn cold(placed: Result<Placed, InvokeError>) -> u64 {
    match placed {
        Ok(Placed::Cold(cold)) => cold.environment,
        other => panic!("{other:?}"),
    }
}

fn at(ms: u64) -> Mono {
    Mono::from_millis(ms)
}

#[test]
fn the_one_that_was_used_last_is_used_next() {
    let mut pool = pool(9, &[spec("f", None)]);
    let first = cold(pool.invoke(at(0), 1, "f"));
    let second = cold(pool.invoke(at(0), 2, "f"));
    pool.ready(first);
    pool.ready(second);
    assert_eq!(pool.finished(at(1), second), Rest::Idle);
    assert_eq!(pool.finished(at(2), first), Rest::Idle);
    assert_eq!(
        pool.invoke(at(3), 3, "f"),
        Ok(Placed::Warm { environment: first })
    );
    assert_eq!(
        pool.invoke(at(3), 4, "f"),
        Ok(Placed::Warm { environment: second })
    );
    assert_eq!(pool.invoke(at(3), 5, "g"), Err(InvokeError::NotFound));
}

#[test]
fn reserved_concurrency_refuses_at_once() {
    let mut pool = pool(9, &[spec("f", Some(1)), spec("none", Some(0))]);
    let one = cold(pool.invoke(at(0), 1, "f"));
    assert_eq!(pool.invoke(at(0), 2, "f"), Err(InvokeError::ReservedConcurrency));
    assert_eq!(
        pool.invoke(at(0), 3, "none"),
        Err(InvokeError::ReservedConcurrency)
    );
    // One that is being ended still runs its invocation.
    pool.doomed(one);
    assert_eq!(pool.invoke(at(0), 4, "f"), Err(InvokeError::ReservedConcurrency));
    pool.ended(at(1), one);
    cold(pool.invoke(at(1), 5, "f"));
}

#[test]
fn another_functions_idle_environment_makes_room() {
    let mut pool = pool(2, &[spec("f", None), spec("g", None)]);
    let one = cold(pool.invoke(at(0), 1, "f"));
    let two = cold(pool.invoke(at(0), 2, "f"));
    pool.ready(two);
    assert_eq!(pool.invoke(at(0), 3, "g"), Err(InvokeError::Concurrency));
    pool.finished(at(1), one);
    assert_eq!(
        pool.invoke(at(1), 4, "g"),
        Ok(Placed::Waits { evicted: Some(one) })
    );
    assert_eq!(pool.invoke(at(1), 5, "g"), Err(InvokeError::Concurrency));
    let begun = pool.ended(at(2), one);
    assert_eq!(begun.len(), 1);
    assert_eq!((begun[0].invocation, begun[0].spec.arn.as_str()), (4, "g"));
    pool.finished(at(3), two);
}

#[test]
fn one_that_waits_takes_the_first_that_comes_free() {
    let mut pool = pool(2, &[spec("f", None), spec("g", None)]);
    let mine = cold(pool.invoke(at(0), 1, "g"));
    let other = cold(pool.invoke(at(0), 2, "f"));
    pool.finished(at(1), other);
    assert_eq!(
        pool.invoke(at(1), 3, "g"),
        Ok(Placed::Waits { evicted: Some(other) })
    );
    let takes = Rest::Runs {
        invocation: 3,
        from: None,
    };
    assert_eq!(pool.finished(at(2), mine), takes);
    assert!(pool.ended(at(3), other).is_empty());
}

#[test]
fn a_change_ends_old_environments_as_soon_as_they_are_idle() {
    let mut pool = pool(9, &[spec("f", None), spec("g", None)]);
    let busy = cold(pool.invoke(at(0), 1, "f"));
    pool.ready(busy);
    let idle = cold(pool.invoke(at(0), 2, "f"));
    let same = cold(pool.invoke(at(0), 3, "g"));
    pool.finished(at(1), idle);
    pool.finished(at(1), same);
    let longer = FunctionSpec {
        timeout_s: 4,
        ..spec("f", None)
    };
    let published = pool.publish(vec![longer, spec("g", None)]);
    assert_eq!(published.ended, [idle]);
    assert_eq!(pool.finished(at(2), busy), Rest::Ends);
    assert_eq!(pool.publish(Vec::new()).ended, [same]);
}

#[test]
fn another_reserved_concurrency_ends_no_environment() {
    let mut pool = pool(9, &[spec("f", None)]);
    let busy = cold(pool.invoke(at(0), 1, "f"));
    pool.ready(busy);
    let idle = cold(pool.invoke(at(0), 2, "f"));
    pool.finished(at(1), idle);
    assert_eq!(pool.publish(vec![spec("f", Some(1))]), Published::default());
    assert_eq!(pool.invoke(at(2), 3, "f"), Err(InvokeError::ReservedConcurrency));
    assert_eq!(pool.finished(at(3), busy), Rest::Idle);
    let warm = Placed::Warm { environment: busy };
    assert_eq!(pool.invoke(at(4), 4, "f"), Ok(warm));
    assert_eq!(pool.publish(vec![spec("f", None)]), Published::default());
    assert_eq!(pool.invoke(at(5), 5, "f"), Ok(Placed::Warm { environment: idle }));
}

#[test]
fn idle_and_old_ones_end() {
    let mut pool = pool(9, &[spec("f", None)]);
    let one = cold(pool.invoke(at(0), 1, "f"));
    pool.finished(at(1000), one);
    assert!(pool.tick(at(300_999)).is_empty());
    assert_eq!(pool.tick(at(301_000)), [one]);
    pool.ended(at(301_001), one);
    let old = cold(pool.invoke(at(400_000), 2, "f"));
    assert_eq!(pool.finished(at(4_000_001), old), Rest::Ends);
}

#[test]
fn whoever_is_free_first_takes_what_waits_for_a_start() {
    let mut pool = pool(9, &[spec("f", None)]);
    let warm = cold(pool.invoke(at(0), 1, "f"));
    pool.ready(warm);
    let slow = cold(pool.invoke(at(1), 2, "f"));
    let takes = Rest::Runs {
        invocation: 2,
        from: Some(slow),
    };
    assert_eq!(pool.finished(at(2), warm), takes);
    // The next one need not start another, and is not taken from one that has started.
    assert_eq!(pool.invoke(at(3), 3, "f"), Ok(Placed::Warm { environment: slow }));
    pool.ready(slow);
    assert_eq!(pool.finished(at(4), warm), Rest::Idle);
    assert_eq!(pool.finished(at(5), slow), Rest::Idle);
    assert_eq!(pool.count("f"), (2, 0));
}

#[derive(Clone, Debug)]
enum Event {
    Invoke(usize),
    Finish(usize),
    Ready(usize),
    Doom(usize),
    End(usize),
    Publish([Option<u32>; 3]),
    Tick(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3usize).prop_map(Event::Invoke),
        4 => any::<usize>().prop_map(Event::Finish),
        3 => any::<usize>().prop_map(Event::Ready),
        1 => any::<usize>().prop_map(Event::Doom),
        2 => any::<usize>().prop_map(Event::End),
        1 => prop::array::uniform3(prop::option::of(0..3u32)).prop_map(Event::Publish),
        1 => (0..400_000u64).prop_map(Event::Tick),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A caller's knowledge of where invocations are.
#[derive(Default)]
struct Caller {
    open: BTreeMap<u64, usize>,
    at: BTreeMap<u64, Option<u64>>,
    waits: BTreeSet<u64>,
}

impl Caller {
    fn close(&mut self, invocation: u64) {
        assert!(
            self.open.remove(&invocation).is_some(),
            "{invocation} ended twice"
        );
    }

    fn begin(&mut self, cold: &Cold) {
        self.waits.remove(&cold.invocation);
        assert!(self.at.insert(cold.environment, Some(cold.invocation)).is_none());
    }

    fn some(&self, which: usize) -> Option<u64> {
        let all: Vec<u64> = self.at.keys().copied().collect();
        (!all.is_empty()).then(|| all[which % all.len()])
    }
}

fn step(pool: &mut Pool, caller: &mut Caller, now: Mono, number: u64, event: &Event) {
    match *event {
        Event::Invoke(function) => match pool.invoke(now, number, NAMES[function]) {
            Ok(placed) => {
                caller.open.insert(number, function);
                match placed {
                    Placed::Warm { environment } => {
                        assert_eq!(caller.at.insert(environment, Some(number)), Some(None));
                    }
                    Placed::Cold(cold) => caller.begin(&cold),
                    Placed::Waits { .. } => assert!(caller.waits.insert(number)),
                }
            }
            Err(InvokeError::Concurrency) => assert!(caller.at.len() >= 4),
            Err(_) => {}
        },
        Event::Finish(which) => {
            if let Some(id) = caller.some(which)
                && let Some(invocation) = caller.at[&id]
            {
                caller.close(invocation);
                let next = match pool.finished(now, id) {
                    Rest::Runs { invocation, from } => {
                        match from {
                            Some(from) => assert_eq!(caller.at.insert(from, None), Some(Some(invocation))),
                            None => assert!(caller.waits.remove(&invocation)),
                        }
                        Some(invocation)
                    }
                    Rest::Idle | Rest::Ends => None,
                };
                caller.at.insert(id, next);
            }
        }
        Event::Ready(which) => caller.some(which).into_iter().for_each(|id| pool.ready(id)),
        Event::Doom(which) => caller.some(which).into_iter().for_each(|id| pool.doomed(id)),
        Event::End(which) => {
            if let Some(id) = caller.some(which) {
                if let Some(Some(invocation)) = caller.at.remove(&id) {
                    caller.close(invocation);
                }
                pool.ended(now, id).iter().for_each(|cold| caller.begin(cold));
            }
        }
        Event::Publish(reserved) => {
            let all = NAMES.iter().zip(reserved);
            let specs = all.filter(|(_, most)| *most != Some(2));
            // One of them changes what runs, too.
            let timeout_s = |most: Option<u32>| if most == Some(1) { 4 } else { 3 };
            let specs = specs.map(|(name, most)| FunctionSpec {
                timeout_s: timeout_s(most),
                ..spec(name, most)
            });
            let published = pool.publish(specs.collect());
            for invocation in published.refused {
                assert!(caller.waits.remove(&invocation));
                caller.close(invocation);
            }
        }
        Event::Tick(_) => {
            pool.tick(now);
        }
    }
}

fn check(pool: &Pool, caller: &Caller) {
    assert!(pool.environments.len() <= 4);
    assert_eq!(pool.environments.len(), caller.at.len());
    assert!(pool.waiting.len() <= pool.ending);
    let ending = pool.environments.values();
    let ending = ending.filter(|one| matches!(one.phase, Phase::Ending(_)));
    assert_eq!(ending.count(), pool.ending);
    for (index, name) in NAMES.iter().enumerate() {
        let open = caller.open.values().filter(|&&function| function == index);
        assert_eq!(pool.count(name).1 as usize, open.count());
    }
}

proptest! {
    #[test]
    fn each_invocation_ends_once_and_no_limit_is_passed(events in prop::collection::vec(event(), 1..200)) {
        let mut pool = pool(4, &NAMES.map(|name| spec(name, None)));
        let mut caller = Caller::default();
        let mut now = 0;
        for (number, event) in events.iter().enumerate() {
            now += if let Event::Tick(ms) = event { *ms } else { 1 };
            let before = NAMES.map(|name| pool.count(name).1);
            step(&mut pool, &mut caller, at(now), number as u64, event);
            check(&pool, &caller);
            for (name, before) in NAMES.iter().zip(before) {
                let running = pool.count(name).1;
                let most = pool.functions.get(*name).and_then(|function| function.reserved);
                // A lower limit ends nothing that runs, but admits no more.
                prop_assert!(running <= before || most.is_none_or(|most| running <= most));
            }
        }
    }
}
