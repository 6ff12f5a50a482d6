//! The PROXY protocol, versions 1 and 2: bytes at the beginning of a connection that name its client. Parses and writes
//! them, and does no I/O. Section numbers are those of HAProxy's specification (doc/proxy-protocol.txt).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Prefix of version 1 (section 2.1).
const LINE: &[u8] = b"PROXY ";
/// Prefix of version 2 (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, including its end (section 2.1).
const LONGEST_LINE: usize = 107;
/// Bytes of version 2 before its addresses.
const FIXED: usize = 16;
/// Most bytes of version 2 after them. The specification requires at least 536; certificates may be longer.
const LONGEST_REST: usize = 2048;
/// The type of a field with a checksum over the whole header (section 2.2.3).
const CRC32C: u8 = 3;

/// A client's address, and the one that it connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) reached: SocketAddr,
}

/// The client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The peer itself, or a client without an IP address: the peer's address counts.
    Peer,
    /// A client with another address than the peer's.
    Client(Ends),
}

/// The bytes are not a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// Collects the bytes of one header as they come.
#[derive(Debug, Default)]
pub(crate) struct HeaderReader {
    bytes: Vec<u8>,
}

impl HeaderReader {
    /// Takes the bytes of `more` that belong to the header. Returns their number, and the origin once the header is
    /// complete. Bytes behind it are left.
    pub(crate) fn take(&mut self, more: &[u8]) -> Result<(usize, Option<Origin>), Refused> {
        let mut rest = more;
        while let Some(&next) = rest.first() {
            let share = match *self.bytes.first().unwrap_or(&next) {
                b'P' => memchr::memchr(b'\n', rest)
                    .map_or(rest.len(), |end| end + 1)
                    .min(LONGEST_LINE - self.bytes.len()),
                b'\r' => rest.len().min(block_length(&self.bytes) - self.bytes.len()),
                _ => return Err(Refused),
            };
            let (ours, left) = rest.split_at(share);
            self.bytes.extend_from_slice(ours);
            rest = left;
            if let Some(origin) = parse(&self.bytes)? {
                return Ok((more.len() - rest.len(), Some(origin)));
            }
        }
        Ok((more.len(), None))
    }

    /// Whether a byte has come.
    pub(crate) fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// Whether a head that could not be parsed is a PROXY header from a peer that may not send one. (Empty lines before it were
/// skipped.)
pub(crate) fn is_attempt(head: &[u8]) -> bool {
    let words: [&[u8]; 3] = [b"TCP4 ", b"TCP6 ", b"UNKNOWN"];
    let line = head.strip_prefix(LINE);
    line.is_some_and(|line| words.iter().any(|word| line.starts_with(word)))
        || head.starts_with(&SIGNATURE[4..])
}

/// A header of version 2.
pub(crate) fn header(origin: Origin) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED + 36);
    out.extend_from_slice(SIGNATURE);
    match origin {
        // The LOCAL command, without addresses.
        Origin::Peer => out.extend_from_slice(&[0x20, 0, 0, 0]),
        Origin::Client(Ends { client, reached }) => {
            if let (IpAddr::V4(from), IpAddr::V4(to)) = (client.ip(), reached.ip()) {
                out.extend_from_slice(&[0x21, 0x11, 0, 12]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
            } else {
                // A header has one address family, so an IPv4 address beside an IPv6 one is mapped.
                let mapped = |address: SocketAddr| match address.ip() {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                };
                out.extend_from_slice(&[0x21, 0x21, 0, 36]);
                out.extend_from_slice(&mapped(client));
                out.extend_from_slice(&mapped(reached));
            }
            out.extend_from_slice(&client.port().to_be_bytes());
            out.extend_from_slice(&reached.port().to_be_bytes());
        }
    }
    out
}

/// Parses the beginning of a header; none until it is complete.
fn parse(bytes: &[u8]) -> Result<Option<Origin>, Refused> {
    let begins_with = |start: &[u8]| {
        let known = bytes.len().min(start.len());
        bytes[..known] == start[..known]
    };
    if begins_with(LINE) {
        parse_line(bytes)
    } else if begins_with(SIGNATURE) {
        parse_block(bytes)
    } else {
        Err(Refused)
    }
}

/// Parses version 1, whose last byte is a line feed.
fn parse_line(bytes: &[u8]) -> Result<Option<Origin>, Refused> {
    let Some(line) = bytes.strip_suffix(b"\n") else {
        return if bytes.len() < LONGEST_LINE {
            Ok(None)
        } else {
            Err(Refused)
        };
    };
    let line = line.strip_suffix(b"\r").ok_or(Refused)?;
    let said = line.strip_prefix(LINE).ok_or(Refused)?;
    // What follows is ignored: "the receiver must ignore anything presented before the CRLF".
    if said == b"UNKNOWN" || said.starts_with(b"UNKNOWN ") {
        return Ok(Some(Origin::Peer));
    }
    let said = core::str::from_utf8(said).map_err(|_| Refused)?;
    let mut words = said.split(' ');
    let mut word = || words.next().ok_or(Refused);
    let (kind, from, to) = (word()?, word()?, word()?);
    let (from_port, to_port) = (port(word()?)?, port(word()?)?);
    if word().is_ok() {
        return Err(Refused);
    }
    let address = |word: &str| -> Result<IpAddr, Refused> {
        let address = match kind {
            "TCP4" => word.parse().map(IpAddr::V4),
            "TCP6" => word.parse().map(IpAddr::V6),
            _ => return Err(Refused),
        };
        address.map_err(|_| Refused)
    };
    Ok(Some(client((address(from)?, from_port), (address(to)?, to_port))))
}

/// A port in digits, without leading zeros.
fn port(word: &str) -> Result<u16, Refused> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain).ok_or(Refused)
}

/// The length of a version 2 header, as far as it is known.
fn block_length(bytes: &[u8]) -> usize {
    let length = bytes.get(14..FIXED).map(u16_of);
    FIXED + length.map_or(0, usize::from)
}

fn u16_of(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u16::from(byte))
}

/// Parses version 2.
fn parse_block(bytes: &[u8]) -> Result<Option<Origin>, Refused> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else {
        return Ok(None);
    };
    let (command, family) = (fixed[12], fixed[13]);
    let length = block_length(bytes) - FIXED;
    if !matches!(command, 0x20 | 0x21) || length > LONGEST_REST {
        return Err(Refused);
    }
    if rest.len() < length {
        return Ok(None);
    }
    let (origin, fields) = match (command, family) {
        // LOCAL: the rest is discarded, whatever it says.
        (0x20, _) => return Ok(Some(Origin::Peer)),
        (_, 0x11) => {
            let (addresses, fields) = rest.split_at_checked(12).ok_or(Refused)?;
            let [from, to] = [0, 4].map(|at| {
                let octets: [u8; 4] = core::array::from_fn(|index| addresses[at + index]);
                IpAddr::V4(Ipv4Addr::from(octets))
            });
            let ports = [8, 10].map(|at| u16_of(&addresses[at..at + 2]));
            (client((from, ports[0]), (to, ports[1])), fields)
        }
        (_, 0x21) => {
            let (addresses, fields) = rest.split_at_checked(36).ok_or(Refused)?;
            let [from, to] = [0, 16].map(|at| {
                let octets: [u8; 16] = core::array::from_fn(|index| addresses[at + index]);
                IpAddr::V6(Ipv6Addr::from(octets))
            });
            let ports = [32, 34].map(|at| u16_of(&addresses[at..at + 2]));
            (client((from, ports[0]), (to, ports[1])), fields)
        }
        // No address, that of a Unix socket, or of datagrams, which no connection here consists of.
        _ if family >> 4 <= 3 && family & 0xf <= 2 => return Ok(Some(Origin::Peer)),
        // "must be rejected as invalid by receivers"
        _ => return Err(Refused),
    };
    check_fields(bytes, fields)?;
    Ok(Some(origin))
}

/// The client's origin. An IPv4 address mapped to IPv6 is turned back, so that rules for IPv4 match it however it came.
fn client(from: (IpAddr, u16), to: (IpAddr, u16)) -> Origin {
    let [client, reached] = [from, to].map(|(address, port)| SocketAddr::new(address.to_canonical(), port));
    Origin::Client(Ends { client, reached })
}

/// Skips the fields behind the addresses (section 2.2), except for a checksum: "the receiver must verify".
fn check_fields(header: &[u8], mut fields: &[u8]) -> Result<(), Refused> {
    while let [kind, high, low, rest @ ..] = fields {
        let length = usize::from(u16_of(&[*high, *low]));
        let (value, others) = rest.split_at_checked(length).ok_or(Refused)?;
        if *kind == CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_| Refused)?;
            let end = header.len() - others.len();
            // The checksum is computed over zeros in its own place.
            let crc = [&header[..end - 4], &[0; 4], &header[end..]]
                .into_iter()
                .flatten()
                .fold(u32::MAX, |crc, &byte| crc32c(crc, byte));
            if !crc != u32::from_be_bytes(told) {
                return Err(Refused);
            }
        }
        fields = others;
    }
    if fields.is_empty() { Ok(()) } else { Err(Refused) }
}

/// CRC-32C (RFC 9260, appendix A), reversed, one bit at a time: a header has a few hundred bytes, once per connection.
fn crc32c(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ u32::from(byte), |crc, _| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0x82f6_3b78
        } else {
            crc >> 1
        }
    })
}

/// An entry point for `fuzz/`: a header that comes in pieces is the one that comes at once, and keeps its meaning when
/// written anew.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn judge(data: &[u8]) {
    let whole = HeaderReader::default().take(data);
    for piece in [1, 2, 7, 64] {
        let (mut reader, mut taken, mut told) = (HeaderReader::default(), 0, Ok(None));
        for part in data.chunks(piece) {
            match reader.take(part) {
                Ok((count, origin)) => {
                    taken += count;
                    told = Ok(origin);
                    if origin.is_some() {
                        break;
                    }
                    assert_eq!(count, part.len(), "bytes were left of a header that is not whole");
                }
                Err(Refused) => {
                    told = Err(Refused);
                    break;
                }
            }
            assert!(reader.bytes.len() <= FIXED + LONGEST_REST);
        }
        assert_eq!(told.map(|origin| (taken, origin)), whole, "in pieces of {piece}");
    }
    if let Ok((_, Some(origin))) = whole {
        let again = header(origin);
        assert_eq!(
            HeaderReader::default().take(&again),
            Ok((again.len(), Some(origin)))
        );
    }
}

#[cfg(test)]
mod tests;
