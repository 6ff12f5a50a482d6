//! The chunked coding, decoded in place. Extensions and trailers are read over (RFC 9112 section 7.1 allows it).

/// Bytes of chunk extensions and trailers allowed per body. They carry nothing here, so a sender that needs more is
/// wasting our time on purpose.
const OVERHEAD_BYTES: u32 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading a size's digits; how many so far.
    Size(u8),
    /// After the size, up to the line's end.
    Extension,
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
    /// Inside a trailer line.
    Trailer,
    /// The line feed that ends a trailer line.
    TrailerEnd,
    /// The line feed that ends the body.
    End,
    /// All read.
    Done,
}

/// A body that breaks the coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

/// A decoder of one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    state: State,
    left: u64,
    overhead: u32,
}

impl Decoder {
    pub(crate) const fn new() -> Decoder {
        Decoder {
            state: State::Size(0),
            left: 0,
            overhead: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes `bytes[from..to]`, moving the data together at `from`. Returns the data's end and where reading
    /// stopped (short of `to` only when the body is done).
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
        Ok(match (self.state, byte) {
            (State::Size(digits), byte) if byte.is_ascii_hexdigit() => {
                // 15 digits fit 60 bits; leading zeros beyond that are a way to stall.
                if digits >= 15 {
                    return Err(BadChunk);
                }
                self.left = self.left * 16 + u64::from(char::from(byte).to_digit(16).ok_or(BadChunk)?);
                State::Size(digits + 1)
            }
            (State::Size(0), _) => return Err(BadChunk),
            (State::Size(_), b'\r') | (State::Extension, b'\r') => State::SizeEnd,
            (State::Size(_), b';' | b' ' | b'\t') => State::Extension,
            // A bare line feed here is how extensions smuggle requests past lenient parsers.
            (State::Extension, byte) if byte != b'\n' => {
                self.spend()?;
                State::Extension
            }
            (State::SizeEnd, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeEnd, b'\n') => State::Data,
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size(0),
            (State::TrailerStart, b'\r') => State::End,
            (State::TrailerStart | State::Trailer, byte) if byte != b'\n' && byte != b'\r' => {
                self.spend()?;
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::End, b'\n') => State::Done,
            _ => return Err(BadChunk),
        })
    }

    fn spend(&mut self) -> Result<(), BadChunk> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES {
            Err(BadChunk)
        } else {
            Ok(())
        }
    }
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
            "00000000000000005\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(BadChunk), "{bad:?}");
        }
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
