//! A function's answer: how it is read, and how it is sent to the client.

use super::outcome::reason;
use super::upload::Upload;
use crate::buffers::RequestBuffers;
use crate::connection::Next;
use crate::deadlines::Ended;
use crate::framing::Framing;
use crate::head::AnswerHead;
use crate::linger::{Owes, linger};
use crate::memory::Held;
use crate::pump::{HEADROOM, TAILROOM, poll_write_pair};
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_functions::alb::{Answer, BadAnswer, Values, read_answer};
use forebay_functions::{InvokeError, Invoked};
use forebay_model::limits;
use forebay_node::{Outcome, Reason, phrase};
use std::future::poll_fn;
use std::io::Write as _;
use tokio::sync::oneshot::error::RecvError;

/// Reads the result of an invocation as an answer; an error says why it is none.
pub(super) fn read(
    done: Result<Result<Invoked, InvokeError>, RecvError>,
    values: Values,
    held: &mut Held,
) -> Result<Answer, Reason> {
    let invoked = match done {
        Ok(Ok(invoked)) => invoked,
        Ok(Err(error)) => return Err(not_asked(&error)),
        Err(_) => return Err(Reason::FunctionsUnavailable),
    };
    if invoked.error.is_some() {
        return Err(Reason::FunctionFailed);
    }
    // The document and the body made from it exist already, so they are counted even if memory is short.
    held.take(invoked.payload.len() * 2);
    let answer = read_answer(&invoked.payload, values).map_err(|bad| match bad {
        BadAnswer::Malformed => Reason::BadFunctionAnswer,
        BadAnswer::TooLarge => Reason::FunctionAnswerTooLarge,
    })?;
    held.keep(answer.body.len());
    Ok(answer)
}

fn not_asked(error: &InvokeError) -> Reason {
    match error {
        InvokeError::NotFound => Reason::FunctionNotFound,
        InvokeError::ReservedConcurrency | InvokeError::Concurrency => Reason::FunctionThrottled,
        InvokeError::TooLarge(_) => Reason::BodyTooLarge,
        InvokeError::Unwanted | InvokeError::Unavailable(_) => Reason::FunctionsUnavailable,
    }
}

impl<W: Wire> RequestContext<'_, W> {
    /// Passes a function's answer on, whose memory `held` counts, and settles the exchange.
    pub(super) async fn answer_for_function(&mut self, upload: &Upload, answer: Answer, held: Held) -> Next {
        let keep = self.keep && upload.is_whole() && !self.session.worker.leaving.get();
        let framing = if self.incoming.to_head || matches!(answer.status, 204 | 304) {
            Framing::None
        } else {
            Framing::Length(answer.body.len() as u64)
        };
        let head = match self.stand_for(&answer) {
            Ok(head) => head,
            // Nothing has gone out yet, so the client can still be told.
            Err(reason) => return self.fail(reason, keep && !upload.streamed).await,
        };
        self.decide(Outcome::Answered(answer.status));
        // The function is done: if it is deregistered now, the client is not affected.
        self.session.deadline.watch(None);
        let extras = self.extras(head.says.dated);
        self.begin_answer(&head, (framing, false), keep, &extras);
        let body = if framing == Framing::None {
            &[][..]
        } else {
            &answer.body[..]
        };
        let failed = self.send_whole(body).await;
        // Freed first: reading what the client still sends may take long.
        drop((answer, held));
        if let Some(reason) = failed {
            self.decide(Outcome::Failed(reason));
            let now = self.now();
            self.log(now);
            return self.cut(reason, false).await;
        }
        let now = self.now();
        self.log(now);
        if keep {
            self.session.buffers.start = upload.next;
            Next::Idle
        } else {
            let owes = Owes::of(upload.pump.left(), self.idle_timeout());
            Box::pin(linger(&mut self.session, owes)).await;
            Next::Close
        }
    }

    /// Writes the answer's head where a target's would be, so that all that is done with heads is done with this one, too.
    fn stand_for(&mut self, answer: &Answer) -> Result<AnswerHead, Reason> {
        let mut head = Vec::with_capacity(512);
        let said = answer.phrase.as_deref().unwrap_or_else(|| phrase(answer.status));
        let _ = write!(head, "HTTP/1.1 {} {said}\r\n", answer.status);
        for (name, value) in &answer.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !matches!(answer.status, 204 | 304) {
            let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
        }
        head.extend_from_slice(b"\r\n");
        if head.len() > limits::RESPONSE_HEAD_BYTES {
            return Err(Reason::BadFunctionAnswer);
        }
        let buffers = &mut *self.session.buffers;
        buffers.open_body();
        let fits = |buffers: &RequestBuffers| HEADROOM + head.len() + TAILROOM <= buffers.body.len();
        if !fits(buffers) {
            let pool = &self.session.worker.buffer_pool;
            pool.borrow_mut().enlarge_body(buffers);
        }
        if !fits(buffers) {
            return Err(Reason::MemoryCeiling);
        }
        buffers.body_end = HEADROOM + head.len();
        buffers.body[HEADROOM..buffers.body_end].copy_from_slice(&head);
        match AnswerHead::parse(&head, &mut buffers.answer_fields) {
            Ok(Some(head)) => Ok(head),
            Ok(None) | Err(_) => Err(Reason::BadFunctionAnswer),
        }
    }

    /// Sends `out` and then `body`. Some if that failed.
    async fn send_whole(&mut self, body: &[u8]) -> Option<Reason> {
        let (deadline, idle_timeout, worker) =
            (self.session.deadline, self.idle_timeout(), self.session.worker);
        deadline.arm(worker.recent() + idle_timeout, false);
        let mut written = 0;
        let sent = deadline
            .until(poll_fn(|cx| {
                let before = written;
                let out = &self.session.buffers.out;
                let polled = poll_write_pair(cx, self.session.client, out, body, &mut written);
                if polled.is_pending() && written > before {
                    deadline.arm(worker.recent() + idle_timeout, false);
                }
                polled
            }))
            .await;
        self.session.buffers.request_log.sent += written as u64;
        match sent {
            Ok(Ok(())) => self.session.client.finish().err().map(|_| Reason::ClientGone),
            Ok(Err(_)) => Some(Reason::ClientGone),
            Err(Ended::Late) => Some(Reason::ClientSilent),
            Err(ended) => Some(reason(ended)),
        }
    }
}
