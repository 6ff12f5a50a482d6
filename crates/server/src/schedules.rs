//! Carries out the runs of schedules: they are created at their second, and each is either one change of the state or a
//! call past its writer.

use forebay_awswire::ApiError;
use forebay_control::schedules::{Doing, Looking, ask, carry_out, doing, finish, look, next_look, put};
use forebay_gateway::Internal;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Longest time between two looks: the wall clock may be set.
const MOST: Duration = Duration::from_secs(1);
/// Pause after a change that could not be stored.
const PAUSE: Duration = Duration::from_secs(1);
/// Most runs at once.
const AT_ONCE: usize = 64;

/// The key of a run: its region and its name.
type RunKey = (String, String);

/// Starts to look. `changed` is notified when there may be something new to do.
pub(crate) fn start(
    internal: Internal,
    changed: Arc<Notify>,
    looking: Looking,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(run(internal, changed, looking))
}

async fn run(internal: Internal, changed: Arc<Notify>, looking: Looking) {
    let mut under_way: BTreeSet<RunKey> = BTreeSet::new();
    let mut runs: JoinSet<(RunKey, Result<(), ApiError>)> = JoinSet::new();
    loop {
        let nothing = |_: &str, _: &str| false;
        let is_due = internal.read(|state, _, now| next_look(state, nothing).is_some_and(|next| next <= now));
        // A cheap check first: a change of the state costs a sync of the disk.
        if is_due
            && let Err(error) = internal
                .change(move |state, _, now| look(state, now, looking))
                .await
        {
            // The runs stay due.
            tracing::warn!(%error, "due runs of schedules could not be stored; they stay due");
            tokio::time::sleep(PAUSE).await;
        }
        let due = internal.read(|state, _, now| doing(state, now));
        for (region, key, how) in due {
            let run = (region, key);
            if runs.len() < AT_ONCE && !under_way.contains(&run) {
                under_way.insert(run.clone());
                let internal = internal.clone();
                runs.spawn(async move {
                    let done = carried_out(&internal, &run, how).await;
                    (run, done)
                });
            }
        }
        let is_under_way = |region: &str, key: &str| under_way.contains(&(region.to_owned(), key.to_owned()));
        let wait = internal.read(|state, _, now| {
            let next = next_look(state, is_under_way);
            next.map_or(MOST, |next| if next <= now { MOST / 20 } else { next.since(now) })
        });
        tokio::select! {
            () = tokio::time::sleep(wait.min(MOST)) => {}
            () = changed.notified() => {}
            Some(done) = runs.join_next() => ended(&mut under_way, done).await,
        }
        while let Some(done) = runs.try_join_next() {
            ended(&mut under_way, done).await;
        }
    }
}

async fn ended(
    under_way: &mut BTreeSet<RunKey>,
    done: Result<(RunKey, Result<(), ApiError>), tokio::task::JoinError>,
) {
    match done {
        Ok((run, result)) => {
            if let Err(error) = result {
                tracing::warn!(run = run.1, %error, "the result of a run could not be stored; it will be tried again");
                tokio::time::sleep(PAUSE).await;
            }
            // Only now: until its result is stored, a run is still due, and would be carried out twice.
            under_way.remove(&run);
        }
        // The panic does not say which run it was, so that one stays in `under_way`; all others go on.
        Err(error) => tracing::error!(%error, "a run panicked"),
    }
}

async fn carried_out(internal: &Internal, (region, key): &RunKey, how: Doing) -> Result<(), ApiError> {
    let (of, named) = (region.clone(), key.clone());
    let result = match how {
        Doing::Write => {
            let change = move |state: &_, ports: &forebay_control::Ports<'_>, now| {
                carry_out(state, &of, &named, ports, now)
            };
            return internal.change(change).await;
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
