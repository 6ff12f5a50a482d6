//! gRPC's framing over HTTP/2: one byte for compression, four for the length, then the message; the status in trailers.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use forebay_admission::WorkId;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue};
use prost::Message;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The path of the only method.
pub(crate) const METHOD: &str = "/forebay.targetcontrol.v1.TargetControl/Channel";

/// Most bytes of a message. The protocol has no use for longer ones: 1,000 ids take 18,000 bytes.
const MESSAGE_BYTES: usize = 64 * 1024;
const PREFIX_BYTES: usize = 5;

/// Most bytes that may wait here for the other end to take them: room for about a thousand of the longest messages that
/// are sent often, more than a peer can be owed that stalls for no longer than it may.
pub(crate) const UNSENT_BYTES: usize = 64 * 1024;
/// Most bytes of the other end's headers.
pub(crate) const HEADER_BYTES: u32 = 16 * 1024;
/// Most characters of the other end's text that go to the log.
const SHOWN: usize = 200;

/// Interval between pings to a silent peer.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(500);
/// A peer that does not answer a ping for this long is given up.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The gRPC statuses in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok = 0,
    InvalidArgument = 3,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
}

/// Why the messages ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the stream failed")]
    Http2(#[from] h2::Error),
    #[error("a message of {0} bytes: at most 65,536 are allowed")]
    TooLong(usize),
    #[error("a compressed message, though no compression was agreed on")]
    Compressed,
    #[error("a message that cannot be decoded")]
    Message(#[from] prost::DecodeError),
    #[error("an id that is not 16 bytes long")]
    Id,
    #[error("the stream ended in the middle of a message")]
    Cut,
    #[error("the peer does not read what it is sent: {UNSENT_BYTES} bytes wait")]
    Unread,
    #[error("the stream is closed for sending")]
    Closed,
}

/// The other end's messages, as they come.
pub(crate) struct Messages<M> {
    stream: RecvStream,
    read: BytesMut,
    message: PhantomData<M>,
}

impl<M: Message + Default> Messages<M> {
    pub(crate) fn new(stream: RecvStream) -> Messages<M> {
        Messages {
            stream,
            read: BytesMut::new(),
            message: PhantomData,
        }
    }

    /// The next message, or none at the end. Safe to cancel: bytes that were read stay in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Option<M>, Broken> {
        loop {
            if let Some(message) = decode(&mut self.read)? {
                return Ok(Some(message));
            }
            match self.stream.data().await {
                Some(data) => {
                    let data = data?;
                    // The buffer is bounded by `MESSAGE_BYTES`, so the window may open as soon as the bytes are here.
                    self.stream.flow_control().release_capacity(data.len())?;
                    self.read.extend_from_slice(&data);
                }
                None if self.read.is_empty() => return Ok(None),
                None => return Err(Broken::Cut),
            }
        }
    }

    /// The other end's reason for ending the call, if its trailers say that the call failed.
    pub(crate) async fn refusal(&mut self) -> Option<String> {
        let trailers = self.stream.trailers().await.ok()??;
        refusal(&trailers)
    }
}

/// Takes a whole message off the front of the buffer, if one is there.
pub(crate) fn decode<M: Message + Default>(read: &mut BytesMut) -> Result<Option<M>, Broken> {
    let Some((&[compressed, a, b, c, d], _)) = read.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    if compressed != 0 {
        return Err(Broken::Compressed);
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MESSAGE_BYTES {
        return Err(Broken::TooLong(length));
    }
    if read.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    read.advance(PREFIX_BYTES);
    Ok(Some(M::decode(read.split_to(length))?))
}

/// The status and text of a failed call, from its headers or trailers.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    if status == "0" {
        return None;
    }
    let said = headers.get("grpc-message").and_then(|said| said.to_str().ok());
    Some(format!(
        "{} (status {})",
        said.map_or_else(|| "no reason was given".to_owned(), shown),
        status.to_str().unwrap_or("?")
    ))
}

/// A message as it is sent.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn encode(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    encode_to(message, &mut out);
    out.freeze()
}

fn encode_to(message: &impl Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    out.reserve(PREFIX_BYTES + length);
    out.put_u8(0);
    out.put_u32(length as u32);
    // Cannot fail: the room was reserved above.
    let _ = message.encode(out);
}

/// Trailers that end a call. `said` must be ASCII without `%`, which gRPC would have percent-encoded.
pub(crate) fn trailers(status: Status, said: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", HeaderValue::from(status as u16));
    if let Ok(said) = HeaderValue::try_from(said)
        && !said.is_empty()
    {
        headers.insert("grpc-message", said);
    }
    headers
}

/// Messages to the other end. h2 gets only as much as the other end has room for; the rest waits here, where it is bounded.
pub(crate) struct Outbox {
    stream: SendStream<Bytes>,
    unsent: BytesMut,
}

impl Outbox {
    pub(crate) fn new(stream: SendStream<Bytes>) -> Outbox {
        Outbox {
            stream,
            unsent: BytesMut::new(),
        }
    }

    /// Sends this message, at once if there is room for it. Fails when the peer lets too much wait.
    pub(crate) fn say(&mut self, message: &impl Message) -> Result<(), Broken> {
        // Room may have come since the last look.
        self.push()?;
        let room = UNSENT_BYTES.saturating_sub(self.unsent.len());
        if PREFIX_BYTES + message.encoded_len() > room {
            return Err(Broken::Unread);
        }
        encode_to(message, &mut self.unsent);
        self.push()
    }

    /// Whether everything was handed to h2.
    pub(crate) fn is_clear(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Completes once everything was handed to h2. Safe to cancel: what was not sent stays in the outbox.
    pub(crate) async fn clear(&mut self) -> Result<(), Broken> {
        poll_fn(|cx| self.poll_clear(cx)).await
    }

    fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            self.push()?;
            if self.is_clear() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(room) => room?,
                None => return Poll::Ready(Err(Broken::Closed)),
            };
        }
    }

    /// Gives h2 as much as the other end has room for. h2 would queue more without a bound.
    fn push(&mut self) -> Result<(), Broken> {
        while !self.is_clear() {
            self.stream.reserve_capacity(self.unsent.len());
            let room = self.stream.capacity().min(self.unsent.len());
            if room == 0 {
                break;
            }
            self.stream
                .send_data(self.unsent.split_to(room).freeze(), false)?;
        }
        Ok(())
    }

    /// Ends the call with trailers. If the other end does not read, the stream is reset instead and what waits is dropped:
    /// trailers behind unread bytes would never be sent.
    pub(crate) fn end(mut self, status: Status, said: &str) -> Result<(), h2::Error> {
        if self.is_clear() {
            return self.stream.send_trailers(trailers(status, said));
        }
        self.stream.send_reset(Reason::ENHANCE_YOUR_CALM);
        Ok(())
    }
}

/// The start of a peer's text about itself, short enough for the log.
pub(crate) fn shown(said: &str) -> String {
    said.chars().take(SHOWN).collect()
}

/// Completes when the other end has not answered a ping in time.
pub(crate) async fn silence(mut pings: PingPong) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let asked = tokio::time::timeout(ANSWER_WITHIN, pings.ping(Ping::opaque())).await;
        if !matches!(asked, Ok(Ok(_))) {
            return;
        }
    }
}

pub(crate) fn ids_out(ids: &[WorkId]) -> Vec<Bytes> {
    // One allocation for all of them.
    let mut all: Bytes = ids.iter().flat_map(|id| id.0.to_be_bytes()).collect();
    ids.iter().map(|_| all.split_to(size_of::<WorkId>())).collect()
}

pub(crate) fn ids_in(ids: &[Bytes]) -> Result<Vec<WorkId>, Broken> {
    ids.iter()
        .map(|id| {
            let id: [u8; 16] = id[..].try_into().map_err(|_| Broken::Id)?;
            Ok(WorkId(u128::from_be_bytes(id)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{FromNode, Return, from_node};

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let ids = [WorkId(1), WorkId(u128::MAX)];
        let message = FromNode {
            message: Some(from_node::Message::Return(Return { ids: ids_out(&ids) })),
        };
        let bytes = [encode(&message), encode(&message)].concat();
        let mut read = BytesMut::new();
        let mut seen = 0;
        for &byte in &bytes {
            read.put_u8(byte);
            while let Some(decoded) = decode::<FromNode>(&mut read).unwrap() {
                assert_eq!(decoded, message);
                seen += 1;
            }
        }
        assert_eq!((seen, read.len()), (2, 0));
        assert!(matches!(ids_in(&[Bytes::from_static(b"short")]), Err(Broken::Id)));
    }

    #[test]
    fn long_and_compressed_messages_are_refused() {
        let mut long = BytesMut::from(&[0, 0, 1, 0, 1][..]);
        assert!(matches!(
            decode::<FromNode>(&mut long),
            Err(Broken::TooLong(65_537))
        ));
        let mut compressed = BytesMut::from(&[1, 0, 0, 0, 0][..]);
        assert!(matches!(
            decode::<FromNode>(&mut compressed),
            Err(Broken::Compressed)
        ));
    }
}
