//! Which environment gets an invocation, and when environments start and end.
//!
//! An environment is one process of a function, with all that it starts. It has one invocation at a time. Each start is for an
//! invocation; so a function that dies at once is started as often as it is asked, and not more. An environment that comes free
//! before another has started takes over its invocation: else each start would make all that come meanwhile start more.

use crate::{FunctionSpec, InvokeError};
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How many environments there may be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Environments of all functions, those that end included.
    pub environments: usize,
    /// How long one without an invocation stays.
    pub idle: Duration,
    /// How old one gets at most; it ends at its next rest.
    pub age: Duration,
}

/// Where an invocation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// To an environment that is there and idle, or starts and has none.
    Warm {
        /// Which.
        environment: u64,
    },
    /// To an environment that is to be started for it.
    Cold(Cold),
    /// To one that is started as soon as another has ended.
    Waits {
        /// The idle environment of another function that is to end for it; none if one ends already.
        evicted: Option<u64>,
    },
}

/// An environment to be started for an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cold {
    /// Its number, never used again.
    pub environment: u64,
    /// The invocation that it is started for.
    pub invocation: u64,
    /// What it runs.
    pub spec: Arc<FunctionSpec>,
}

/// What an environment does after an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It waits for the next one.
    Idle,
    /// It is to end: its function has changed or is gone, or it is too old.
    Ends,
    /// It runs this one, which has waited.
    Runs {
        /// Which.
        invocation: u64,
        /// The environment that was started for it, and is idle as soon as it has started; none if there is none yet.
        from: Option<u64>,
    },
}

/// What follows from a new list of functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Environments to end.
    pub ended: Vec<u64>,
    /// Invocations that waited, of functions that are gone.
    pub refused: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Busy(u64),
    Idle(Mono),
    /// With the invocation that ends when it does, if any.
    Ending(Option<u64>),
}

#[derive(Debug)]
struct Environment {
    spec: Arc<FunctionSpec>,
    born: Mono,
    is_ready: bool,
    phase: Phase,
}

#[derive(Debug)]
struct Function {
    spec: Arc<FunctionSpec>,
    /// The one that was used last is last.
    idle: Vec<u64>,
    /// Those that start and have an invocation: whoever is free first takes that.
    starting: BTreeSet<u64>,
}

/// All environments. Each call costs the logarithm of their number; one that evicts looks at all.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    functions: BTreeMap<String, Function>,
    environments: BTreeMap<u64, Environment>,
    /// Invocations by function, those that wait included; without zeros.
    running: BTreeMap<String, u32>,
    /// Not more than environments that end: each waits for one of them.
    waiting: VecDeque<(u64, String)>,
    ending: usize,
    next: u64,
}

impl Pool {
    /// One without functions.
    pub fn new(limits: PoolLimits) -> Pool {
        Pool {
            limits,
            functions: BTreeMap::new(),
            environments: BTreeMap::new(),
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            ending: 0,
            next: 1,
        }
    }

    /// These are all functions from now on. What runs goes on with what it was started from.
    pub fn publish(&mut self, specs: Vec<FunctionSpec>) -> Published {
        let mut before = std::mem::take(&mut self.functions);
        let mut published = Published::default();
        for spec in specs {
            let function = match before.remove(&spec.arn) {
                Some(same) if *same.spec == spec => same,
                changed => {
                    published
                        .ended
                        .extend(changed.into_iter().flat_map(|old| old.idle));
                    Function {
                        spec: Arc::new(spec),
                        idle: Vec::new(),
                        starting: BTreeSet::new(),
                    }
                }
            };
            self.functions.insert(function.spec.arn.clone(), function);
        }
        published
            .ended
            .extend(before.into_values().flat_map(|old| old.idle));
        for &environment in &published.ended {
            self.ends(environment, None);
        }
        let (stay, gone): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, arn)| self.functions.contains_key(arn));
        self.waiting = stay;
        for (invocation, arn) in gone {
            self.done(&arn);
            published.refused.push(invocation);
        }
        published
    }

    /// Finds a place for an invocation.
    pub fn invoke(&mut self, now: Mono, invocation: u64, arn: &str) -> Result<Placed, InvokeError> {
        let function = self.functions.get_mut(arn).ok_or(InvokeError::NotFound)?;
        let running = self.running.get(arn).copied().unwrap_or(0);
        if function
            .spec
            .reserved_concurrency
            .is_some_and(|most| running >= most)
        {
            return Err(InvokeError::ReservedConcurrency);
        }
        let placed = if let Some(environment) = function.idle.pop() {
            let one = self.environments.get_mut(&environment);
            if let Some(one) = one {
                one.phase = Phase::Busy(invocation);
                if !one.is_ready {
                    function.starting.insert(environment);
                }
            }
            Placed::Warm { environment }
        } else if self.environments.len() < self.limits.environments {
            let spec = Arc::clone(&function.spec);
            Placed::Cold(self.start(now, invocation, spec))
        } else if self.ending > self.waiting.len() {
            self.waiting.push_back((invocation, arn.to_owned()));
            Placed::Waits { evicted: None }
        } else {
            // It was used least lately. Of this function there is none, else it were taken above.
            let evicted = self.longest_idle().ok_or(InvokeError::Concurrency)?;
            self.rouse(evicted);
            self.ends(evicted, None);
            self.waiting.push_back((invocation, arn.to_owned()));
            Placed::Waits {
                evicted: Some(evicted),
            }
        };
        *self.running.entry(arn.to_owned()).or_default() += 1;
        Ok(placed)
    }

    /// The invocation of an environment is over, and the environment lives.
    pub fn finished(&mut self, now: Mono, environment: u64) -> Rest {
        self.ready(environment);
        let Some(found) = self.environments.get(&environment) else {
            return Rest::Ends;
        };
        let Phase::Busy(_) = found.phase else {
            // It was to end before, with its invocation.
            self.release(environment);
            return Rest::Ends;
        };
        let (arn, is_old) = (found.spec.arn.clone(), now >= found.born + self.limits.age);
        self.done(&arn);
        let is_current = self
            .functions
            .get(&arn)
            .is_some_and(|function| Arc::ptr_eq(&function.spec, &self.environments[&environment].spec));
        if is_old || !is_current {
            self.ends(environment, None);
            return Rest::Ends;
        }
        if let Some(place) = self.waiting.iter().position(|(_, of)| *of == arn)
            && let Some((invocation, _)) = self.waiting.remove(place)
        {
            self.becomes(environment, Phase::Busy(invocation));
            return Rest::Runs {
                invocation,
                from: None,
            };
        }
        let Some(function) = self.functions.get_mut(&arn) else {
            return Rest::Idle;
        };
        if let Some(from) = function.starting.pop_first()
            && let Some(Phase::Busy(invocation)) = self.environments.get(&from).map(|one| one.phase)
        {
            // Below those that have started: they are used first.
            function.idle.insert(0, from);
            self.becomes(from, Phase::Idle(now));
            self.becomes(environment, Phase::Busy(invocation));
            return Rest::Runs {
                invocation,
                from: Some(from),
            };
        }
        function.idle.push(environment);
        self.becomes(environment, Phase::Idle(now));
        Rest::Idle
    }

    /// An environment has started, and what it has is its own.
    pub fn ready(&mut self, environment: u64) {
        if let Some(one) = self.environments.get_mut(&environment) {
            one.is_ready = true;
            if let Some(function) = self.functions.get_mut(&one.spec.arn) {
                function.starting.remove(&environment);
            }
        }
    }

    /// An environment is about to be ended; if it has an invocation, that ends with it.
    pub fn doomed(&mut self, environment: u64) {
        match self.environments.get(&environment).map(|found| found.phase) {
            Some(Phase::Busy(invocation)) => self.ends(environment, Some(invocation)),
            Some(Phase::Idle(_)) => {
                self.rouse(environment);
                self.ends(environment, None);
            }
            Some(Phase::Ending(_)) | None => {}
        }
    }

    /// Nothing of an environment is left. Tells what may be started in its place.
    pub fn ended(&mut self, now: Mono, environment: u64) -> Vec<Cold> {
        self.doomed(environment);
        self.release(environment);
        if self.environments.remove(&environment).is_some() {
            self.ending -= 1;
        }
        let mut begun = Vec::new();
        while self.environments.len() < self.limits.environments
            && let Some((invocation, arn)) = self.waiting.pop_front()
        {
            // Those of functions that are gone were refused when these went.
            if let Some(function) = self.functions.get(&arn) {
                let spec = Arc::clone(&function.spec);
                begun.push(self.start(now, invocation, spec));
            }
        }
        begun
    }

    /// Which environments have been idle for too long, or are too old: they are to end.
    pub fn tick(&mut self, now: Mono) -> Vec<u64> {
        let is_over = |one: &Environment| match one.phase {
            Phase::Idle(since) => now >= since + self.limits.idle || now >= one.born + self.limits.age,
            _ => false,
        };
        let over: Vec<u64> = self
            .environments
            .iter()
            .filter(|(_, one)| is_over(one))
            .map(|(&environment, _)| environment)
            .collect();
        over.iter().for_each(|&environment| self.doomed(environment));
        over
    }

    /// The environments of a function, and its invocations, those that wait included.
    pub fn count(&self, arn: &str) -> (usize, u32) {
        let environments = self.environments.values().filter(|one| one.spec.arn == arn);
        (environments.count(), self.running.get(arn).copied().unwrap_or(0))
    }

    /// Whether there is such a function.
    pub fn knows(&self, arn: &str) -> bool {
        self.functions.contains_key(arn)
    }

    fn start(&mut self, now: Mono, invocation: u64, spec: Arc<FunctionSpec>) -> Cold {
        let environment = self.next;
        self.next += 1;
        let one = Environment {
            spec: Arc::clone(&spec),
            born: now,
            is_ready: false,
            phase: Phase::Busy(invocation),
        };
        if let Some(function) = self.functions.get_mut(&spec.arn) {
            function.starting.insert(environment);
        }
        self.environments.insert(environment, one);
        Cold {
            environment,
            invocation,
            spec,
        }
    }

    fn longest_idle(&self) -> Option<u64> {
        let idle = self.environments.iter().filter_map(|(&id, one)| match one.phase {
            Phase::Idle(since) => Some((since, id)),
            _ => None,
        });
        idle.min().map(|(_, id)| id)
    }

    /// Takes an idle one off its function's list.
    fn rouse(&mut self, environment: u64) {
        if let Some(one) = self.environments.get(&environment)
            && let Some(function) = self.functions.get_mut(&one.spec.arn)
        {
            function.idle.retain(|&idle| idle != environment);
        }
    }

    fn becomes(&mut self, environment: u64, phase: Phase) {
        if let Some(one) = self.environments.get_mut(&environment) {
            one.phase = phase;
        }
    }

    fn ends(&mut self, environment: u64, invocation: Option<u64>) {
        if let Some(one) = self.environments.get(&environment)
            && let Some(function) = self.functions.get_mut(&one.spec.arn)
        {
            function.starting.remove(&environment);
        }
        self.becomes(environment, Phase::Ending(invocation));
        self.ending += 1;
    }

    /// The invocation of an environment that ends is over.
    fn release(&mut self, environment: u64) {
        if let Some(one) = self.environments.get_mut(&environment)
            && let Phase::Ending(Some(_)) = one.phase
        {
            one.phase = Phase::Ending(None);
            let arn = one.spec.arn.clone();
            self.done(&arn);
        }
    }

    fn done(&mut self, arn: &str) {
        if let Some(running) = self.running.get_mut(arn) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(arn);
            }
        }
    }
}

#[cfg(test)]
#[path = "pool/tests.rs"]
mod tests;
