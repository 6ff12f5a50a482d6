//! Carries out the runs of schedules: they are created at their second, and each is either one change of the state or a
//! call past its writer.

use forebay_awswire::ApiError;
use forebay_control::schedules::{Doing, Looking, ask, carry_out, doing, finish, look, miss, next_look, put};
use forebay_control::{Ports, State};
use forebay_gateway::Internal;
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Longest time between two looks: the wall clock may be set.
const MOST: Duration = Duration::from_secs(1);
/// Pause after a change that could not be stored.
const PAUSE: Duration = Duration::from_secs(1);
/// Most runs at once.
const AT_ONCE: usize = 64;
/// A full disk fails many runs a second; the log has a line for the first of this time.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The key of a run: its region and its name.
type RunKey = (String, String);

/// The runs under way, by region.
#[derive(Default)]
struct UnderWay(BTreeMap<String, BTreeSet<String>>);

impl UnderWay {
    fn has(&self, region: &str, key: &str) -> bool {
        self.0.get(region).is_some_and(|keys| keys.contains(key))
    }

    fn begin(&mut self, (region, key): &RunKey) {
        self.0.entry(region.clone()).or_default().insert(key.clone());
    }

    fn end(&mut self, (region, key): &RunKey) {
        if let Some(keys) = self.0.get_mut(region) {
            keys.remove(key);
        }
    }
}

/// Starts to look. `changed` is notified when there may be something new to do.
pub(crate) fn start(
    internal: Internal,
    changed: Arc<Notify>,
    looking: Looking,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(run(internal, changed, looking))
}

/// Finds what is due; a change of the state that cannot be stored leaves it due.
async fn found(
    internal: &Internal,
    find: impl FnOnce(&State, Wall) -> Option<State> + Send + 'static,
) -> bool {
    let changed = internal.change(move |state, _, now| find(state, now)).await;
    if let Err(error) = &changed {
        tracing::warn!(%error, "due runs of schedules could not be stored; they stay due");
        tokio::time::sleep(PAUSE).await;
    }
    changed.is_ok()
}

async fn run(internal: Internal, changed: Arc<Notify>, looking: Looking) {
    let mut under_way = UnderWay::default();
    let mut runs: JoinSet<(RunKey, Result<(), ApiError>)> = JoinSet::new();
    let (mut is_first, mut logged) = (true, None);
    loop {
        let nothing = |_: &str, _: &str| false;
        let is_due =
            internal.read(|state, _, now| next_look(state, now, nothing).is_some_and(|next| next <= now));
        // A cheap check first: a change of the state costs a sync of the disk.
        let is_found = !is_due || found(&internal, move |state, now| look(state, now, looking)).await;
        if is_first && is_found {
            is_first = !found(&internal, move |state, now| miss(state, now, looking)).await;
        }
        let room = AT_ONCE - runs.len();
        let due =
            internal.read(|state, _, now| doing(state, now, room, |region, key| under_way.has(region, key)));
        for (region, key, how) in due {
            let run = (region, key);
            under_way.begin(&run);
            let internal = internal.clone();
            runs.spawn(async move {
                let done = carried_out(&internal, &run, how).await;
                if done.is_err() {
                    // It is still due. This pause is its own: the others go on.
                    tokio::time::sleep(PAUSE).await;
                }
                (run, done)
            });
        }
        let wait = internal.read(|state, _, now| {
            let next = next_look(state, now, |region, key| under_way.has(region, key));
            next.map_or(MOST, |next| if next <= now { MOST / 20 } else { next.since(now) })
        });
        tokio::select! {
            () = tokio::time::sleep(wait.min(MOST)) => {}
            () = changed.notified() => {}
            Some(done) = runs.join_next() => ended(&mut under_way, done, &mut logged),
        }
        while let Some(done) = runs.try_join_next() {
            ended(&mut under_way, done, &mut logged);
        }
    }
}

fn ended(
    under_way: &mut UnderWay,
    done: Result<(RunKey, Result<(), ApiError>), tokio::task::JoinError>,
    logged: &mut Option<Instant>,
) {
    match done {
        Ok((run, result)) => {
            if let Err(error) = result
                && logged.is_none_or(|at| at.elapsed() >= LOG_EVERY)
            {
                *logged = Some(Instant::now());
                tracing::warn!(run = run.1, %error, "the result of a run could not be stored; it will be tried again");
            }
            // Only now: until its result is stored, a run is still due, and would be carried out twice.
            under_way.end(&run);
        }
        // The panic does not say which run it was, so that one stays under way; all others go on.
        Err(error) => tracing::error!(%error, "a run panicked"),
    }
}

async fn carried_out(internal: &Internal, (region, key): &RunKey, how: Doing) -> Result<(), ApiError> {
    let (of, named) = (region.clone(), key.clone());
    let result = match how {
        Doing::Write => {
            let (in_region, key) = (of.clone(), named.clone());
            let change =
                move |state: &_, ports: &Ports<'_>, now| carry_out(state, &in_region, &key, ports, now);
            match internal.change(change).await {
                // The operation panicked, and would again at once: a failed attempt.
                Err(error) if error.code == "InternalFailure" => Err(error),
                done => return done,
            }
        }
        Doing::Ask => match internal.read(|state, ports, now| ask(state, region, key, ports, now)) {
            None => return Ok(()),
            Some(Ok(asked)) => internal.carry_out(asked).await.map(|_| ()),
            Some(Err(error)) => Err(error),
        },
        Doing::Put => match internal.read(|state, ports, now| put(state, region, key, ports, now)) {
            None => return Ok(()),
            Some(done) => done.map(|_| ()),
        },
    };
    internal
        .change(move |state, _, now| finish(state, &of, &named, result.as_ref().copied(), now))
        .await
}
