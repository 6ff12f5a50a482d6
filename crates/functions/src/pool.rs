//! Decides which environment gets an invocation, and when environments start and end.
//!
//! An environment is one process of a function, with everything that it starts. It has one invocation at a time. Each
//! start is for an invocation, so a function that dies at once is started as often as it is invoked and no more. An
//! environment that becomes free before another one has started takes over that one's invocation. Otherwise, during a
//! slow start, all invocations that arrive would cause further starts.

use crate::{FunctionSpec, InvokeError};
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Limits of environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Maximum number of environments of all functions, including those that are ending.
    pub environments: usize,
    /// How long one without an invocation is kept.
    pub idle: Duration,
    /// Maximum age of an environment; it ends at its next rest.
    pub age: Duration,
}

/// The placement of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// In an existing environment that is idle, or that is starting without an invocation.
    Warm {
        /// The environment.
        environment: u64,
    },
    /// In a new environment.
    Cold(Cold),
    /// In a new environment that is started as soon as another has ended.
    Waits {
        /// The idle environment of another function that must end for it; `None` if one is ending already.
        evicted: Option<u64>,
    },
}

/// An environment to start for an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cold {
    /// Its number; never reused.
    pub environment: u64,
    /// The invocation that it is started for.
    pub invocation: u64,
    /// The function that it runs.
    pub spec: Arc<FunctionSpec>,
}

/// What an environment does after an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It waits for the next invocation.
    Idle,
    /// It must end: its function was changed or deleted, or it is too old.
    Ends,
    /// It runs an invocation that has waited.
    Runs {
        /// The invocation.
        invocation: u64,
        /// The environment that was being started for it, which is idle once it has started; `None` if there was none
        /// yet.
        from: Option<u64>,
    },
}

/// The consequences of a new list of functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Environments that must end.
    pub ended: Vec<u64>,
    /// Waiting invocations of functions that no longer exist.
    pub refused: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Busy(u64),
    Idle(Mono),
    /// With the invocation that ends with the environment, if any.
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
    /// What environments are started from, without the reserved concurrency.
    spec: Arc<FunctionSpec>,
    /// Maximum number of concurrent invocations. Environments know nothing of it, so a change of it ends none.
    reserved: Option<u32>,
    /// Idle environments; the most recently used is last.
    idle: Vec<u64>,
    /// Environments that are starting with an invocation, which the first free environment takes over.
    starting: BTreeSet<u64>,
}

/// All environments. Each call costs the logarithm of their number, except that an eviction looks at all of them.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    functions: BTreeMap<String, Function>,
    environments: BTreeMap<u64, Environment>,
    /// Number of invocations by function, waiting ones included; without zeros.
    running: BTreeMap<String, u32>,
    /// Invocations that wait for an environment to end; never more than are ending.
    waiting: VecDeque<(u64, String)>,
    ending: usize,
    next: u64,
}

impl Pool {
    /// A pool without functions.
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

    /// Replaces the list of functions. Running invocations continue with the version they were started from.
    pub fn publish(&mut self, specs: Vec<FunctionSpec>) -> Published {
        let mut before = std::mem::take(&mut self.functions);
        let mut published = Published::default();
        for mut spec in specs {
            let reserved = spec.reserved_concurrency.take();
            let function = match before.remove(&spec.arn) {
                Some(same) if *same.spec == spec => Function { reserved, ..same },
                changed => {
                    published
                        .ended
                        .extend(changed.into_iter().flat_map(|old| old.idle));
                    Function {
                        spec: Arc::new(spec),
                        reserved,
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

    /// Places an invocation.
    pub fn invoke(&mut self, now: Mono, invocation: u64, arn: &str) -> Result<Placed, InvokeError> {
        let function = self.functions.get_mut(arn).ok_or(InvokeError::NotFound)?;
        let running = self.running.get(arn).copied().unwrap_or(0);
        if function.reserved.is_some_and(|most| running >= most) {
            return Err(InvokeError::ReservedConcurrency);
        }
        let placed = if let Some(environment) = function.idle.pop() {
            let one = self.environments.get_mut(&environment);
            if let Some(one) = one {
                one.phase = Phase::Busy(invocation);
                // Its first invocation was taken over while it started; this one may be, too.
                if !one.is_ready {
                    function.starting.insert(environment);
                }
            }
            Placed::Warm { environment }
        } else if self.environments.len() < self.limits.environments {
            let spec = Arc::clone(&function.spec);
            Placed::Cold(self.start(now, invocation, spec))
        } else if self.ending > self.waiting.len() {
            // An environment that ends already, and that nobody waits for, makes room without an eviction.
            self.waiting.push_back((invocation, arn.to_owned()));
            Placed::Waits { evicted: None }
        } else {
            // The least recently used one. It belongs to another function, because an idle one of this function would
            // have been taken above.
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

    /// The invocation of an environment is over, and the environment still runs.
    pub fn finished(&mut self, now: Mono, environment: u64) -> Rest {
        self.ready(environment);
        let Some(found) = self.environments.get(&environment) else {
            return Rest::Ends;
        };
        let Phase::Busy(_) = found.phase else {
            // It was already ending, together with its invocation.
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
        // This environment can run it at once, instead of one that would have to start.
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
            // Before those that have started, so that those are used first.
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

    /// An environment has started, so its invocation can no longer be taken over.
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

    /// An environment has ended completely. Returns the environments that may be started in its place.
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
            // Invocations of deleted functions were refused when those were deleted.
            if let Some(function) = self.functions.get(&arn) {
                let spec = Arc::clone(&function.spec);
                begun.push(self.start(now, invocation, spec));
            }
        }
        begun
    }

    /// The environments that have been idle too long or are too old; they must end.
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

    /// Number of environments of a function, and of its invocations, waiting ones included.
    pub fn count(&self, arn: &str) -> (usize, u32) {
        let environments = self.environments.values().filter(|one| one.spec.arn == arn);
        (environments.count(), self.running.get(arn).copied().unwrap_or(0))
    }

    /// Whether this function exists.
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

    /// Removes an idle environment from its function's list.
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

    /// Ends the invocation of an environment that is ending.
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
