//! gRPC's framing over HTTP/2: a byte for compression, four for the length, the message; the end in trailers.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use forebay_admission::WorkId;
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue};
use prost::Message;
use std::marker::PhantomData;
use std::time::Duration;

/// The one method.
pub(crate) const METHOD: &str = "/forebay.targetcontrol.v1.TargetControl/Channel";

/// A longer message is none of ours: 1,000 ids take 18,000 bytes.
const MESSAGE_BYTES: usize = 64 * 1024;
const PREFIX_BYTES: usize = 5;

/// A peer that is silent is asked whether it lives this often.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(500);
/// And is given up when it has not answered for this long.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Statuses of gRPC that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok = 0,
    InvalidArgument = 3,
    FailedPrecondition = 9,
    Unimplemented = 12,
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the stream broke")]
    Stream(#[from] h2::Error),
    #[error("a message of {0} bytes: at most 65,536 are taken")]
    TooLong(usize),
    #[error("a compressed message: none was agreed on")]
    Compressed,
    #[error("a message that does not decode")]
    Message(#[from] prost::DecodeError),
    #[error("an id that is not 16 bytes long")]
    Id,
    #[error("the stream ended within a message")]
    Cut,
}

/// Messages of the other end, as they come.
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

    /// The next message; none at the end. May be dropped and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<M>, Broken> {
        loop {
            if let Some(message) = decode(&mut self.read)? {
                return Ok(Some(message));
            }
            match self.stream.data().await {
                Some(data) => {
                    let data = data?;
                    self.stream.flow_control().release_capacity(data.len())?;
                    self.read.extend_from_slice(&data);
                }
                None if self.read.is_empty() => return Ok(None),
                None => return Err(Broken::Cut),
            }
        }
    }

    /// What the other end said at the end, if it was a refusal.
    pub(crate) async fn refusal(&mut self) -> Option<String> {
        let trailers = self.stream.trailers().await.ok()??;
        refusal(&trailers)
    }
}

/// Takes a whole message off the front, if one is there.
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

/// What headers or trailers say of a call that failed.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    if status == "0" {
        return None;
    }
    let said = headers.get("grpc-message").and_then(|said| said.to_str().ok());
    Some(format!(
        "{} (status {})",
        said.unwrap_or("no reason was given"),
        status.to_str().unwrap_or("?")
    ))
}

/// A message as it goes out.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + length);
    out.put_u8(0);
    out.put_u32(length as u32);
    // There is room for it.
    let _ = message.encode(&mut out);
    out.freeze()
}

/// What ends a call; the text is ASCII without `%`.
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

/// Sends a message. What the peer does not take waits in memory: both ends bound what they say to one that is silent.
pub(crate) fn send(stream: &mut SendStream<Bytes>, message: &impl Message) -> Result<(), h2::Error> {
    stream.send_data(encode(message), false)
}

/// Ends when the other end has not answered in time.
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
    // All in one allocation.
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
