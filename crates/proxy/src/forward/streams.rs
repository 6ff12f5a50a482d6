//! The same passage to targets that speak HTTP/2: frames in, frames out, trailers included.

use super::attempt::Interim;
use super::extras::retry_after;
use super::outcome::{Instead, reason};
use super::owed::Owed;
use crate::connection::Next;
use crate::cookies;
use crate::framing::Framing;
use crate::h2::request::is_grpc;
use crate::h2::target::{SEND_BUFFER, STREAM_WINDOW, passport};
use crate::h2::{Inflow, Passport, Share, add_extras, head_bytes, is_too_long, poll_room, spell};
use crate::linger::{Owes, linger};
use crate::names::Known;
use crate::session::RequestContext;
use crate::sweep::Ended;
use crate::wire::Wire;
use ::h2::client::ResponseFuture;
use ::h2::{Reason as Code, RecvStream, SendStream};
use bytes::{Bytes, BytesMut};
use forebay_node::{Candidate, Death, Outcome, Reason, Reuse, Sent, Speaks, Step, TargetView};
use forebay_units::Mono;
use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, TE};
use http::{Request, Response};
use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Bytes of a request's body that are kept until an answer comes, so that a target that did not process the request is no harm.
const REPLAY_BYTES: usize = 16 * 1024;

/// One body on its way from stream to stream.
#[derive(Default)]
struct Body {
    done: bool,
    /// Its sink takes no more: it is done, and was not sent to its end.
    stopped: bool,
    moved: u64,
    /// What it waits for is the sink's room, not its source.
    held_up: bool,
    /// What was taken from the source, as long as that is not much.
    kept: BytesMut,
    /// Something was taken from the source that was not kept.
    taken: bool,
}

/// Why a body broke off.
enum Broken {
    Source,
    Sink,
}

impl Body {
    /// A body that is not kept: it can be sent once only.
    fn once(done: bool) -> Body {
        Body {
            done,
            taken: true,
            ..Body::default()
        }
    }

    /// The sink takes no more.
    fn stop(&mut self) {
        (self.done, self.stopped) = (true, true);
    }

    /// Moves on as far as both streams allow. The source is given room again only for what the sink took.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Inflow,
        sink: &mut SendStream<Bytes>,
        progress: &mut bool,
    ) -> Poll<Result<(), Broken>> {
        if self.done {
            // What its target does not want is put together, too.
            source.gather(cx);
        }
        while !self.done {
            self.held_up = false;
            match ready!(source.poll_bytes(cx)) {
                Some(Ok(bytes)) => {
                    let Poll::Ready(room) = poll_room(cx, sink, bytes.len()) else {
                        self.held_up = true;
                        source.gather(cx);
                        return Poll::Pending;
                    };
                    let piece = bytes.split_to(room.ok_or(Broken::Sink)?);
                    let room = piece.len();
                    if self.taken || self.kept.len() + room > REPLAY_BYTES {
                        (self.taken, self.kept) = (true, BytesMut::new());
                    } else {
                        self.kept.extend_from_slice(&piece);
                    }
                    // Taken is taken: what can't be sent is kept all the same.
                    source.release(room);
                    sink.send_data(piece, false).map_err(|_| Broken::Sink)?;
                    self.moved += room as u64;
                    *progress = true;
                }
                Some(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                None => {
                    let trailers = ready!(source.poll_trailers(cx)).map_err(|_| Broken::Source)?;
                    self.taken |= trailers.is_some();
                    match trailers {
                        Some(trailers) => sink.send_trailers(trailers),
                        None => sink.send_data(Bytes::new(), true),
                    }
                    .map_err(|_| Broken::Sink)?;
                    self.done = true;
                    *progress = true;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A request that was sent, and its body's way up.
struct Flight {
    response: ResponseFuture,
    sink: SendStream<Bytes>,
    up: Body,
    reused: bool,
    /// How fast the client must send the body.
    owed: Owed,
    interim: Interim,
    /// False once its connection takes no more requests.
    alive: Rc<Cell<bool>>,
    _share: Share,
}

impl Flight {
    /// What became of the request whose stream died of this.
    fn sent(&self, error: &::h2::Error) -> Sent {
        if error.is_go_away() {
            // It stands for as long as the last of its streams lives, and takes no new ones.
            self.alive.set(false);
        }
        if was_not_processed(error) {
            Sent::Unprocessed
        } else {
            Sent::Some
        }
    }

    /// Until when frames must come: for the idle timeout, or as long as a client keeps the least rate of its body.
    fn deadline(&mut self, now: Mono, idle_timeout: Duration) -> Mono {
        if self.owed.is_asked() {
            let waits = !self.up.done && !self.up.held_up;
            self.owed.note(now, self.up.moved, waits);
        }
        self.owed.due().min(now + idle_timeout)
    }
}

/// What came of waiting for an answer's head.
enum Waited {
    Head(Response<RecvStream>),
    Dead(::h2::Error),
    Failed(Reason),
}

impl<W: Wire> RequestContext<'_, W> {
    /// Sends the request to this target and passes the answer on. What to do next is the outcome's affair unless an
    /// answer has begun.
    pub(super) async fn streams(
        &mut self,
        target: &TargetView,
        reuse: Reuse,
        taken: &mut bool,
    ) -> Result<Next, Instead> {
        let (slot, idle_timeout, worker) = (self.session.slot, self.idle_timeout(), self.session.worker);
        let pass = passport(self, target, reuse).await?;
        if !pass.reused {
            self.connected();
        }
        if !self.has_memory() {
            return Err(Outcome::Failed(Reason::MemoryCeiling).into());
        }
        let reused = pass.reused;
        // What we wrote ourselves is no fault of the target.
        let Some(request) = spell(
            &self.session.desk.out,
            &mut self.session.desk.answer_fields,
            target,
        ) else {
            return Err(Outcome::Failed(Reason::Malformed).into());
        };
        let mut flight = match self.send(pass, request).await {
            Ok(flight) => flight,
            Err(sent) => return Err(died(reused, sent, *taken)),
        };
        slot.arm(flight.deadline(worker.recent(), idle_timeout), false);
        let waited = {
            let wait = poll_fn(|cx| {
                let mut progress = false;
                let polled = self.poll_head(cx, &mut flight, &mut progress);
                if progress && polled.is_pending() {
                    slot.arm(flight.deadline(worker.recent(), idle_timeout), false);
                }
                polled
            });
            slot.until(wait).await
        };
        *taken |= flight.up.taken;
        let mut kept = core::mem::take(&mut flight.up.kept);
        if !matches!(waited, Ok(Waited::Head(_))) {
            self.put_back(core::mem::take(&mut kept), *taken);
        }
        match waited {
            Ok(Waited::Head(response)) => match self.instead(&response, !*taken) {
                Some(step) => {
                    flight.sink.send_reset(Code::CANCEL);
                    self.put_back(kept, *taken);
                    Err(Instead::Step(step))
                }
                None => {
                    drop(kept);
                    flight.up.taken = true;
                    Ok(self.pass_on(flight, response).await)
                }
            },
            Ok(Waited::Dead(error)) => Err(died(flight.reused, flight.sent(&error), *taken)),
            Ok(Waited::Failed(reason)) => {
                flight.sink.send_reset(Code::CANCEL);
                Err(Outcome::Failed(reason).into())
            }
            Err(ended) => {
                flight.sink.send_reset(Code::CANCEL);
                Err(Outcome::Failed(self.blame(&flight, ended, false)).into())
            }
        }
    }

    /// Gives the source back what was taken of it, if that was kept.
    fn put_back(&mut self, kept: BytesMut, taken: bool) {
        if !taken
            && !kept.is_empty()
            && let Some(stream) = self.session.client.stream()
        {
            stream.body.put_back(kept);
        }
    }

    /// What to do instead of passing this answer on.
    fn instead<B>(&mut self, response: &Response<B>, replayable: bool) -> Option<Step> {
        let status = response.status().as_u16();
        if !self.exchange.may_reconsider(status) {
            return None;
        }
        let asked = response.headers().get(RETRY_AFTER);
        let candidate = Candidate {
            status,
            retry_after: asked.and_then(|value| retry_after(value.as_bytes())),
            replayable,
            permit_refused: response
                .headers()
                .keys()
                .any(|name| Known::of(name.as_str().as_bytes()) == Known::WorkRefused),
        };
        self.ask_again(candidate)
    }

    /// Counts what the stream to the target may come to hold of both bodies. False if there is no memory for that.
    fn has_memory(&mut self) -> bool {
        if !self.session.desk.streams {
            let up = if self.incoming.framing == Framing::None {
                0
            } else {
                SEND_BUFFER + REPLAY_BYTES
            };
            let bytes = STREAM_WINDOW as usize + up;
            self.session.desk.streams = self
                .session
                .worker
                .desks
                .borrow()
                .promise(self.session.desk, bytes);
        }
        self.session.desk.streams
    }

    /// Whose silence ended a wait. `unread`: an answer waits for the client to take it.
    fn blame(&self, flight: &Flight, ended: Ended, unread: bool) -> Reason {
        if ended == Ended::Late && (unread || flight.owed.is_late(self.session.worker.recent())) {
            return Reason::ClientSilent;
        }
        let waits_for_client = !flight.up.done && !flight.up.held_up;
        if ended == Ended::Late && !waits_for_client {
            // The way to it may be cut without a word: others must not wait on this connection in vain.
            flight.alive.set(false);
        }
        reason(ended)
    }

    /// Sends a request's head.
    async fn send(&mut self, pass: Passport, mut request: Request<()>) -> Result<Flight, Sent> {
        let Passport {
            mut sender,
            share,
            reused,
            alive,
        } = pass;
        if matches!(self.incoming.speaks, Speaks::Http2 { grpc: true, .. }) {
            // Without it a gRPC server sends no status. It is of one connection only, so it was left out above.
            request
                .headers_mut()
                .insert(TE, HeaderValue::from_static("trailers"));
        }
        let ends = self.incoming.framing == Framing::None;
        self.touch();
        let ready = self.session.slot.until(poll_fn(|cx| sender.poll_ready(cx))).await;
        if !matches!(ready, Ok(Ok(()))) {
            // After GOAWAY it stands for as long as the last of its streams lives: until then each request would try it first.
            if matches!(ready, Ok(Err(_))) {
                alive.set(false);
            }
            return Err(Sent::Nothing);
        }
        let (response, sink) = sender.send_request(request, ends).map_err(|_| Sent::Nothing)?;
        Ok(Flight {
            response,
            sink,
            up: Body {
                done: ends,
                ..Body::default()
            },
            reused,
            owed: Owed::new(self.listener.balancer.settings.minimum_request_rate),
            interim: Interim::begin(self.session.worker.recent()),
            alive,
            _share: share,
        })
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, flight: &mut Flight, progress: &mut bool) -> Poll<Waited> {
        if let Some(stream) = self.session.client.stream() {
            match flight.up.poll(cx, &mut stream.body, &mut flight.sink, progress) {
                Poll::Ready(Err(Broken::Source)) => return Poll::Ready(Waited::Failed(Reason::ClientGone)),
                // It may have answered before it stopped reading.
                Poll::Ready(Err(Broken::Sink)) => flight.up.stop(),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        // Kept by `h2` until somebody asks for them, as many as come.
        while let Poll::Ready(Some(Ok(_))) = flight.response.poll_informational(cx) {
            if !flight.interim.take(self.session.worker.recent()) {
                return Poll::Ready(Waited::Failed(Reason::BadAnswer));
            }
        }
        match Pin::new(&mut flight.response).poll(cx) {
            Poll::Ready(Ok(response)) if is_too_long(&response) => {
                return Poll::Ready(Waited::Failed(Reason::BadAnswer));
            }
            Poll::Ready(Ok(response)) => return Poll::Ready(Waited::Head(response)),
            Poll::Ready(Err(error)) => return Poll::Ready(Waited::Dead(error)),
            Poll::Pending => {}
        }
        self.session
            .client
            .poll_gone(cx)
            .map(|()| Waited::Failed(Reason::ClientGone))
    }

    /// Passes the answer on and settles.
    async fn pass_on(&mut self, mut flight: Flight, response: Response<RecvStream>) -> Next {
        let (parts, body) = response.into_parts();
        self.decide(Outcome::Answered(parts.status.as_u16()));
        let ends = body.is_end_stream();
        let mut head = Response::new(());
        *head.status_mut() = parts.status;
        *head.headers_mut() = parts.headers;
        // Applications may not say it in an agent's place.
        head.headers_mut().remove("x-forebay-work-refused");
        for (name, value) in &self.listener.settings.response_headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                head.headers_mut().insert(name, value);
            }
        }
        let headers = head.headers_mut();
        let sets = |name: &str| {
            let mut set = headers.get_all(SET_COOKIE).iter();
            set.any(|value| cookies::sets(value.as_bytes(), name))
        };
        let extras = cookies::of_answer(self, sets);
        add_extras(headers, &extras);
        // What gRPC says in its head alone, its clients see behind the message: nothing may be added there.
        if !headers.contains_key(DATE) && !is_grpc(headers) {
            // RFC 9110 section 6.6.1: who passes it on and has a clock adds it.
            add_extras(headers, &[self.session.worker.date_line()]);
        }
        self.session.desk.note.sent += head_bytes(&head);
        let mut down = Body::once(ends);
        let failed = if self.session.client.send_head(head, ends).is_err() {
            Some(Reason::ClientGone)
        } else {
            self.both_bodies(&mut flight, &mut Inflow::new(body), &mut down)
                .await
        };
        self.session.slot.watch(None);
        self.session.desk.note.body += flight.up.moved;
        self.session.desk.note.sent += down.moved;
        if let Some(reason) = failed {
            flight.sink.send_reset(Code::CANCEL);
            self.decide(Outcome::Failed(reason));
        } else if let Some(stream) = self.session.client.stream() {
            stream.ended();
        }
        let now = self.now();
        self.log(now);
        if failed.is_none() && (flight.up.stopped || !flight.up.done) {
            let owes = Owes::of(u64::MAX, self.idle_timeout());
            linger(&mut self.session, owes).await;
        }
        Next::Close
    }

    /// Moves both bodies until the answer's is through. None when it is.
    async fn both_bodies(
        &mut self,
        flight: &mut Flight,
        body: &mut Inflow,
        down: &mut Body,
    ) -> Option<Reason> {
        let (slot, idle_timeout, worker) = (self.session.slot, self.idle_timeout(), self.session.worker);
        slot.arm(flight.deadline(worker.recent(), idle_timeout), false);
        let moved = slot
            .until(poll_fn(|cx| {
                let Some((source, sink)) = self.session.client.stream().and_then(|stream| stream.both())
                else {
                    return Poll::Ready(None);
                };
                let mut progress = false;
                if let Poll::Ready(Err(broken)) = flight.up.poll(cx, source, &mut flight.sink, &mut progress)
                {
                    match broken {
                        Broken::Source => return Poll::Ready(Some(Reason::ClientGone)),
                        Broken::Sink => flight.up.stop(),
                    }
                }
                let polled = down.poll(cx, body, sink, &mut progress).map(|done| match done {
                    Ok(()) => None,
                    Err(Broken::Source) => Some(Reason::TargetClosed),
                    Err(Broken::Sink) => Some(Reason::ClientGone),
                });
                if polled.is_pending() {
                    if progress {
                        slot.arm(flight.deadline(worker.recent(), idle_timeout), false);
                    }
                    if sink.poll_reset(cx).is_ready() {
                        return Poll::Ready(Some(Reason::ClientGone));
                    }
                }
                polled
            }))
            .await;
        match moved {
            Ok(failed) => failed,
            Err(ended) => Some(self.blame(flight, ended, down.held_up)),
        }
    }
}

/// The stream died before an answer. `moved`: bytes of the body went out that can't be sent again.
fn died(reused: bool, sent: Sent, taken: bool) -> Instead {
    let death = Death {
        reused,
        sent,
        replayable: !taken,
    };
    Outcome::Died(death).into()
}

/// The target said itself that it did nothing with the request (RFC 9113 section 8.7): it may be sent again, whatever
/// it asks for.
fn was_not_processed(error: &::h2::Error) -> bool {
    error.reason() == Some(Code::REFUSED_STREAM) || (error.is_go_away() && error.is_remote())
}
