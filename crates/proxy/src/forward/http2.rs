//! A request on its way to an HTTP/2 target: frames in, frames out, trailers included.

use super::attempt::{Interim, Upstream};
use super::body::{Body, Broken, REPLAY_BYTES};
use super::extras::retry_after;
use super::outcome::{Instead, reason};
use super::owed::Owed;
use super::upload::Upload;
use crate::connection::Next;
use crate::cookies;
use crate::deadlines::Ended;
use crate::framing::Framing;
use crate::h2::request::is_grpc;
use crate::h2::target::{SEND_BUFFER, STREAM_WINDOW, passport};
use crate::h2::{Inflow, Passport, Share, add_extras, head_bytes, is_too_long, spell};
use crate::linger::{Owes, linger};
use crate::names::Known;
use crate::session::RequestContext;
use crate::wire::Wire;
use ::h2::client::ResponseFuture;
use ::h2::{Reason as Code, RecvStream, SendStream};
use bytes::{Bytes, BytesMut};
use forebay_node::{Candidate, Death, Outcome, Reason, Reuse, Sent, Speaks, TargetView};
use forebay_units::Mono;
use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, TE};
use http::response::Parts;
use http::{Request, Response};
use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A stream on a connection that many requests share, with the request's body.
pub(super) struct Http2 {
    response: ResponseFuture,
    sink: SendStream<Bytes>,
    up: Body,
    reused: bool,
    /// The minimum rate at which the client must send the body.
    owed: Owed,
    interim: Interim,
    /// False once the connection takes no more requests.
    alive: Rc<Cell<bool>>,
    _share: Share,
}

impl<W: Wire> Upstream<W> for Http2 {
    type Head = Response<RecvStream>;

    async fn open(
        context: &mut RequestContext<'_, W>,
        target: &TargetView,
        reuse: Reuse,
        upload: &mut Upload,
    ) -> Result<Http2, Instead> {
        let pass = passport(context, target, reuse).await?;
        if !pass.reused {
            context.connected();
        }
        if !has_memory(context) {
            return Err(Outcome::Failed(Reason::MemoryCeiling).into());
        }
        let buffers = &mut *context.session.buffers;
        // We wrote this head ourselves: if it cannot be spelled, the target is not at fault.
        let Some(request) = spell(&buffers.out, &mut buffers.answer_fields, target) else {
            return Err(Outcome::Failed(Reason::Malformed).into());
        };
        let reused = pass.reused;
        let sent = send(context, pass, request).await;
        sent.map_err(|sent| died(reused, sent, upload).into())
    }

    fn until(&mut self, context: &RequestContext<'_, W>, _: &mut Upload) -> Mono {
        self.until(context.session.worker.recent(), context.idle_timeout())
    }

    fn poll_head(
        &mut self,
        context: &mut RequestContext<'_, W>,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Poll<Result<Response<RecvStream>, Outcome>> {
        let failed = |reason| Poll::Ready(Err(Outcome::Failed(reason)));
        if let Some(stream) = context.session.client.stream() {
            let polled = self.up.poll(cx, &mut stream.body, &mut self.sink, progress);
            // Bytes that were passed on and are not kept any more cannot be sent to another target.
            upload.streamed |= self.up.taken;
            match polled {
                Poll::Ready(Err(Broken::Source)) => return failed(Reason::ClientGone),
                // The target may have answered before it stopped reading.
                Poll::Ready(Err(Broken::Sink)) => self.up.stop(),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        // `h2` queues interim answers without limit until they are polled.
        while let Poll::Ready(Some(Ok(_))) = self.response.poll_informational(cx) {
            if !self.interim.take(context.session.worker.recent()) {
                return failed(Reason::BadAnswer);
            }
        }
        match Pin::new(&mut self.response).poll(cx) {
            Poll::Ready(Ok(response)) if is_too_long(&response) => return failed(Reason::BadAnswer),
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => {
                let sent = self.sent(&error);
                return Poll::Ready(Err(died(self.reused, sent, upload)));
            }
            Poll::Pending => {}
        }
        // Watched at every poll, unlike in HTTP/1.1: this costs no system call.
        let gone = context.session.client.poll_gone(cx);
        gone.map(|()| Err(Outcome::Failed(Reason::ClientGone)))
    }

    fn blame(&self, context: &RequestContext<'_, W>, _: &Upload, ended: Ended) -> Reason {
        self.silent(context.session.worker.recent(), ended, false)
    }

    fn status(head: &Response<RecvStream>) -> u16 {
        head.status().as_u16()
    }

    fn candidate(_: &RequestContext<'_, W>, head: &Response<RecvStream>, upload: &Upload) -> Candidate {
        let asked = head.headers().get(RETRY_AFTER);
        let refused = |name: &HeaderName| Known::of(name.as_str().as_bytes()) == Known::WorkRefused;
        Candidate {
            status: head.status().as_u16(),
            retry_after: asked.and_then(|value| retry_after(value.as_bytes())),
            replayable: !upload.streamed,
            permit_refused: head.headers().keys().any(refused),
        }
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` stores its arguments twice in its future"
    )]
    fn relay(
        mut self,
        context: &mut RequestContext<'_, W>,
        _: &TargetView,
        _: &mut Upload,
        response: Response<RecvStream>,
    ) -> impl Future<Output = Next> {
        async move {
            // The answer has begun, so the request cannot be sent again.
            (self.up.taken, self.up.kept) = (true, BytesMut::new());
            let (parts, body) = response.into_parts();
            context.decide(Outcome::Answered(parts.status.as_u16()));
            let ends = body.is_end_stream();
            let head = passed_on(context, parts);
            context.session.buffers.request_log.sent += head_bytes(&head);
            let mut down = Body::once(ends);
            let failed = if context.session.client.send_head(head, ends).is_err() {
                Some(Reason::ClientGone)
            } else {
                self.bodies(context, &mut Inflow::new(body), &mut down).await
            };
            context.session.deadline.watch(None);
            context.session.buffers.request_log.body += self.up.moved;
            context.session.buffers.request_log.sent += down.moved;
            if let Some(reason) = failed {
                // The target would otherwise go on sending an answer that nobody takes.
                self.sink.send_reset(Code::CANCEL);
                context.decide(Outcome::Failed(reason));
            } else if let Some(stream) = context.session.client.stream() {
                stream.ended();
            }
            context.log(context.now());
            // The client may not read before it has sent everything, and dropping its stream now would discard the end of
            // the answer.
            if failed.is_none() && (self.up.stopped || !self.up.done) {
                let owes = Owes::of(u64::MAX, context.idle_timeout());
                linger(&mut context.session, owes).await;
            }
            Next::Close
        }
    }

    fn abandon(mut self, context: &mut RequestContext<'_, W>, upload: &Upload, instead: &Instead) {
        // A stream that died needs no reset.
        if !matches!(instead, Instead::Outcome(Outcome::Died(_))) {
            self.sink.send_reset(Code::CANCEL);
        }
        // The next attempt must see the body from its beginning.
        let kept = core::mem::take(&mut self.up.kept);
        if !upload.streamed
            && !kept.is_empty()
            && let Some(stream) = context.session.client.stream()
        {
            stream.body.put_back(kept);
        }
    }
}

/// Counts the memory that the stream to the target may come to hold of both bodies. False if there is not enough.
fn has_memory<W>(context: &mut RequestContext<'_, W>) -> bool {
    if !context.session.buffers.streams {
        let up = if context.incoming.framing == Framing::None {
            0
        } else {
            SEND_BUFFER + REPLAY_BYTES
        };
        let bytes = STREAM_WINDOW as usize + up;
        context.session.buffers.streams = context
            .session
            .worker
            .buffer_pool
            .borrow()
            .promise(context.session.buffers, bytes);
    }
    context.session.buffers.streams
}

/// Sends a request's head.
async fn send<W: Wire>(
    context: &mut RequestContext<'_, W>,
    pass: Passport,
    mut request: Request<()>,
) -> Result<Http2, Sent> {
    let Passport {
        mut sender,
        share,
        reused,
        alive,
    } = pass;
    if matches!(context.incoming.speaks, Speaks::Http2 { grpc: true, .. }) {
        // Without TE a gRPC server sends no status. It is a header of one connection only, so it was left out with the
        // others.
        request
            .headers_mut()
            .insert(TE, HeaderValue::from_static("trailers"));
    }
    let ends = context.incoming.framing == Framing::None;
    context.touch();
    let ready = poll_fn(|cx| sender.poll_ready(cx));
    let ready = context.session.deadline.until(ready).await;
    if !matches!(ready, Ok(Ok(()))) {
        // After GOAWAY the connection exists as long as the last of its streams; unmarked, each request would try it first.
        if matches!(ready, Ok(Err(_))) {
            alive.set(false);
        }
        return Err(Sent::Nothing);
    }
    let (response, sink) = sender.send_request(request, ends).map_err(|_| Sent::Nothing)?;
    Ok(Http2 {
        response,
        sink,
        up: Body {
            done: ends,
            ..Body::default()
        },
        reused,
        owed: Owed::new(context.listener.balancer.settings().minimum_request_rate),
        interim: Interim::begin(context.session.worker.recent()),
        alive,
        _share: share,
    })
}

impl Http2 {
    /// What became of the request when its stream died of `error`.
    fn sent(&self, error: &::h2::Error) -> Sent {
        if error.is_go_away() {
            // The connection exists as long as the last of its streams, but takes no new ones.
            self.alive.set(false);
        }
        if was_not_processed(error) {
            Sent::Unprocessed
        } else {
            Sent::Some
        }
    }

    /// The time by which frames must come: within the idle timeout, and as fast as the minimum rate demands of the client.
    fn until(&mut self, now: Mono, idle_timeout: Duration) -> Mono {
        if self.owed.is_asked() {
            let waits = !self.up.done && !self.up.held_up;
            self.owed.observe(now, self.up.moved, waits);
        }
        self.owed.due().min(now + idle_timeout)
    }

    /// The reason for a wait that was ended. `unread`: an answer waits for the client to take it.
    fn silent(&self, now: Mono, ended: Ended, unread: bool) -> Reason {
        if ended == Ended::Late && (unread || self.owed.is_late(now)) {
            return Reason::ClientSilent;
        }
        let waits_for_client = !self.up.done && !self.up.held_up;
        if ended == Ended::Late && !waits_for_client {
            // The path to the target may be broken without notice: other requests must not wait on this connection in vain.
            self.alive.set(false);
        }
        reason(ended)
    }

    /// Moves both bodies until the answer's is complete; then none.
    async fn bodies<W: Wire>(
        &mut self,
        context: &mut RequestContext<'_, W>,
        body: &mut Inflow,
        down: &mut Body,
    ) -> Option<Reason> {
        let (deadline, idle_timeout, worker) = (
            context.session.deadline,
            context.idle_timeout(),
            context.session.worker,
        );
        deadline.arm(self.until(worker.recent(), idle_timeout), false);
        let moved = deadline
            .until(poll_fn(|cx| {
                let Some((source, sink)) = context.session.client.stream().and_then(|stream| stream.both())
                else {
                    return Poll::Ready(None);
                };
                let mut progress = false;
                if let Poll::Ready(Err(broken)) = self.up.poll(cx, source, &mut self.sink, &mut progress) {
                    match broken {
                        Broken::Source => return Poll::Ready(Some(Reason::ClientGone)),
                        Broken::Sink => self.up.stop(),
                    }
                }
                let polled = down.poll(cx, body, sink, &mut progress).map(|done| match done {
                    Ok(()) => None,
                    Err(Broken::Source) => Some(Reason::TargetClosed),
                    Err(Broken::Sink) => Some(Reason::ClientGone),
                });
                if polled.is_pending() {
                    if progress {
                        deadline.arm(self.until(worker.recent(), idle_timeout), false);
                    }
                    // Also registers this task for the client's reset, which would otherwise be noticed only at the next
                    // write.
                    if sink.poll_reset(cx).is_ready() {
                        return Poll::Ready(Some(Reason::ClientGone));
                    }
                }
                polled
            }))
            .await;
        match moved {
            Ok(failed) => failed,
            Err(ended) => Some(self.silent(worker.recent(), ended, down.held_up)),
        }
    }
}

/// An answer's head as the client will see it.
fn passed_on<W>(context: &RequestContext<'_, W>, parts: Parts) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = parts.status;
    *head.headers_mut() = parts.headers;
    let headers = head.headers_mut();
    // Only an agent may set this header: from an application it would be taken for a refused permit.
    headers.remove("x-forebay-work-refused");
    for (name, value) in &context.listener.settings().response_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    let sets = |name: &str| {
        let mut set = headers.get_all(SET_COOKIE).iter();
        set.any(|value| cookies::sets(value.as_bytes(), name))
    };
    let extras = cookies::of_answer(context, sets);
    add_extras(headers, &extras);
    // A gRPC trailers-only answer has its status in the head. Added headers would reach its client as trailers.
    if !headers.contains_key(DATE) && !is_grpc(headers) {
        // RFC 9110, section 6.6.1: a recipient with a clock adds a missing Date.
        add_extras(headers, &[context.session.worker.date_line()]);
    }
    head
}

/// The outcome of a stream that died before an answer.
fn died(reused: bool, sent: Sent, upload: &Upload) -> Outcome {
    Outcome::Died(Death {
        reused,
        sent,
        replayable: !upload.streamed,
    })
}

/// Whether the target declared that it did not process the request (RFC 9113, section 8.7): it may then be sent again,
/// whatever its method.
fn was_not_processed(error: &::h2::Error) -> bool {
    error.reason() == Some(Code::REFUSED_STREAM) || (error.is_go_away() && error.is_remote())
}
