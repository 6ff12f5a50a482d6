//! The format of a log of messages: frames with checksums, which contain records, each behind the body that belongs to it.
//!
//! A frame is a length and a CRC-32 of its payload (four bytes each, little-endian), and the payload. A record in it is the
//! length of the body, the length of what follows the body (four bytes each), the body as the sender gave it, and a
//! [`Record`] in postcard. So a body's place in the file is known before the record is written, and a body can be read
//! without anything else.

use flate2::Crc;
use forebay_queues::{Change, QueueId};
use serde::{Deserialize, Serialize};
use std::io;

/// Bytes of a frame's length and checksum, and of a record's two lengths.
pub(crate) const HEAD: usize = 8;

/// The place of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the file.
    pub(crate) segment: u32,
    /// Offset of the first byte.
    pub(crate) offset: u32,
    /// Number of bytes.
    pub(crate) length: u32,
}

/// An event of one queue.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// It changed; if a message was sent, its body precedes the record.
    Changed(QueueId, Change<()>),
    /// It was deleted.
    Dropped(QueueId),
}

/// Appends a record to a frame's payload.
pub(crate) fn append(payload: &mut Vec<u8>, body: &[u8], record: &Record) -> io::Result<()> {
    let meta = postcard::to_allocvec(record).map_err(io::Error::other)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    payload.extend_from_slice(&length(body)?.to_le_bytes());
    payload.extend_from_slice(&length(&meta)?.to_le_bytes());
    payload.extend_from_slice(body);
    payload.extend_from_slice(&meta);
    Ok(())
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The head of a frame with this payload.
pub(crate) fn head(payload: &[u8]) -> io::Result<[u8; HEAD]> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&checksum(payload).to_le_bytes());
    Ok(head)
}

/// The payload of the first frame; none if it is incomplete or damaged.
pub(crate) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let payload = rest.get(..length)?;
    // After a crash, a file may end with zeros that were never written: an empty frame is not valid.
    (length > 0 && checksum(payload) == u32::from_le_bytes(*sum)).then_some(payload)
}

/// The records of a payload, each with its body's offset and length; none if any cannot be read.
pub(crate) fn records(payload: &[u8]) -> Option<Vec<(usize, usize, Record)>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let (body, rest) = payload.get(at..)?.split_first_chunk::<4>()?;
        let (meta, _) = rest.split_first_chunk::<4>()?;
        let body = usize::try_from(u32::from_le_bytes(*body)).ok()?;
        let meta = usize::try_from(u32::from_le_bytes(*meta)).ok()?;
        let begin = at + HEAD;
        let behind = begin.checked_add(body)?;
        let end = behind.checked_add(meta)?;
        let record = postcard::from_bytes(payload.get(behind..end)?).ok()?;
        records.push((begin, body, record));
        at = end;
    }
    Some(records)
}
