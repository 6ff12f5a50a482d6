//! The part of HPACK (RFC 7541) that is needed to see paths and authorities that the `http` crate refuses. The `h2` crate
//! resets such streams without telling us, while HTTP/1.1 serves some of them and answers the others. Here each is replaced
//! by a valid value of the same length, which keeps the receiver's dynamic table in step with the sender's; the original is
//! kept beside.

use http::uri::{Authority, PathAndQuery};
use std::collections::VecDeque;
use std::rc::Rc;

/// Size of a dynamic table whose sender was told no other (RFC 9113, section 6.5.2).
const TABLE_BYTES: usize = 4096;
/// Bytes counted for an entry in addition to its name and value (RFC 7541, section 4.1).
const ENTRY_BYTES: usize = 32;

/// Lengths of the names in the static table (RFC 7541, appendix A).
const STATIC: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13,
    12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3,
    16,
];

/// Lengths of the Huffman codes, by byte (RFC 7541, appendix B). The code is canonical, so the lengths define it.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];
/// The longest code; the code of the end of a string has that length, too.
const LONGEST: usize = 30;

/// For each code length: the first code, and where its symbols begin in the list of all, which is sorted by length.
struct Codes {
    first: [u32; LONGEST + 2],
    start: [u16; LONGEST + 2],
    symbols: [u8; 256],
}

static CODES: Codes = {
    let mut codes = Codes {
        first: [0; LONGEST + 2],
        start: [0; LONGEST + 2],
        symbols: [0; 256],
    };
    let (mut length, mut next, mut code) = (1, 0, 0);
    while length <= LONGEST {
        codes.first[length] = code;
        codes.start[length] = next as u16;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[next] = symbol as u8;
                next += 1;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes.start[LONGEST + 1] = 256;
    codes
};

/// Passes each byte of a Huffman-coded text to `each`. False if the coding is invalid.
fn decode(coded: &[u8], mut each: impl FnMut(u8)) -> bool {
    let (mut code, mut length) = (0_u32, 0);
    for &byte in coded {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            let count = CODES.start[length + 1] - CODES.start[length];
            let at = code.wrapping_sub(CODES.first[length]);
            if at < u32::from(count) {
                each(CODES.symbols[usize::from(CODES.start[length]) + at as usize]);
                (code, length) = (0, 0);
            } else if length == LONGEST {
                return false;
            }
        }
    }
    // The last byte is padded with ones.
    length < 8 && code + 1 == 1 << length
}

/// Not valid HPACK; `h2` will report that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Path,
    Authority,
    Other,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Name,
    name_bytes: usize,
    value_bytes: usize,
    /// Its value, if the `http` crate would refuse that.
    odd: Option<Rc<[u8]>>,
}

/// The parts of a request's head that would be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Odd {
    pub(crate) path: Option<Rc<[u8]>>,
    pub(crate) authority: Option<Rc<[u8]>>,
}

impl Odd {
    fn set(&mut self, name: Name, value: Option<Rc<[u8]>>) {
        match name {
            Name::Path => self.path = value.or(self.path.take()),
            Name::Authority => self.authority = value.or(self.authority.take()),
            Name::Other => {}
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let length = |value: &Option<Rc<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        length(&self.path) + length(&self.authority)
    }
}

/// The dynamic table of one sender, as far as it matters here.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    bytes: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            entries: VecDeque::new(),
            bytes: 0,
            most: TABLE_BYTES,
        }
    }
}

/// A string in a block: where it stands, and its bytes if they are wanted.
struct Text {
    start: usize,
    end: usize,
    bytes: usize,
    value: Vec<u8>,
}

impl Table {
    /// Reads a header block. Returns the parts that would be refused, and the block with valid values in their place.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Option<(Odd, Vec<u8>)>, Broken> {
        let (mut odd, mut out, mut copied, mut at) = (Odd::default(), Vec::new(), 0, 0);
        while let Some(&first) = block.get(at) {
            if first & 0x80 != 0 {
                let index = number(block, &mut at, 7)?;
                if index == 0 {
                    return Err(Broken);
                }
                if index > STATIC.len() {
                    let entry = self.entries.get(index - STATIC.len() - 1).ok_or(Broken)?;
                    odd.set(entry.name, entry.odd.clone());
                }
                continue;
            }
            if first & 0xe0 == 0x20 {
                let most = number(block, &mut at, 5)?;
                if most > TABLE_BYTES {
                    return Err(Broken);
                }
                self.most = most;
                self.evict();
                continue;
            }
            let indexed = first & 0x40 != 0;
            let index = number(block, &mut at, if indexed { 6 } else { 4 })?;
            let (name, name_bytes) = self.name(block, &mut at, index)?;
            let value = text(block, &mut at, name != Name::Other, indexed)?;
            let is_odd = match name {
                Name::Path => is_odd_path(&value.value),
                Name::Authority => !value.value.is_empty() && Authority::try_from(&value.value[..]).is_err(),
                Name::Other => false,
            };
            let kept: Option<Rc<[u8]>> = is_odd.then(|| value.value.as_slice().into());
            if is_odd {
                out.extend_from_slice(&block[copied..value.start]);
                write_passing(&mut out, name, value.value.len());
                copied = value.end;
                odd.set(name, kept.clone());
            }
            if indexed {
                self.bytes += name_bytes + value.bytes + ENTRY_BYTES;
                self.entries.push_front(Entry {
                    name,
                    name_bytes,
                    value_bytes: value.bytes,
                    odd: kept,
                });
                self.evict();
            }
        }
        if odd == Odd::default() {
            return Ok(None);
        }
        out.extend_from_slice(&block[copied..]);
        Ok(Some((odd, out)))
    }

    fn evict(&mut self) {
        while self.bytes > self.most
            && let Some(entry) = self.entries.pop_back()
        {
            self.bytes -= entry.name_bytes + entry.value_bytes + ENTRY_BYTES;
        }
    }

    /// The name at this index, or the literal one in the block if the index is 0.
    fn name(&self, block: &[u8], at: &mut usize, index: usize) -> Result<(Name, usize), Broken> {
        if index == 0 {
            let name = text(block, at, true, true)?;
            let kind = match &name.value[..] {
                b":path" => Name::Path,
                b":authority" => Name::Authority,
                _ => Name::Other,
            };
            return Ok((kind, name.bytes));
        }
        if let Some(&bytes) = STATIC.get(index - 1) {
            let kind = match index {
                1 => Name::Authority,
                4 | 5 => Name::Path,
                _ => Name::Other,
            };
            return Ok((kind, usize::from(bytes)));
        }
        let entry = self.entries.get(index - STATIC.len() - 1).ok_or(Broken)?;
        Ok((entry.name, entry.name_bytes))
    }
}

/// Whether the `http` crate refuses the path, or would cut something off.
fn is_odd_path(path: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.~%=&?+:,;@!$'()*".contains(byte);
    if path.iter().all(plain) && matches!(path, [] | [b'/', ..] | b"*") {
        return false;
    }
    path.contains(&b'#') || PathAndQuery::try_from(path).is_err()
}

/// Writes a valid value of this length, as a string literal.
fn write_passing(out: &mut Vec<u8>, name: Name, length: usize) {
    const MOST: usize = 0x7f;
    if length < MOST {
        out.push(length as u8);
    } else {
        out.push(MOST as u8);
        let mut rest = length - MOST;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    let start = out.len();
    out.resize(start + length, b'x');
    if name == Name::Path && length > 0 {
        out[start] = b'/';
    }
}

/// Reads an integer with a prefix of `bits` bits (RFC 7541, section 5.1).
fn number(block: &[u8], at: &mut usize, bits: u32) -> Result<usize, Broken> {
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(*block.get(*at).ok_or(Broken)?) & most;
    *at += 1;
    if value < most {
        return Ok(value);
    }
    // Longer ones are refused by the `h2` crate.
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(*at).ok_or(Broken)?;
        *at += 1;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken)
}

/// Reads a string literal (RFC 7541, section 5.2). `wanted`: decode its bytes; `counted`: count the decoded bytes.
fn text(block: &[u8], at: &mut usize, wanted: bool, counted: bool) -> Result<Text, Broken> {
    let start = *at;
    let coded = block.get(start).is_some_and(|first| first & 0x80 != 0);
    let length = number(block, at, 7)?;
    let raw = block.get(*at..*at + length).ok_or(Broken)?;
    *at += length;
    let mut text = Text {
        start,
        end: *at,
        bytes: length,
        value: Vec::new(),
    };
    if !coded {
        if wanted {
            text.value = raw.to_vec();
        }
    } else if wanted || counted {
        text.bytes = 0;
        let whole = decode(raw, |byte| {
            text.bytes += 1;
            if wanted {
                text.value.push(byte);
            }
        });
        if !whole {
            return Err(Broken);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(first: u8, value: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        // In the same form as the code under test: a length, then any bytes.
        write_passing(&mut out, Name::Other, value.len());
        let start = out.len() - value.len();
        out[start..].copy_from_slice(value);
        out
    }

    #[test]
    fn texts_of_the_rfc_are_read() {
        // RFC 7541, appendices C.4 and C.6.
        for (coded, text) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                &b"www.example.com"[..],
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], b"no-cache"),
            (&[0x64, 0x02], b"302"),
            (&[], b""),
        ] {
            let mut read = Vec::new();
            assert!(decode(coded, |byte| read.push(byte)));
            assert_eq!(read, text);
        }
        for broken in [&[0xff, 0xff, 0xff, 0xff][..], &[0xff], &[0x00]] {
            let mut read = Vec::new();
            assert!(!decode(broken, |byte| read.push(byte)), "{broken:?}");
        }
    }

    #[test]
    fn what_would_be_refused_is_seen_however_it_is_written() {
        let mut table = Table::default();
        let odd = |table: &mut Table, block: &[u8]| {
            let read = table.read(block).unwrap();
            read.map(|(odd, block)| (odd.path.map(|path| path.to_vec()), block))
        };
        // Literal without indexing, never indexed, and with a literal name.
        for first in [0x04, 0x14] {
            let (path, block) = odd(&mut table, &literal(first, b"/a\"<b>`{}")).unwrap();
            assert_eq!(path.unwrap(), b"/a\"<b>`{}");
            assert_eq!(block, literal(first, b"/xxxxxxxx"));
        }
        let named = [&[0x00][..], &literal(5, b":path")[1..], &literal(0, b"/<")[1..]].concat();
        assert_eq!(odd(&mut table, &named).unwrap().0.unwrap(), b"/<");
        // Indexed: the table keeps the original, too.
        assert!(odd(&mut table, &literal(0x44, b"/a#b")).is_some());
        assert!(odd(&mut table, &literal(0x58, b"no-store")).is_none());
        let (path, block) = odd(&mut table, &[0x82, 0xbf]).unwrap();
        assert_eq!((path.unwrap(), block), (b"/a#b".to_vec(), vec![0x82, 0xbf]));
        assert!(odd(&mut table, &[0x82, 0x84, 0xbe]).is_none());
        assert!(odd(&mut table, &literal(0x04, b"/plain?a=b&c=%20")).is_none());
        // The table evicts when the sender resizes it.
        assert!(odd(&mut table, &[0x20]).is_none());
        assert_eq!(table.read(&[0xbe]), Err(Broken));
        let host = table.read(&literal(0x41, b"a/b")).unwrap().unwrap();
        assert_eq!(host.0.authority.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(host.1, literal(0x41, b"xxx"));
    }

    proptest! {
        #[test]
        fn any_bytes(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..6)) {
            let mut table = Table::default();
            for block in &blocks {
                let _ = table.read(block);
                prop_assert!(table.bytes <= table.most.max(TABLE_BYTES));
                let sum: usize = table.entries.iter().map(|entry| entry.name_bytes + entry.value_bytes + ENTRY_BYTES).sum();
                prop_assert_eq!(sum, table.bytes);
            }
        }

        #[test]
        fn lengths_stay(path in "/[ -~]{1,300}") {
            let mut table = Table::default();
            let block = literal(0x04, path.as_bytes());
            match table.read(&block).unwrap() {
                None => prop_assert!(PathAndQuery::try_from(&path[..]).is_ok() && !path.contains('#')),
                Some((odd, passing)) => {
                    prop_assert_eq!(odd.path.as_deref(), Some(path.as_bytes()));
                    prop_assert_eq!(passing.len(), block.len());
                    prop_assert_eq!(table.read(&passing), Ok(None));
                }
            }
        }
    }
}
