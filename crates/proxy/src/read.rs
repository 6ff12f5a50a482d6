//! Stage three: reads a request's head, within ALB's limits and under one deadline.

use crate::buffers::RequestBuffers;
use crate::connection::{ClientConnection, Next};
use crate::deadlines::Deadline;
use crate::desync;
use crate::fields::{Field, has_word};
use crate::framing::{self, Framing};
use crate::head::{Bounds, HeadError, RequestHead};
use crate::names::Known;
use crate::proxied;
use crate::proxy_protocol;
use crate::request::Incoming;
use crate::respond;
use crate::route;
use crate::session::Session;
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_node::{Reason, Speaks};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// Serves requests until the client pauses. Request buffers are held only meanwhile, so idle connections cost none.
pub(crate) async fn serve<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    connection: &ClientConnection,
    deadline: &Deadline,
) -> Next {
    let buffers = worker.buffer_pool.borrow_mut().take();
    let Some(mut buffers) = buffers else {
        respond::turn_away(worker, client, connection, deadline).await;
        return Next::Close;
    };
    let mut session = Session {
        worker,
        client,
        connection,
        deadline,
        buffers: &mut buffers,
    };
    let next = requests(&mut session).await;
    worker.buffer_pool.borrow_mut().give_back(buffers);
    next
}

async fn requests<W: Wire>(session: &mut Session<'_, W>) -> Next {
    let mut served = false;
    loop {
        let next = match head(session).await {
            Ok(Head::Whole(incoming)) if session.connection.listener_address.shared => {
                Box::pin(route::by_name(session, &incoming)).await
            }
            Ok(Head::Whole(incoming)) => route::request(session, &incoming).await,
            Ok(Head::Nothing) if served => return Next::Idle,
            Ok(Head::Nothing) => return Next::Nothing,
            Ok(Head::Closed) => return Next::Close,
            Err(reason) => Box::pin(respond::refuse(session, reason)).await,
        };
        served = true;
        if next == Next::Close || session.buffers.unread().is_empty() {
            return next;
        }
        // Buffers come from the pool with an empty request log; between pipelined requests it must be emptied here.
        session.buffers.request_log.reset();
    }
}

/// Answers 408 to a client that connected and never sent a byte, as ALB does.
pub(crate) async fn silent<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    connection: &ClientConnection,
    deadline: &Deadline,
) {
    let buffers = worker.buffer_pool.borrow_mut().take();
    let Some(mut buffers) = buffers else { return };
    let mut session = Session {
        worker,
        client,
        connection,
        deadline,
        buffers: &mut buffers,
    };
    respond::refuse(&mut session, Reason::ClientSilent).await;
    worker.buffer_pool.borrow_mut().give_back(buffers);
}

/// The result of reading where a head may begin.
enum Head {
    Whole(Incoming),
    /// Not a byte of a head. A fresh socket looks readable once, an empty line does not count, and perhaps only part of a
    /// TLS record has come: none of that is worth holding request buffers.
    Nothing,
    /// The client closed before it sent a head.
    Closed,
}

/// Reads until a head is complete.
async fn head<W: Wire>(session: &mut Session<'_, W>) -> Result<Head, Reason> {
    let Session {
        worker,
        client,
        connection,
        deadline,
        buffers,
    } = session;
    let mut pace = Pace::default();
    let mut armed = false;
    let bounds = connection.bounds();
    loop {
        // Empty lines before a request line are skipped (RFC 9112, section 2.2). httparse does that too, but offsets must
        // begin at the head.
        while matches!(buffers.unread().first(), Some(b'\r' | b'\n')) {
            buffers.start += 1;
        }
        if pace.is_worth_parsing(buffers.unread(), bounds) {
            let bytes = &buffers.input[buffers.start..buffers.end];
            let parsed = RequestHead::parse_within(bytes, &mut buffers.fields, bounds);
            match parsed {
                Ok(Some(head)) => {
                    let bytes = &buffers.input[buffers.start..buffers.end];
                    buffers.request_log.classified = desync::classify(&head, bytes, &buffers.fields);
                    buffers.request_log.head = Some(head);
                    return incoming(head, &buffers.input[buffers.start..buffers.end], &buffers.fields)
                        .map(Head::Whole);
                }
                Ok(None) => {}
                // Otherwise it would count as an unknown version of HTTP and get 505.
                Err(_) if proxy_protocol::is_attempt(buffers.unread()) => {
                    proxied::count_refused(worker, connection);
                    buffers.request_log.classified = desync::classify_unread(buffers.unread());
                    return Err(Reason::Malformed);
                }
                Err(error) => {
                    if matches!(error, HeadError::Malformed | HeadError::Version) {
                        buffers.request_log.classified = desync::classify_unread(buffers.unread());
                    }
                    return Err(refusal(error));
                }
            }
        }
        if !make_room(worker, buffers, bounds) {
            return Err(Reason::MemoryCeiling);
        }
        if buffers.unread().is_empty() {
            // Until a byte of the head has come, the connection is still idle.
            match poll_fn(|cx| Poll::Ready(poll_fill(*client, buffers, cx))).await {
                Poll::Pending => return Ok(Head::Nothing),
                Poll::Ready(Ok(1..)) => continue,
                Poll::Ready(Ok(0) | Err(_)) => return Ok(Head::Closed),
            }
        }
        if !core::mem::replace(&mut armed, true) {
            // One deadline for the whole head: a client that sends a byte now and then must not be able to extend it.
            let snapshot = worker.snapshot();
            let Some(listener) = connection.listener(&snapshot) else {
                return Ok(Head::Closed);
            };
            let settings = listener.balancer.settings();
            let within = settings.idle_timeout.min(settings.head_timeout);
            deadline.arm(worker.recent() + within, false);
        }
        match deadline
            .until(poll_fn(|cx| poll_fill(*client, buffers, cx)))
            .await
        {
            Ok(Ok(0)) => return Err(Reason::Malformed),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Ok(Head::Closed),
            Err(_) => return Err(Reason::ClientSilent),
        }
    }
}

/// Decides when a head that comes in pieces is parsed again. Parsing after every read would cost the square of its length:
/// a client that sends single bytes would buy seconds of work with a few kilobytes.
#[derive(Debug, Default)]
struct Pace {
    /// Bytes already searched for the head's end.
    searched: usize,
    /// Length at which it is parsed in any case, so that input which cannot become a head is refused before it ends.
    parse_at: usize,
}

impl Pace {
    fn is_worth_parsing(&mut self, unread: &[u8], bounds: &Bounds) -> bool {
        if unread.is_empty() {
            return false;
        }
        if self.parse_at == 0 {
            // Most heads are complete at the first look.
            self.searched = unread.len();
            self.parse_at = (unread.len() * 2).min(bounds.head);
            return true;
        }
        // The bytes LF CR LF that end a head may straddle two reads, so the last two are searched again.
        let from = self.searched.saturating_sub(2);
        self.searched = unread.len();
        let ends = memchr::memchr_iter(b'\n', &unread[from..]).any(|at| {
            let rest = &unread[from + at + 1..];
            rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
        });
        let worth = ends || unread.len() >= self.parse_at;
        if worth {
            self.parse_at = (unread.len() * 2).min(bounds.head);
        }
        worth
    }
}

fn refusal(error: HeadError) -> Reason {
    match error {
        HeadError::Malformed | HeadError::TooLong => Reason::Malformed,
        HeadError::Version => Reason::Version,
        HeadError::LineTooLong => Reason::UriTooLong,
    }
}

/// Makes room behind the unread bytes: moves them to the front, or grows the input up to the limit of a head. False if
/// there is no memory for that.
fn make_room(worker: &Worker, buffers: &mut RequestBuffers, bounds: &Bounds) -> bool {
    if buffers.start == buffers.end {
        (buffers.start, buffers.end) = (0, 0);
    } else if buffers.end == buffers.input.len() {
        buffers.input.copy_within(buffers.start..buffers.end, 0);
        (buffers.start, buffers.end) = (0, buffers.end - buffers.start);
        if buffers.end == buffers.input.len() {
            let larger = (buffers.input.len() * 2).min(bounds.head + 1024);
            let larger = larger.max(buffers.end + 1);
            if !worker.buffer_pool.borrow().count_head(buffers, larger) {
                return false;
            }
            buffers.input.resize(larger, 0);
        }
    }
    true
}

/// Reads once into the free part of the input.
fn poll_fill<W: Wire>(
    client: &mut W,
    buffers: &mut RequestBuffers,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    let end = buffers.end;
    let mut room = ReadBuf::new(&mut buffers.input[end..]);
    ready!(Pin::new(&mut *client).poll_read(cx, &mut room))?;
    let count = room.filled().len();
    buffers.end += count;
    Poll::Ready(Ok(count))
}

/// Most words that a request's Connection headers may have.
const CONNECTION_WORDS: usize = 64;

/// Checks what every request must satisfy, and determines where its body ends.
fn incoming(head: RequestHead, bytes: &[u8], fields: &[Field]) -> Result<Incoming, Reason> {
    match head.method(bytes) {
        b"TRACE" | b"CONNECT" => return Err(Reason::TraceNotAllowed),
        _ => {}
    }
    let (framing, doubtful) = framing::of_request(fields, bytes, head.http_10)?;
    let (mut close, mut keep_alive, mut expects) = (false, false, false);
    let (mut upgrades, mut websocket) = (false, false);
    let mut words = 0;
    for field in fields {
        match field.known {
            Known::Connection => {
                words += 1 + memchr::memchr_iter(b',', field.value(bytes)).count();
                close |= has_word(field.value(bytes), b"close");
                keep_alive |= has_word(field.value(bytes), b"keep-alive");
                upgrades |= has_word(field.value(bytes), b"upgrade");
            }
            Known::Upgrade => {
                websocket |= has_word(field.value(bytes), b"websocket");
            }
            Known::Expect => {
                expects |= field.value(bytes).eq_ignore_ascii_case(b"100-continue");
            }
            _ => {}
        }
    }
    // Each header is compared with every word, so their number must be bounded.
    if words > CONNECTION_WORDS {
        return Err(Reason::Malformed);
    }
    // A request whose framing is doubtful may mean something else to its target: what follows it must not be read as a
    // request.
    let keep = !doubtful && !close && (!head.http_10 || keep_alive);
    let expects = expects && framing != Framing::None && !head.http_10;
    Ok(Incoming {
        head,
        framing,
        keep,
        doubtful,
        expects,
        to_head: head.method(bytes) == b"HEAD",
        speaks: Speaks::Http1,
        // RFC 6455, section 4.1: GET, HTTP/1.1, and no body.
        upgrade: upgrades
            && websocket
            && !head.http_10
            && framing == Framing::None
            && head.method(bytes) == b"GET",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_single_bytes_is_parsed_a_few_times_only() {
        for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
            let head = format!("GET / HTTP/1.1\r\nA: {}{end}", "a\r\nB:".repeat(2_000));
            let mut pace = Pace::default();
            let parsed: Vec<usize> = (1..=head.len())
                .filter(|&length| pace.is_worth_parsing(&head.as_bytes()[..length], &Bounds::CLIENT))
                .collect();
            assert!(parsed.len() < 20, "{parsed:?}");
            assert_eq!(parsed.last(), Some(&head.len()), "{end:?}");
            assert_eq!(parsed[..3], [1, 2, 4]);
        }
    }

    #[test]
    fn an_end_is_found_wherever_reads_part_it() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 1..head.len() {
            let mut pace = Pace::default();
            assert!(pace.is_worth_parsing(&head[..cut], &Bounds::CLIENT));
            assert!(pace.is_worth_parsing(head, &Bounds::CLIENT), "{cut}");
        }
    }

    #[test]
    fn connection_headers_name_a_few_others_only() {
        let read = |words: usize| {
            let head = format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\nConnection: x\r\n\r\n",
                ",".repeat(words - 2)
            );
            let mut fields = Vec::new();
            let parsed = RequestHead::parse_within(head.as_bytes(), &mut fields, &Bounds::CLIENT);
            incoming(parsed.unwrap().unwrap(), head.as_bytes(), &fields).map(|_| ())
        };
        assert_eq!(read(CONNECTION_WORDS), Ok(()));
        assert_eq!(read(CONNECTION_WORDS + 1), Err(Reason::Malformed));
    }
}
