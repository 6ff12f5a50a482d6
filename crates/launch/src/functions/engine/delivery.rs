//! How an invocation reaches its runtime, and when its timeout begins.

use super::Engine;
use super::parts::{Bound, Delivery, Due, Next};
use crate::functions::words;
use forebay_functions::InvokeError;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

impl Engine {
    /// Gives an invocation to an existing environment. Its timeout runs from now, or from when the environment has started.
    pub(super) fn bind(&mut self, id: u64, invocation: u64) {
        if let Some(environment) = self.environments.get_mut(&id) {
            environment.bound = Some(Bound {
                invocation,
                is_delivered: false,
                began: None,
                timer: None,
            });
            if environment.is_init_over {
                self.begin(id);
            }
            if let Some(waiting) = self.environments.get_mut(&id).and_then(|one| one.waiting.take())
                && let Some(delivery) = self.delivery(id)
                && let Err(delivery) = waiting.send(delivery)
            {
                // The request that waited is gone; the runtime sends another, or ends.
                drop(delivery);
                self.undelivered(id);
            }
        }
    }

    /// Takes an invocation from an environment that has not started yet, because another was free first.
    pub(super) fn unbind(&mut self, id: u64) {
        let bound = self.environments.get_mut(&id).and_then(|one| one.bound.take());
        if let Some(timer) = bound.and_then(|bound| bound.timer) {
            timer.abort();
        }
    }

    /// Starts the timeout of an environment's invocation, if it is not running yet.
    pub(super) fn begin(&mut self, id: u64) {
        let Some(environment) = self.environments.get(&id) else {
            return;
        };
        let limit = Duration::from_secs(u64::from(environment.spec.timeout_s));
        if environment
            .bound
            .as_ref()
            .is_some_and(|bound| bound.began.is_none())
        {
            let timer = self.arm(id, limit, Due::Invocation);
            if let Some(bound) = self.environments.get_mut(&id).and_then(|one| one.bound.as_mut()) {
                bound.began = Some(Instant::now());
                bound.timer = Some(timer);
            }
        }
    }

    fn delivery(&mut self, id: u64) -> Option<Delivery> {
        self.begin(id);
        let environment = self.environments.get_mut(&id)?;
        let bound = environment.bound.as_mut()?;
        let pending = self.pending.get_mut(&bound.invocation)?;
        let limit = Duration::from_secs(u64::from(environment.spec.timeout_s));
        let left = limit.saturating_sub(bound.began?.elapsed());
        let delivery = Delivery {
            request_id: pending.request_id.clone(),
            deadline_ms: crate::record::now_ms() + u64::try_from(left.as_millis()).unwrap_or(0),
            arn: environment.spec.arn.clone(),
            trace: pending.trace.clone(),
            client_context: pending.client_context.clone(),
            payload: pending.payload.clone(),
            begin: pending.begin.take(),
        };
        bound.is_delivered = true;
        let line = words::start_line(&pending.request_id);
        environment.tail.say(line.as_bytes());
        self.logs.say(&environment.spec.name, line.as_bytes(), None);
        Some(delivery)
    }

    /// Called when the invoker, asked whether the invocation should begin, does not want it any more.
    pub(in crate::functions) fn unwanted(&mut self, id: u64) {
        let Some(bound) = self.environments.get_mut(&id).and_then(|one| one.bound.take()) else {
            return;
        };
        if let Some(timer) = bound.timer {
            timer.abort();
        }
        if let Some(pending) = self.pending.remove(&bound.invocation) {
            self.count(&pending.arn, |stats| stats.running -= 1);
            (pending.done)(Err(InvokeError::Unwanted));
        }
        self.rest(id);
    }

    fn undelivered(&mut self, id: u64) {
        if let Some(bound) = self.environments.get_mut(&id).and_then(|one| one.bound.as_mut()) {
            bound.is_delivered = false;
        }
    }

    /// Called when the runtime asks for the next invocation.
    pub(in crate::functions) fn next(&mut self, id: u64) -> Next {
        let Some(environment) = self.environments.get_mut(&id) else {
            return Next::Refused;
        };
        if environment.cause.is_some() || environment.bound.as_ref().is_some_and(|bound| bound.is_delivered) {
            return Next::Refused;
        }
        if !environment.is_ready {
            environment.is_ready = true;
            environment.is_init_over = true;
            environment.permit = None;
            self.pool.ready(id);
            environment.init = Some(environment.began.elapsed());
            if let Some(timer) = environment.init_timer.take() {
                timer.abort();
            }
        }
        if environment.bound.is_some()
            && let Some(delivery) = self.delivery(id)
        {
            return Next::Now(delivery);
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(environment) = self.environments.get_mut(&id) {
            environment.waiting = Some(sender);
        }
        Next::Later(receiver)
    }

    /// Whether this is the environment's current invocation.
    pub(in crate::functions) fn has(&self, id: u64, request_id: &str) -> bool {
        self.environments.get(&id).is_some_and(|environment| {
            let bound = environment.bound.as_ref().filter(|bound| bound.is_delivered);
            let pending = bound.and_then(|bound| self.pending.get(&bound.invocation));
            environment.cause.is_none() && pending.is_some_and(|pending| pending.request_id == request_id)
        })
    }
}
