//! The end of an invocation: by its runtime's answer, or by the end of its environment.

use super::Engine;
use super::parts::Cause;
use crate::functions::memory;
use crate::functions::shim::Exit;
use crate::functions::words::{Failure, Report};
use forebay_functions::{FunctionError, Invoked, Rest, Runtime};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most pieces of output that are read at once when an invocation ends.
const DRAINED: usize = 64;
/// Python's message when AWS's client is missing.
const MISSING: &str = "No module named awslambdaric";

impl Engine {
    /// Called when the runtime has answered an invocation that `has` knows.
    pub(in crate::functions) fn answered(&mut self, id: u64, payload: Vec<u8>) {
        self.finish(id, payload, None, None);
        self.rest(id);
    }

    /// Called when the runtime has reported that an invocation failed.
    pub(in crate::functions) fn failed(&mut self, id: u64, payload: Vec<u8>) {
        self.finish(id, payload, Some(FunctionError::Unhandled), None);
        self.rest(id);
    }

    /// Called when the runtime's answer was larger than allowed.
    pub(in crate::functions) fn answered_too_much(&mut self, id: u64) {
        self.fail(id, Failure::AnswerTooLarge, None);
        self.rest(id);
    }

    /// Called when the runtime has reported that it cannot start. False if it has started already.
    pub(in crate::functions) fn failed_to_begin(&mut self, id: u64, document: Vec<u8>) -> bool {
        let can = self.environments.get(&id).is_some_and(|one| !one.is_ready);
        if can {
            self.end(id, Cause::Init(document));
        }
        can
    }

    /// Decides what an environment does after an invocation.
    pub(super) fn rest(&mut self, id: u64) {
        match self.pool.finished(self.now(), id) {
            Rest::Idle => {}
            Rest::Ends => self.end(id, Cause::Retired),
            Rest::Runs { invocation, from } => {
                if let Some(from) = from {
                    self.unbind(from);
                }
                self.bind(id, invocation);
            }
        }
    }

    pub(super) fn end_invocation(&mut self, id: u64, exit: Exit) {
        let Some(environment) = self.environments.get_mut(&id) else {
            return;
        };
        let failure = match environment.cause.take() {
            Some(Cause::Init(document)) => {
                return self.finish(id, document, Some(FunctionError::Unhandled), None);
            }
            Some(Cause::Failed(failure)) => failure,
            Some(Cause::Retired) | None => Failure::Ended(exit),
        };
        self.drain(id);
        let hint = self.hint(id, &failure);
        self.fail(id, failure, hint);
    }

    /// A hint what may help, in known cases.
    fn hint(&self, id: u64, failure: &Failure) -> Option<&'static str> {
        let environment = self.environments.get(&id)?;
        let says = environment.tail.bytes();
        let is_missing = says
            .windows(MISSING.len())
            .any(|window| window == MISSING.as_bytes());
        let is_start = !environment.is_ready && matches!(failure, Failure::Ended(_));
        (is_missing && is_start && environment.spec.runtime == Runtime::Python).then_some(
            "functions in Python need AWS's Runtime API client: install it for this Python with `pip install awslambdaric`, \
             or put it into the function's code",
        )
    }

    pub(super) fn fail(&mut self, id: u64, failure: Failure, hint: Option<&str>) {
        let Some(environment) = self.environments.get(&id) else {
            return;
        };
        let pending = environment
            .bound
            .as_ref()
            .and_then(|bound| self.pending.get(&bound.invocation));
        let Some(pending) = pending else { return };
        let document = failure.document(&pending.request_id, hint);
        let error = match failure {
            Failure::TimedOut(_) => FunctionError::TimedOut,
            Failure::AnswerTooLarge => FunctionError::Unhandled,
            _ => FunctionError::Crashed,
        };
        self.finish(id, document, Some(error), Some(failure));
    }

    /// Answers an environment's invocation.
    pub(super) fn finish(
        &mut self,
        id: u64,
        payload: Vec<u8>,
        error: Option<FunctionError>,
        failure: Option<Failure>,
    ) {
        self.drain(id);
        self.end_line(id);
        let Some(environment) = self.environments.get_mut(&id) else {
            return;
        };
        let Some(bound) = environment.bound.take() else {
            return;
        };
        if let Some(timer) = bound.timer {
            timer.abort();
        }
        let Some(pending) = self.pending.remove(&bound.invocation) else {
            return;
        };
        if environment.peak.load(Ordering::Relaxed) == 0 && environment.cause.is_none() {
            memory::look(environment.shim, u64::MAX, &environment.peak);
        }
        let duration = bound.began.map_or(Duration::ZERO, |began| began.elapsed());
        let now = jiff::Timestamp::now();
        let report = Report {
            request_id: &pending.request_id,
            duration,
            init: environment.init.take(),
            memory_mib: environment.spec.memory_mib,
            used_bytes: environment.peak.load(Ordering::Relaxed),
            failure: failure.as_ref(),
            now: &now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        };
        let lines = report.lines();
        environment.tail.say(lines.as_bytes());
        self.logs.say(&environment.spec.name, lines.as_bytes(), None);
        let log = pending.wants_log.then(|| environment.tail.bytes());
        environment.tail.clear();
        self.count(&pending.arn, |stats| {
            stats.running -= 1;
            stats.invocations += 1;
            stats.errors += u64::from(error.is_some());
            stats.timeouts += u64::from(error == Some(FunctionError::TimedOut));
            stats.took(duration);
        });
        (pending.done)(Ok(Invoked {
            payload,
            error,
            request_id: pending.request_id,
            log,
        }));
    }

    /// Reads an environment's output so far, so that it precedes the report in the log.
    pub(super) fn drain(&mut self, id: u64) {
        let Some(output) = self.environments.get(&id).and_then(|one| one.output.clone()) else {
            return;
        };
        let mut buffer = [0; 16 << 10];
        for _ in 0..DRAINED {
            match output.try_read(&mut buffer) {
                Ok(count @ 1..) => self.said(id, &buffer[..count], None),
                _ => return,
            }
        }
    }
}
