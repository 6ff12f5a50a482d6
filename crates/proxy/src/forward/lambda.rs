//! A request on its way to a function: the whole request becomes an event, the function is invoked, and its result becomes
//! an answer.

use super::attempt::Upstream;
use super::function_answer::read;
use super::outcome::{Instead, reason};
use super::upload::Upload;
use crate::connection::Next;
use crate::deadlines::Ended;
use crate::framing::Framing;
use crate::head::{Bounds, RequestHead};
use crate::invocation::{Pending, invoke};
use crate::memory::Held;
use crate::names::Known;
use crate::pump::PumpError;
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_functions::alb::{self, BODY_BYTES, Values, event};
use forebay_node::{Candidate, Outcome, Reason, Reuse, TargetView};
use forebay_units::Mono;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// A function that was invoked.
pub(super) struct Lambda {
    pending: Pending,
    values: Values,
    /// The memory that the event and the answer hold.
    held: Held,
}

impl<W: Wire> Upstream<W> for Lambda {
    type Head = alb::Answer;

    async fn open(
        context: &mut RequestContext<'_, W>,
        target: &TargetView,
        _: Reuse,
        upload: &mut Upload,
    ) -> Result<Lambda, Instead> {
        let failed = |reason| Instead::from(Outcome::Failed(reason));
        let worker = context.session.worker;
        let mut held = worker.buffer_pool.borrow().hold();
        let buffers = &mut *context.session.buffers;
        // We wrote this head ourselves: the client is not at fault.
        let head = RequestHead::parse_within(&buffers.out, &mut buffers.answer_fields, &Bounds::NODE);
        let Ok(Some(head)) = head else {
            return Err(failed(Reason::Malformed));
        };
        let body = context.whole_body(head.length, upload, &mut held).await;
        let body = body.map_err(failed)?;
        let made = context.event(&head, &body).map_err(failed)?;
        if !held.try_take(made.payload.len()) {
            return Err(failed(Reason::MemoryCeiling));
        }
        // The event contains the body: only the event is counted from here on.
        drop(body);
        held.keep(made.payload.len());
        // Starts here, so that the time in which the client sent its body does not count as the function's.
        context.exchange.connected(worker.now());
        Ok(Lambda {
            pending: invoke(&*worker.functions, &target.name, made.payload, made.trace),
            values: made.values,
            held,
        })
    }

    fn until(&mut self, context: &RequestContext<'_, W>, upload: &mut Upload) -> Mono {
        context.until(upload)
    }

    fn poll_head(
        &mut self,
        context: &mut RequestContext<'_, W>,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        _: &mut bool,
    ) -> Poll<Result<alb::Answer, Outcome>> {
        match Pin::new(&mut self.pending).poll(cx) {
            Poll::Ready(done) => {
                Poll::Ready(read(done, self.values, &mut self.held).map_err(Outcome::Failed))
            }
            Poll::Pending if context.has_left(cx, upload) => {
                Poll::Ready(Err(Outcome::Failed(Reason::ClientGone)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn blame(&self, _: &RequestContext<'_, W>, _: &Upload, ended: Ended) -> Reason {
        match ended {
            Ended::Late => Reason::FunctionSilent,
            ended => reason(ended),
        }
    }

    fn status(answer: &alb::Answer) -> u16 {
        answer.status
    }

    fn candidate(_: &RequestContext<'_, W>, answer: &alb::Answer, _: &Upload) -> Candidate {
        Candidate {
            status: answer.status,
            retry_after: None,
            // It ran: sending the event again could do its work twice.
            replayable: false,
            permit_refused: false,
        }
    }

    fn relay(
        self,
        context: &mut RequestContext<'_, W>,
        _: &TargetView,
        upload: &mut Upload,
        answer: alb::Answer,
    ) -> impl Future<Output = Next> {
        context.answer_for_function(upload, answer, self.held)
    }

    fn abandon(self, _: &mut RequestContext<'_, W>, _: &Upload, _: &Instead) {}
}

/// The input of an invocation.
struct Made {
    payload: Vec<u8>,
    values: Values,
    trace: Option<String>,
}

impl<W: Wire> RequestContext<'_, W> {
    /// The event of the request whose head is in `out`.
    fn event(&self, head: &RequestHead, body: &[u8]) -> Result<Made, Reason> {
        let buffers = &*self.session.buffers;
        let snapshot = buffers.request_log.snapshot.clone();
        let snapshot = snapshot.unwrap_or_else(|| self.session.worker.snapshot());
        let group = self.exchange.group().and_then(|group| snapshot.group(group));
        let group = group.ok_or(Reason::NoTarget)?;
        let values = Values::of(group.settings().multi_value_headers);
        let (out, fields) = (&buffers.out[..], &buffers.answer_fields);
        // The body was decoded, so the header would be wrong.
        let lines = fields.iter().filter(|field| !field.is(Known::TransferEncoding));
        let headers: Vec<_> = lines.map(|field| (field.name(out), field.value(out))).collect();
        let request = alb::Request {
            target_group_arn: &group.blueprint.arn,
            method: head.method(out),
            target: head.target(out),
            headers: &headers,
            body,
        };
        let trace = fields.iter().find(|field| field.is(Known::TraceId));
        let trace = trace.and_then(|field| core::str::from_utf8(field.value(out)).ok());
        Ok(Made {
            payload: event(&request, values).map_err(|_| Reason::NotUtf8)?,
            values,
            trace: trace.map(str::to_owned),
        })
    }

    /// The request's whole body, whose beginning is in `out` behind the head.
    async fn whole_body(
        &mut self,
        head: usize,
        upload: &mut Upload,
        held: &mut Held,
    ) -> Result<Vec<u8>, Reason> {
        (upload.written, upload.sent) = (self.session.buffers.out.len(), true);
        let at_hand = &self.session.buffers.out[head..];
        let mut sink = Sink {
            body: Vec::with_capacity(match self.incoming.framing {
                Framing::Length(length) => usize::try_from(length).unwrap_or(0).min(BODY_BYTES),
                _ => at_hand.len(),
            }),
            held,
            full: None,
        };
        if let Some(reason) = sink.take(at_hand) {
            return Err(reason);
        }
        if upload.pump.is_done() {
            return Ok(sink.body);
        }
        // These bytes leave the connection, so the request could not be sent to another target.
        upload.streamed = true;
        let deadline = self.session.deadline;
        deadline.arm(self.until(upload), false);
        let read = poll_fn(|cx| {
            let mut progress = false;
            let input = &mut self.session.buffers.input;
            let polled = upload
                .pump
                .poll(cx, self.session.client, &mut sink, input, &mut progress);
            self.session.buffers.request_log.body = upload.pump.taken;
            if polled.is_pending() && progress {
                deadline.arm(self.until(upload), false);
            }
            polled
        });
        match deadline.until(read).await {
            Ok(Ok(())) => {
                (upload.next, self.session.buffers.end) = upload.pump.leftover();
                Ok(sink.body)
            }
            Ok(Err(PumpError::Sink)) => Err(sink.full.unwrap_or(Reason::BodyTooLarge)),
            // A client that closes its half before the body's end may still read: ALB answers 400.
            Ok(Err(PumpError::Source | PumpError::BadChunk)) => {
                upload.broken = true;
                Err(Reason::BodyBroken)
            }
            Err(Ended::Late) => Err(Reason::ClientSilent),
            Err(ended) => Err(reason(ended)),
        }
    }
}

/// Collects a body within the limits.
struct Sink<'h> {
    body: Vec<u8>,
    held: &'h mut Held,
    /// The limit that it has reached.
    full: Option<Reason>,
}

impl Sink<'_> {
    /// Takes these bytes, or returns the limit that they exceed.
    fn take(&mut self, bytes: &[u8]) -> Option<Reason> {
        if self.body.len() + bytes.len() > BODY_BYTES {
            return Some(Reason::BodyTooLarge);
        }
        if !self.held.try_take(bytes.len()) {
            return Some(Reason::MemoryCeiling);
        }
        self.body.extend_from_slice(bytes);
        None
    }
}

impl AsyncWrite for Sink<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.full = self.take(bytes);
        let taken = if self.full.is_none() { bytes.len() } else { 0 };
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
