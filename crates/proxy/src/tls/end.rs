//! The client and server ends of rustls behind one trait, and how either writes.

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use std::io;

/// Most plaintext bytes of a record (RFC 8446, section 5.1).
pub(super) const RECORD_BYTES: usize = 16 * 1024;
/// Most bytes of a record beyond its plaintext (RFC 5246, section 6.2.3 allows more, AEAD ciphers need less).
pub(super) const RECORD_OVERHEAD: usize = 64;

/// One end of a TLS connection.
pub(crate) trait End: Unpin {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn state(&self) -> &CommonState;
}

/// The end that clients connect to.
pub(crate) struct Server(pub(super) UnbufferedServerConnection);

/// The end that connects to targets.
pub(crate) struct Client(pub(super) Box<UnbufferedClientConnection>);

impl End for Server {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.0.process_tls_records(incoming)
    }

    fn state(&self) -> &CommonState {
        &self.0
    }
}

impl End for Client {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.0.process_tls_records(incoming)
    }

    fn state(&self) -> &CommonState {
        &self.0
    }
}

/// Appends a handshake message, an alert or a ticket to `out`.
pub(super) fn encode<D>(mut message: EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> io::Result<()> {
    let at = out.len();
    let mut room = 512;
    loop {
        out.resize(at + room, 0);
        match message.encode(&mut out[at..]) {
            Ok(length) => {
                out.truncate(at + length);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) => room = needed.required_size,
            Err(error) => {
                out.truncate(at);
                return Err(io::Error::other(error));
            }
        }
    }
}

/// Encrypts plaintext and appends it to `out`.
pub(super) fn encrypt<D>(
    traffic: &mut WriteTraffic<'_, D>,
    clear: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let at = out.len();
    let mut room = clear.len() + (clear.len() / RECORD_BYTES + 1) * RECORD_OVERHEAD;
    loop {
        out.resize(at + room, 0);
        match traffic.encrypt(clear, &mut out[at..]) {
            Ok(length) => {
                out.truncate(at + length);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => {
                room = needed.required_size;
            }
            Err(error) => {
                out.truncate(at);
                return Err(io::Error::other(error));
            }
        }
    }
}
