//! An HTTP/2 client that works on frames.

use super::Balancer;
use super::secure::*;
use forebay_model::*;
use std::io::{Read, Write};
use std::sync::Arc;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn get(stream: u32, path: &str, ends: bool) -> Vec<u8> {
    let mut head = vec![0x82, 0x87, 0x01, 1, b'a', 0x04, u8::try_from(path.len()).unwrap()];
    head.extend_from_slice(path.as_bytes());
    frame(
        HEADERS,
        END_HEADERS | if ends { END_STREAM } else { 0 },
        stream,
        &head,
    )
}

/// The status in a header block that does not depend on an earlier one.
pub(crate) fn status(head: &Frame) -> u16 {
    assert_eq!(head.kind, HEADERS);
    match &head.payload[..] {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x48, 0x82, 0x6c, 0x02, ..] => 502,
        [0x48, 0x83, 0x6c, 0x0d, 0x7f, ..] => 504,
        other => panic!("{}", other.escape_ascii()),
    }
}

/// A client that sends and receives frames.
pub(crate) struct Frames(pub(crate) Client);

impl Frames {
    /// `window`: the initial window of each of its streams.
    pub(crate) fn open(balancer: &Balancer, config: &Arc<rustls::ClientConfig>, window: u32) -> Frames {
        let mut frames = Frames(balancer.shake(config, "a").unwrap());
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        frames.send(&[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &settings),
        ]);
        frames
    }

    pub(crate) fn send(&mut self, frames: &[Vec<u8>]) {
        self.0.write_all(&frames.concat()).unwrap();
    }

    /// The next frame of a stream.
    pub(crate) fn next(&mut self) -> Frame {
        loop {
            let frame = self.any();
            if frame.stream != 0 {
                return frame;
            }
        }
    }

    pub(crate) fn any(&mut self) -> Frame {
        self.read().unwrap()
    }

    /// The next frame of any kind. Pings are answered.
    pub(crate) fn read(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let [_, high, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        self.0.read_exact(&mut payload)?;
        if (kind, flags & ACK) == (PING, 0) {
            self.0.write_all(&frame(PING, ACK, 0, &payload))?;
        }
        Ok(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// Waits until the load balancer has read everything that was sent.
    pub(crate) fn settle(&mut self) {
        self.send(&[frame(PING, 0, 0, &[0; 8])]);
        loop {
            let frame = self.any();
            if (frame.kind, frame.flags) == (PING, ACK) {
                return;
            }
        }
    }
}

/// A load balancer that serves HTTP/2 over TLS.
pub(crate) fn front(balancer: &Balancer) -> Arc<rustls::ClientConfig> {
    balancer.secure(
        "TLS13-1-2-2021-06",
        &[&certificate("own", &["a"], KeyKind::Ecdsa)],
    );
    let mut config = (*client(rustls::ALL_VERSIONS, BOTH).0).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}
