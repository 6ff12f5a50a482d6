//! All instances: what is wanted of each, what was seen of it, and the threads that bring the two together.
//!
//! One thread decides and a few carry out, because starting takes a while. The publisher of what is wanted waits for
//! neither.

use crate::decide::{Step, is_alive, next};
use crate::launcher::{Launcher, Poke, StartError};
use forebay_control::fleet::{SeenInstance, SeenPhase, Usage, WantedInstance, WantedPhase};
use forebay_units::lock::lock;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Threads that carry out.
const HANDS: usize = 4;
/// Interval between looks at an instance that is about to change.
const SOON: Duration = Duration::from_millis(20);
/// Interval between looks at all instances.
const LATER: Duration = Duration::from_secs(1);
/// Time until a failed step other than a start is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Makes instances as they are wanted, and reports their state. Dropping it leaves them running; the next fleet adopts
/// them.
pub struct Fleet {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    launcher: Arc<dyn Launcher>,
    state: Mutex<State>,
    /// Wakes the thread that decides.
    changed: Condvar,
    /// Wakes the threads that carry out.
    work: Condvar,
    poke: Poke,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    jobs: VecDeque<Job>,
    /// A list that was not adopted yet.
    wanted: Option<Vec<WantedInstance>>,
    /// Set with the first list. Before that, no instance is ended for being in none.
    is_told: bool,
    must_look: bool,
    is_refreshing: bool,
    refreshed: Option<Instant>,
    ends: bool,
}

#[derive(Default)]
struct Entry {
    wanted: Option<WantedInstance>,
    seen: Option<SeenInstance>,
    /// A start that failed and left nothing to look at.
    failed: Option<SeenInstance>,
    is_busy: bool,
    /// A change is expected, so it is looked at often.
    is_unsettled: bool,
    /// The run that the launcher watches.
    adopted: u32,
    not_before: Option<Instant>,
}

enum Job {
    Step(Step, Box<WantedInstance>),
    /// Stop or remove an instance that is in no list.
    End(Step, String),
    Adopt(Box<WantedInstance>),
    Release(String, u32),
    Refresh,
}

impl Fleet {
    /// Adopts the existing instances. `poke` is called, from any thread, whenever one is seen in another phase.
    pub fn start(launcher: Arc<dyn Launcher>, poke: Poke) -> io::Result<Fleet> {
        let mut state = State::default();
        launcher.refresh();
        match launcher.list() {
            Ok(ids) => {
                state.entries = ids.into_iter().map(|id| (id, Entry::default())).collect();
            }
            Err(error) => tracing::warn!(error, "cannot list the existing instances"),
        }
        for (id, entry) in &mut state.entries {
            entry.seen = launcher.look(id);
        }
        let shared = Arc::new(Shared {
            launcher,
            state: Mutex::new(state),
            changed: Condvar::new(),
            work: Condvar::new(),
            poke,
        });
        let weak = Arc::downgrade(&shared);
        shared.launcher.tell(Arc::new(move || {
            if let Some(shared) = weak.upgrade() {
                shared.lock().must_look = true;
                shared.changed.notify_all();
            }
        }));
        let mut threads = Vec::new();
        for hand in 0..HANDS {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("launch-{hand}"));
            threads.push(builder.spawn(move || shared.carry_out())?);
        }
        let decider = Arc::clone(&shared);
        let builder = thread::Builder::new().name("fleet".to_owned());
        threads.push(builder.spawn(move || decider.decide())?);
        Ok(Fleet { shared, threads })
    }

    /// Sets what is wanted from now on. Does not wait for it.
    pub fn want(&self, wanted: Vec<WantedInstance>) {
        self.shared.lock().wanted = Some(wanted);
        self.shared.changed.notify_all();
    }

    /// The last observation of an instance.
    pub fn seen(&self, id: &str) -> Option<SeenInstance> {
        let state = self.shared.lock();
        state.entries.get(id).and_then(Entry::shown)
    }

    /// What living instances have used since they began, by id.
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let living: Vec<String> = {
            let state = self.shared.lock();
            let entries = state.entries.iter();
            let living =
                entries.filter(|(_, entry)| entry.seen.as_ref().is_some_and(|seen| is_alive(&seen.phase)));
            living.map(|(id, _)| id.clone()).collect()
        };
        let launcher = &self.shared.launcher;
        living
            .into_iter()
            .map(|id| (id.clone(), launcher.usage(&id)))
            .collect()
    }

    /// Number of living instances.
    pub fn living(&self) -> usize {
        let state = self.shared.lock();
        let phases = state.entries.values().filter_map(|entry| entry.seen.as_ref());
        phases.filter(|seen| is_alive(&seen.phase)).count()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.lock().ends = true;
        self.shared.changed.notify_all();
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Entry {
    /// The observation that others see.
    fn shown(&self) -> Option<SeenInstance> {
        let seen = self
            .failed
            .as_ref()
            .or(self.seen.as_ref())
            .filter(|seen| seen.run > 0);
        if let Some(never) = self.never_begun(seen) {
            return Some(never);
        }
        let mut seen = seen?.clone();
        let about_to_pause = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.phase == WantedPhase::Paused && wanted.run == seen.run);
        // It will be paused as soon as it has started; in between it must not look as if it served.
        if about_to_pause && seen.phase == SeenPhase::Running && self.is_unsettled {
            seen.phase = SeenPhase::Starting;
        }
        Some(seen)
    }
}

impl Entry {
    /// The end of a run that was to be stopped before it was begun. Without it, somebody would wait for its end for ever.
    fn never_begun(&self, seen: Option<&SeenInstance>) -> Option<SeenInstance> {
        let wanted = self.wanted.as_ref()?;
        let is_over = seen.is_none_or(|seen| seen.run < wanted.run && !is_alive(&seen.phase));
        let why = "it was stopped before it was started".to_owned();
        (wanted.phase == WantedPhase::Stopped && is_over && !self.is_busy).then_some(SeenInstance {
            run: wanted.run,
            phase: SeenPhase::Stopped { why },
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn decide(&self) {
        let mut looked: Option<Instant> = None;
        let mut state = self.lock();
        while !state.ends {
            if let Some(wanted) = state.wanted.take() {
                self.launcher.know(&wanted);
                state.take_over(wanted);
            }
            let all = std::mem::take(&mut state.must_look) || looked.is_none_or(|at| at.elapsed() >= LATER);
            if all {
                looked = Some(Instant::now());
            }
            let changed;
            (state, changed) = self.look(state, all);
            self.refresh(&mut state);
            if state.decide() {
                self.work.notify_all();
            }
            if changed {
                drop(state);
                (self.poke)();
                state = self.lock();
            }
            if state.wanted.is_none() && !state.must_look && !state.ends {
                let soon = state
                    .entries
                    .values()
                    .any(|entry| entry.is_unsettled && !entry.is_busy);
                let time = if soon { SOON } else { LATER };
                (state, _) = self
                    .changed
                    .wait_timeout(state, time)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Looks at instances that no thread works on. The lock is released meanwhile.
    fn look<'a>(&'a self, state: MutexGuard<'a, State>, all: bool) -> (MutexGuard<'a, State>, bool) {
        let ids: Vec<String> = state
            .entries
            .iter()
            .filter(|(_, entry)| !entry.is_busy && (all || entry.is_unsettled))
            .map(|(id, _)| id.clone())
            .collect();
        drop(state);
        let looks: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let seen = self.launcher.look(&id);
                (id, seen)
            })
            .collect();
        let mut state = self.lock();
        let mut changed = false;
        for (id, seen) in looks {
            // Only this thread makes jobs, so no other thread has begun to work on it.
            if let Some(entry) = state.entries.get_mut(&id) {
                let before = entry.shown();
                entry.seen = seen;
                changed |= before != entry.shown();
            }
        }
        (state, changed)
    }

    fn refresh(&self, state: &mut State) {
        let Some(interval) = self.launcher.refresh_interval() else {
            return;
        };
        if !state.is_refreshing && state.refreshed.is_none_or(|at| at.elapsed() >= interval) {
            state.is_refreshing = true;
            state.jobs.push_back(Job::Refresh);
            self.work.notify_one();
        }
    }

    fn carry_out(&self) {
        let mut state = self.lock();
        while !state.ends {
            let Some(job) = state.jobs.pop_front() else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            self.carry_out_one(job);
            (self.poke)();
            state = self.lock();
            self.changed.notify_all();
        }
    }

    fn carry_out_one(&self, job: Job) {
        let launcher = &*self.launcher;
        match job {
            Job::Refresh => {
                launcher.refresh();
                let mut state = self.lock();
                state.is_refreshing = false;
                state.refreshed = Some(Instant::now());
                state.must_look = true;
            }
            Job::Adopt(wanted) => {
                launcher.adopt(&wanted);
                self.done(&wanted.id, Ok(()), |entry| entry.adopted = wanted.run);
            }
            Job::Release(id, run) => {
                launcher.release(&id);
                self.done(&id, Ok(()), |entry| {
                    // Released once; the next run is adopted at its start.
                    if entry.adopted == run {
                        entry.adopted = 0;
                    }
                });
            }
            Job::Step(Step::Start, wanted) => {
                let (started, run) = (launcher.start(&wanted), wanted.run);
                if let Err(StartError::Busy(why)) = &started {
                    tracing::info!(instance = wanted.id, why, "an instance could not be started yet");
                }
                self.done(&wanted.id, Ok(()), |entry| match started {
                    Ok(()) => entry.adopted = run,
                    Err(StartError::Failed(why)) => {
                        // What was made for it is released like that of one that has ended.
                        entry.adopted = run;
                        let phase = SeenPhase::Failed { why };
                        entry.failed = Some(SeenInstance { run, phase });
                    }
                    Err(StartError::Busy(_)) => entry.not_before = Some(Instant::now() + SOON),
                });
            }
            Job::Step(step, wanted) => self.act(step, &wanted.id),
            Job::End(step, id) => self.act(step, &id),
        }
    }

    fn act(&self, step: Step, id: &str) {
        let done = match step {
            Step::Start => Ok(()),
            Step::Pause => self.launcher.pause(id),
            Step::Resume => self.launcher.resume(id),
            Step::Stop => self.launcher.stop(id),
            Step::Remove => self.launcher.remove(id),
        };
        self.done(id, done, |entry| {
            if step == Step::Remove {
                entry.failed = None;
                entry.seen = None;
            }
        });
    }

    /// Notes the result of a job.
    fn done(&self, id: &str, done: Result<(), String>, change: impl FnOnce(&mut Entry)) {
        let seen = self.launcher.look(id);
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(id) else {
            return;
        };
        entry.is_busy = false;
        entry.is_unsettled = true;
        match done {
            Ok(()) => change(entry),
            Err(error) => {
                tracing::warn!(
                    instance = id,
                    error,
                    "an instance could not be changed as wanted; it will be tried again"
                );
                entry.not_before = Some(Instant::now() + AGAIN);
            }
        }
        entry.seen = seen;
    }
}

impl State {
    fn take_over(&mut self, wanted: Vec<WantedInstance>) {
        self.is_told = true;
        for entry in self.entries.values_mut() {
            entry.wanted = None;
        }
        for instance in wanted {
            let entry = self.entries.entry(instance.id.clone()).or_default();
            if entry
                .failed
                .as_ref()
                .is_some_and(|failed| failed.run < instance.run)
            {
                entry.failed = None;
            }
            entry.wanted = Some(instance);
        }
    }

    /// Makes jobs of what must be done; returns whether there are any.
    fn decide(&mut self) -> bool {
        if !self.is_told {
            return false;
        }
        let now = Instant::now();
        for (id, entry) in &mut self.entries {
            if entry.is_busy {
                continue;
            }
            let job = entry.job(id, now);
            entry.is_busy = job.is_some();
            self.jobs.extend(job);
        }
        self.entries
            .retain(|_, entry| entry.is_busy || entry.wanted.is_some() || entry.seen.is_some());
        !self.jobs.is_empty()
    }
}

impl Entry {
    fn job(&mut self, id: &str, now: Instant) -> Option<Job> {
        let wanted = self.wanted.as_ref().map(|wanted| (wanted.run, wanted.phase));
        // A failed start may have left something behind, which is removed only with the instance.
        let going = wanted.is_none_or(|(_, phase)| phase == WantedPhase::Gone);
        if going && self.seen.is_none() {
            self.failed = None;
        }
        let seen = match &self.failed {
            Some(failed) if !going => Some(failed),
            _ => self.seen.as_ref(),
        };
        let step = next(wanted, seen);
        self.is_unsettled = step.is_some()
            || seen.is_some_and(|seen| matches!(seen.phase, SeenPhase::Starting | SeenPhase::Stopping));
        if self.not_before.is_some_and(|at| now < at) {
            self.is_unsettled = false;
            return None;
        }
        self.not_before = None;
        match (&self.seen, &self.wanted, step) {
            (Some(seen), Some(wanted), None | Some(Step::Pause | Step::Resume))
                if is_alive(&seen.phase) && seen.run != self.adopted && seen.run == wanted.run =>
            {
                Some(Job::Adopt(Box::new(wanted.clone())))
            }
            (seen, _, None)
                if self.adopted > 0 && !seen.as_ref().is_some_and(|seen| is_alive(&seen.phase)) =>
            {
                Some(Job::Release(id.to_owned(), self.adopted))
            }
            (_, _, None) | (None, None, _) => None,
            (seen, Some(wanted), Some(Step::Start)) => {
                if seen.is_none() {
                    // It must look as if it were starting even while it waits for its turn.
                    self.seen = Some(SeenInstance {
                        run: wanted.run,
                        phase: SeenPhase::Starting,
                    });
                }
                Some(Job::Step(Step::Start, Box::new(wanted.clone())))
            }
            (_, Some(wanted), Some(step)) => Some(Job::Step(step, Box::new(wanted.clone()))),
            (_, None, Some(step)) => Some(Job::End(step, id.to_owned())),
        }
    }
}
