//! Has runs of schedules carried out: they come to be at the second, and each is one change of the state, or asked past its writer.

use forebay_awswire::ApiError;
use forebay_control::schedules::{Doing, Looking, ask, carry_out, doing, finish, look, next_look, put};
use forebay_gateway::Internal;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The longest time between two looks: a clock may be set.
const MOST: Duration = Duration::from_secs(1);
/// After what could not be stored.
const PAUSE: Duration = Duration::from_secs(1);
/// Runs at once.
const AT_ONCE: usize = 64;

/// A run: its region and its key.
type RunKey = (String, String);

/// Starts to look. `changed` is told when there may be something else to do.
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
        if is_due
            && let Err(error) = internal
                .change(move |state, _, now| look(state, now, looking))
                .await
        {
            // They stay due.
            tracing::warn!(%error, "schedules could not be looked at");
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
                tracing::warn!(run = run.1, %error, "what came of a run could not be stored; it is tried again");
                tokio::time::sleep(PAUSE).await;
            }
            under_way.remove(&run);
        }
        // Which one it was nobody knows; all others end some time.
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
