//! The chunked coding, decoded in place. Extensions and trailers are skipped (RFC 9112, section 7.1 allows that), but must
//! be well formed: what one parser takes for an extension could be a line end to the next.

use crate::head::is_token;

/// Bytes that may follow a chunk's size on its line, including leading zeros. The limit is per chunk, because a long body
/// in signed chunks (`;chunk-signature=...`) is as legitimate as a short one.
const LINE_BYTES: u32 = 4 * 1024;
/// Bytes of trailers allowed. They are dropped here, so a sender of more only wastes time.
const TRAILER_BYTES: u32 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the first digit of a size.
    SizeStart,
    /// Reading a size's digits.
    Size,
    /// In blanks behind a size, an extension's name or its value.
    Blank(Behind),
    /// Behind a semicolon, before an extension's name.
    NameStart,
    /// Inside an extension's name.
    Name,
    /// Behind an equals sign, before an extension's value.
    ValueStart,
    /// Inside a value that is a token.
    Value,
    /// Inside a value in quotes.
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind the closing quotes.
    QuotedEnd,
    /// The line feed that ends a size line.
    SizeEnd,
    /// Inside a chunk.
    Data,
    /// The carriage return after a chunk.
    DataReturn,
    /// The line feed after a chunk.
    DataEnd,
    /// At the beginning of a trailer line.
    TrailerStart,
    /// Inside a trailer's name.
    TrailerName,
    /// Inside a trailer's value.
    TrailerValue,
    /// The line feed that ends a trailer line.
    TrailerEnd,
    /// The line feed that ends the body.
    End,
    /// All read.
    Done,
}

/// What the blanks on a size line follow, which determines what may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Size,
    Name,
    Value,
}

/// The body breaks the chunked coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

/// The decoder of one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    state: State,
    left: u64,
    /// Skipped bytes of this line, or of the trailers.
    idle: u32,
    /// Sizes may be padded with blanks, as some old servers write them.
    padded: bool,
}

impl Decoder {
    /// A decoder for a request's body.
    pub(crate) const fn new() -> Decoder {
        Decoder {
            state: State::SizeStart,
            left: 0,
            idle: 0,
            padded: false,
        }
    }

    /// A decoder for an answer's body. An answer is framed anew for one client only, so padding cannot mislead another
    /// parser.
    pub(crate) const fn of_answer() -> Decoder {
        Decoder {
            padded: true,
            ..Decoder::new()
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes `bytes[from..to]`, moving the data together at `from`. Returns the data's end and the offset where reading
    /// stopped (before `to` only if the body is done).
    pub(crate) fn decode(
        &mut self,
        bytes: &mut [u8],
        from: usize,
        to: usize,
    ) -> Result<(usize, usize), BadChunk> {
        let (mut read, mut write) = (from, from);
        while read < to && self.state != State::Done {
            if self.state == State::Data {
                let run = usize::try_from(self.left).unwrap_or(usize::MAX).min(to - read);
                if read != write {
                    bytes.copy_within(read..read + run, write);
                }
                read += run;
                write += run;
                self.left -= run as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                continue;
            }
            self.state = self.step(bytes[read])?;
            read += 1;
        }
        Ok((write, read))
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        use State::{
            DataEnd, DataReturn, Done, End, SizeEnd, SizeStart, TrailerEnd, TrailerName, TrailerStart,
        };
        Ok(match (self.state, byte) {
            (SizeStart | State::Size, byte) if byte.is_ascii_hexdigit() => {
                let digit = u64::from(char::from(byte).to_digit(16).ok_or(BadChunk)?);
                if self.left == 0 {
                    // Leading zeros are legal, as many as a line may have.
                    self.spend(LINE_BYTES)?;
                }
                // 60 bits are enough for any body.
                if self.left >> 56 != 0 {
                    return Err(BadChunk);
                }
                self.left = self.left * 16 + digit;
                State::Size
            }
            (SizeEnd, b'\n') => {
                self.idle = 0;
                if self.left == 0 { TrailerStart } else { State::Data }
            }
            (DataReturn, b'\r') => DataEnd,
            (DataEnd, b'\n') => SizeStart,
            (TrailerStart, b'\r') => End,
            (TrailerStart | TrailerName, byte) if is_token(byte) => {
                self.spend(TRAILER_BYTES)?;
                TrailerName
            }
            (TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => TrailerEnd,
            (State::TrailerValue, byte) if is_text(byte) => {
                self.spend(TRAILER_BYTES)?;
                State::TrailerValue
            }
            (TrailerEnd, b'\n') => TrailerStart,
            (End, b'\n') => Done,
            (SizeStart | DataReturn | DataEnd | TrailerStart | TrailerName | State::TrailerValue, _)
            | (TrailerEnd | End | SizeEnd | State::Data | Done, _) => return Err(BadChunk),
            (state, byte) => {
                self.spend(LINE_BYTES)?;
                self.extension(state, byte)?
            }
        })
    }

    /// The rest of a size line (RFC 9112, section 7.1.1). A bare line feed in it is a known way to smuggle requests past
    /// lenient parsers, and so is any other deviation from the grammar.
    fn extension(&self, state: State, byte: u8) -> Result<State, BadChunk> {
        use State::{Blank, Escaped, Name, NameStart, Quoted, QuotedEnd, Size, SizeEnd, Value, ValueStart};
        Ok(match (state, byte) {
            (Size | Name | Value | QuotedEnd, b'\r') => SizeEnd,
            (Blank(Behind::Size), b'\r') if self.padded => SizeEnd,
            (Size | Name | Value | QuotedEnd | Blank(_), b';') => NameStart,
            (Size, b' ' | b'\t') => Blank(Behind::Size),
            (Name, b' ' | b'\t') => Blank(Behind::Name),
            (Value | QuotedEnd, b' ' | b'\t') => Blank(Behind::Value),
            (Blank(_) | NameStart | ValueStart, b' ' | b'\t') => state,
            (Name | Blank(Behind::Name), b'=') => ValueStart,
            (NameStart | Name, byte) if is_token(byte) => Name,
            (ValueStart, b'"') => Quoted,
            (ValueStart | Value, byte) if is_token(byte) => Value,
            (Quoted, b'"') => QuotedEnd,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, byte) if is_text(byte) => Quoted,
            _ => return Err(BadChunk),
        })
    }

    fn spend(&mut self, bound: u32) -> Result<(), BadChunk> {
        self.idle += 1;
        if self.idle > bound { Err(BadChunk) } else { Ok(()) }
    }
}

/// Whether a value may contain the byte: no control character except tab (RFC 9110, section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &[u8]) -> Result<(Vec<u8>, Vec<u8>, bool), BadChunk> {
        let mut bytes = text.to_vec();
        let mut decoder = Decoder::new();
        let length = bytes.len();
        let (end, read) = decoder.decode(&mut bytes, 0, length)?;
        Ok((bytes[..end].to_vec(), text[read..].to_vec(), decoder.is_done()))
    }

    #[test]
    fn bodies() {
        let ok = |text: &str| decode(text.as_bytes()).unwrap();
        assert_eq!(
            ok("5\r\nhello\r\n0\r\n\r\nGET"),
            (b"hello".to_vec(), b"GET".to_vec(), true)
        );
        assert_eq!(
            ok("2;x=\"y\"\r\nhi\r\n3\r\nyou\r\n0\r\nA: b\r\n\r\n"),
            (b"hiyou".to_vec(), vec![], true)
        );
        assert_eq!(ok("A\r\n0123456789"), (b"0123456789".to_vec(), vec![], false));
        for bad in [
            "\r\n",
            "g\r\n",
            "5\nhello",
            "5\r\nhellox",
            "0\r\n\n",
            "-1\r\n",
            "5;\nhello\r\n",
            "10000000000000000\r\n",
            "ffffffffffffffff\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(BadChunk), "{bad:?}");
        }
    }

    /// All of these were once accepted as chunks.
    #[test]
    fn size_lines_and_trailers_have_their_form() {
        for bad in [
            "5;",
            "5 ",
            "5 garbage",
            "5 5",
            "5;a=",
            "5;a b",
            "5;=b",
            "5;a=\"b",
            "5;a=\"b\"c",
            "5;a\0",
            "5;a=\"\0\"",
            "5;;",
            "5;a ",
            "5;a=b ",
        ] {
            let body = format!("{bad}\r\nhello\r\n0\r\n\r\n");
            assert_eq!(decode(body.as_bytes()), Err(BadChunk), "{bad:?}");
        }
        for bad in [
            "0 x\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\na: b\r\n folded\r\n\r\n",
            "0\r\na: \0\r\n\r\n",
            "0\r\na : b\r\n\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(BadChunk), "{bad:?}");
        }
        for good in [
            "5;a",
            "5;a=b",
            "5 ; a = b",
            "5;a=\"b;\\\"\"",
            "5;a=\"\";b",
            "5\t;a;b=c",
        ] {
            let body = format!("{good}\r\nhello\r\n0\r\nA:\r\nB: c\td\r\n\r\n");
            assert_eq!(
                decode(body.as_bytes()),
                Ok((b"hello".to_vec(), vec![], true)),
                "{good:?}"
            );
        }
    }

    /// Sizes of more than 15 digits were once refused, however small the number.
    #[test]
    fn zeros_may_lead_a_size() {
        for zeros in [15, 16, 1_000] {
            let body = format!("{0}5\r\nhello\r\n{0}0\r\n\r\n", "0".repeat(zeros));
            assert_eq!(
                decode(body.as_bytes()),
                Ok((b"hello".to_vec(), vec![], true)),
                "{zeros}"
            );
        }
        let endless = "0".repeat(LINE_BYTES as usize + 1);
        assert_eq!(decode(endless.as_bytes()), Err(BadChunk));
    }

    /// The limit once applied to the whole body: signed chunks of a large file broke off after 64 KiB of signatures.
    #[test]
    fn extensions_are_bounded_by_chunk() {
        let signature = "a".repeat(64);
        let body = format!("1;chunk-signature={signature}\r\nx\r\n").repeat(5_000) + "0\r\n\r\n";
        let (data, _, done) = decode(body.as_bytes()).unwrap();
        assert_eq!((data.len(), done), (5_000, true));
        let long = format!("1;{}\r\n", "a".repeat(LINE_BYTES as usize + 1));
        assert_eq!(decode(long.as_bytes()), Err(BadChunk));
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(TRAILER_BYTES as usize));
        assert_eq!(decode(trailers.as_bytes()), Err(BadChunk));
    }

    #[test]
    fn old_servers_pad_their_sizes() {
        let mut bytes = b"5   \r\nhello\r\n0  \r\n\r\n".to_vec();
        let length = bytes.len();
        let mut decoder = Decoder::of_answer();
        assert_eq!(decoder.decode(&mut bytes, 0, length), Ok((5, length)));
        assert!(decoder.is_done());
        assert_eq!(
            Decoder::of_answer().decode(&mut b"5 x\r\n".to_vec(), 0, 5),
            Err(BadChunk)
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(chunks in proptest::collection::vec("[a-z]{1,9}", 0..6), cut in 0_usize..60) {
            let mut wire: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            wire.push_str("0\r\n\r\n");
            let cut = cut.min(wire.len());
            let mut decoder = Decoder::new();
            let mut out = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                let mut bytes = part.as_bytes().to_vec();
                let length = bytes.len();
                let (end, read) = decoder.decode(&mut bytes, 0, length).unwrap();
                prop_assert_eq!(read, length);
                out.extend_from_slice(&bytes[..end]);
            }
            prop_assert!(decoder.is_done());
            prop_assert_eq!(String::from_utf8(out).unwrap(), chunks.concat());
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
