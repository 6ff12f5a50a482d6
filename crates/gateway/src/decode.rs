//! The decode stage: reads the body within its bounds and opens the envelope.

use crate::front::FrontConnection;
use flate2::read::MultiGzDecoder;
use forebay_awswire::{ApiError, Call, HttpRequest, Protocol, Refusal, Service};
use forebay_units::lock::lock;
use http::header::{CONTENT_ENCODING, EXPECT};
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::borrow::Cow;
use std::io::Read as _;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The largest body of a call.
const BODY_LIMIT: usize = 1 << 20;
/// The largest body of a call about messages: at most one MiB of messages, which JSON or a form may escape with up to six
/// bytes for one.
const MESSAGES_LIMIT: usize = (6 << 20) + (64 << 10);
/// The largest body of an invocation: an event of 6 MB, and what a client may wrap around it.
const INVOKE_LIMIT: usize = (6 << 20) + (64 << 10);
/// The largest body of a call with a function's archive: 50 MiB in base64.
const CODE_LIMIT: usize = (70 << 20) + (64 << 10);
/// The largest body of a call whose head shows that it will be refused, but not in which protocol.
pub(crate) const UNSIGNED_LIMIT: usize = 16 << 10;
/// Bytes that all bodies in progress may hold together.
const BODIES: usize = 32 << 20;
/// Bytes that all archives of functions in progress may hold together: one of the largest size fits.
const ARCHIVES: usize = 96 << 20;
/// Most time without any byte of an archive, which keeps others waiting.
const ARCHIVE_SILENCE: Duration = Duration::from_secs(10);
/// Size of the pieces in which bodies are counted.
const PIECE: usize = 16 << 10;
/// Most time to read a body that is not wanted: a client that is still sending would not see the answer.
const UNWANTED: Duration = Duration::from_secs(1);
/// Most time to wait until a caller that was disconnected has left.
const LEAVING: Duration = Duration::from_millis(20);

/// The room for all bodies together. An archive gets all of its room before it is read: several that wait for more room while
/// they hold some would wait for each other. Other bodies get theirs as they come, and the oldest ones make room. Pieces are
/// kept for reuse: freed memory would stay in the allocator's arena from which it came, and there is one per thread.
pub(crate) struct Bodies {
    room: Semaphore,
    /// Most free pieces that are kept.
    kept: usize,
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies {
            room: Semaphore::new(BODIES / PIECE),
            kept: BODIES / PIECE,
            free: Mutex::default(),
        }
    }
}

impl Bodies {
    /// For archives of functions, which are rare: no piece is kept.
    pub(crate) fn of_archives() -> Bodies {
        Bodies {
            room: Semaphore::new(ARCHIVES / PIECE),
            kept: 0,
            free: Mutex::default(),
        }
    }

    /// Whether a body gets all of its room before it is read.
    fn are_reserved(&self) -> bool {
        self.kept == 0
    }

    /// Room for a whole body of at most so many bytes, once others have left it.
    async fn reserve(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let pieces = bytes.div_ceil(PIECE).min(ARCHIVES / PIECE);
        // The semaphore is never closed, and serves in the order of arrival, so no large body waits forever.
        self.room
            .acquire_many(u32::try_from(pieces).unwrap_or(u32::MAX))
            .await
            .ok()
    }

    /// A piece. If there is none, the callers whose bodies have been in progress for longest are disconnected.
    async fn take(&self, client: &FrontConnection) -> Piece<'_> {
        let room = loop {
            if self.are_reserved() {
                break None;
            }
            if let Ok(room) = self.room.try_acquire() {
                break Some(room);
            }
            client.front().drop_body();
            if let Ok(room) = tokio::time::timeout(LEAVING, self.room.acquire()).await {
                // The semaphore is never closed.
                break room.ok();
            }
        };
        let free = self.free().pop();
        Piece {
            bytes: free.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice()),
            bodies: self,
            _room: room,
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        lock(&self.free)
    }
}

/// A part of the room for bodies.
struct Piece<'a> {
    bytes: Box<[u8]>,
    bodies: &'a Bodies,
    _room: Option<SemaphorePermit<'a>>,
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.bodies.free();
        if free.len() < self.bodies.kept {
            free.push(bytes);
        }
    }
}

/// A body in progress.
#[derive(Default)]
struct Held<'a> {
    pieces: Vec<Piece<'a>>,
    length: usize,
}

impl<'a> Held<'a> {
    async fn extend(&mut self, mut data: &[u8], bodies: &'a Bodies, client: &FrontConnection) {
        while !data.is_empty() {
            let at = self.length % PIECE;
            if at == 0 {
                self.pieces.push(bodies.take(client).await);
            }
            let Some(last) = self.pieces.last_mut() else {
                return;
            };
            let (now, later) = data.split_at(data.len().min(PIECE - at));
            last.bytes[at..at + now.len()].copy_from_slice(now);
            self.length += now.len();
            data = later;
        }
    }

    /// The whole body.
    fn whole(self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.length);
        for piece in self.pieces {
            let rest = self.length - whole.len();
            whole.extend_from_slice(&piece.bytes[..rest.min(PIECE)]);
        }
        whole
    }
}

/// The whole body, or the refusal of one that is larger than `most` or breaks off.
pub(crate) async fn body(
    parts: &Parts,
    mut incoming: Incoming,
    most: usize,
    bodies: &Bodies,
    client: &FrontConnection,
) -> Result<Vec<u8>, Refusal> {
    if incoming.size_hint().lower() > most as u64 {
        discard(parts, incoming, client).await;
        return Err(too_large(parts, most));
    }
    let (waits, room) = if bodies.are_reserved() {
        let waits = client.archive();
        // A body without a length may become as large as is allowed.
        let length = incoming.size_hint().exact();
        let length = length.and_then(|length| usize::try_from(length).ok());
        (waits, bodies.reserve(length.unwrap_or(most)).await)
    } else {
        (client.body(), None)
    };
    let mut held = Held::default();
    loop {
        let frame = if room.is_some() {
            match tokio::time::timeout(ARCHIVE_SILENCE, incoming.frame()).await {
                Ok(frame) => frame,
                Err(_) => return Err(silent(parts)),
            }
        } else {
            incoming.frame().await
        };
        let Some(frame) = frame else { break };
        let cut = |_| {
            refusal(
                parts,
                ApiError::sender("MalformedInput", "The request body ended too early."),
            )
        };
        let Ok(data) = frame.map_err(cut)?.into_data() else {
            continue;
        };
        if held.length + data.len() > most {
            drop((waits, held, room));
            discard(parts, incoming, client).await;
            return Err(too_large(parts, most));
        }
        held.extend(&data, bodies, client).await;
    }
    drop(waits);
    let whole = held.whole();
    drop(room);
    Ok(whole)
}

/// The decompressed body, because AWS clients compress large ones; or the refusal of one that is not valid gzip, or would
/// be larger than `most`.
pub(crate) fn inflated<'a>(parts: &Parts, body: &'a [u8], most: usize) -> Result<Cow<'a, [u8]>, Refusal> {
    let packed = parts
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    if !packed {
        return Ok(Cow::Borrowed(body));
    }
    let mut whole = Vec::new();
    let bound = most as u64 + 1;
    if MultiGzDecoder::new(body)
        .take(bound)
        .read_to_end(&mut whole)
        .is_err()
    {
        let error = ApiError::sender("MalformedInput", "The request body is not valid gzip.");
        return Err(refusal(parts, error));
    }
    if whole.len() > most {
        return Err(too_large(parts, most));
    }
    Ok(Cow::Owned(whole))
}

fn silent(parts: &Parts) -> Refusal {
    let text = "No byte of the request body has come for a while.";
    refusal(parts, ApiError::sender("RequestTimeout", text).with_status(408))
}

fn too_large(parts: &Parts, most: usize) -> Refusal {
    let text = format!("The request body is larger than {most} bytes.");
    let head = view(parts, &[]);
    let code = match forebay_awswire::named(&head) {
        Some(Service::Lambda) if head.path.contains("/invo") => "RequestTooLargeException",
        Some(Service::Lambda) => "RequestEntityTooLargeException",
        _ => "RequestEntityTooLarge",
    };
    let error = ApiError::sender(code, text);
    refusal(parts, error.with_status(413))
}

/// Reads and drops an unwanted body for a while: if the connection were closed at once, the client might not see its
/// answer.
pub(crate) async fn discard(parts: &Parts, mut incoming: Incoming, client: &FrontConnection) {
    if parts.headers.contains_key(EXPECT) {
        // Its client waits for a 100, and sends nothing.
        return;
    }
    let _waits = client.body();
    let all = async { while let Some(Ok(_)) = incoming.frame().await {} };
    let _ = tokio::time::timeout(UNWANTED, all).await;
}

/// The largest body of a call, by its head.
pub(crate) fn limit(head: &HttpRequest<'_>) -> usize {
    match forebay_awswire::named(head) {
        Some(Service::Sqs) => MESSAGES_LIMIT,
        Some(Service::Lambda) if head.path.contains("/invo") => INVOKE_LIMIT,
        Some(Service::Lambda) if brings_code(head) => CODE_LIMIT,
        _ => BODY_LIMIT,
    }
}

/// Whether a body may be a function's archive.
pub(crate) const fn is_archive(most: usize) -> bool {
    most == CODE_LIMIT
}

fn brings_code(head: &HttpRequest<'_>) -> bool {
    let path = head.path.trim_end_matches('/');
    head.method == "POST" && path.ends_with("/functions") || head.method == "PUT" && path.ends_with("/code")
}

/// The request in the form that `awswire` reads.
pub(crate) fn view<'a>(parts: &'a Parts, body: &'a [u8]) -> HttpRequest<'a> {
    HttpRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body,
    }
}

/// Finds out which operation of which service is called.
pub(crate) fn open(request: &HttpRequest<'_>) -> Result<Call, Refusal> {
    forebay_awswire::open(request)
}

/// A refusal of a request that was not opened, in the protocol that its head suggests.
pub(crate) fn refusal(parts: &Parts, error: ApiError) -> Refusal {
    let protocol = forebay_awswire::answered_in(&view(parts, &[]));
    Refusal {
        protocol: protocol.unwrap_or_else(|| Protocol::shown(&parts.headers)),
        error,
    }
}
