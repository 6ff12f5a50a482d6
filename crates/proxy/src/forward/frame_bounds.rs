//! Finds where WebSocket frames end (RFC 6455, section 5.2), so that a close frame can be inserted between two. Payloads
//! are not examined.

/// The longest frame header: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;

/// Tracks one direction.
#[derive(Debug, Default)]
pub(super) struct FrameBounds {
    /// The part of a header that has come.
    header: [u8; LONGEST],
    held: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
}

impl FrameBounds {
    /// Advances over `bytes`. Returns the offset behind the last frame that ends among them; 0 if the first byte begins a
    /// frame.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut bound = self.is_between().then_some(0);
        let mut at = 0;
        while at < bytes.len() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                self.left -= skipped as u64;
                at += skipped;
            } else {
                self.header[self.held] = bytes[at];
                self.held += 1;
                at += 1;
                if self.held == self.header_length() {
                    self.left = self.payload_length();
                    self.held = 0;
                }
            }
            if self.is_between() {
                bound = Some(at);
            }
        }
        bound
    }

    /// Whether a frame has ended and none has begun.
    pub(super) fn is_between(&self) -> bool {
        self.left == 0 && self.held == 0
    }

    /// The header's length as far as it is known: one more than what is held, until the second byte has come.
    fn header_length(&self) -> usize {
        if self.held < 2 {
            return 2;
        }
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn payload_length(&self) -> u64 {
        let extended = |count: usize| {
            let bytes = self.header[2..2 + count].iter();
            bytes.fold(0, |length: u64, &byte| length << 8 | u64::from(byte))
        };
        match self.header[1] & 0x7f {
            126 => extended(2),
            127 => extended(8),
            short => u64::from(short),
        }
    }
}

/// A close frame with status 1001, going away (RFC 6455, section 7.4.1), as a server sends it.
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Like [`GOING_AWAY`], but masked, as a client must send it. The mask hides nothing here, so its value does not matter.
pub(super) const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0x5a, 0x3c, 0x96, 0x0f, 0x03 ^ 0x5a, 0xe9 ^ 0x3c];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0x81; length + if masked { 4 } else { 0 }]);
        frame
    }

    proptest! {
        /// However frames are split, the last boundary that was seen is one where a frame ended.
        #[test]
        fn bounds_are_found_however_bytes_are_cut(
            frames in proptest::collection::vec((prop_oneof![0..200_usize, 60_000..70_000_usize], any::<bool>()), 1..5),
            cuts in proptest::collection::vec(1..5000_usize, 1..30),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for (length, masked) in frames {
                bytes.extend(frame(length, masked));
                ends.push(bytes.len());
            }
            let mut bounds = FrameBounds::default();
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            while at < bytes.len() {
                let to = (at + cuts.next().unwrap()).min(bytes.len());
                let bound = bounds.follow(&bytes[at..to]).map(|bound| at + bound);
                let expected = ends.iter().copied().filter(|end| (at..=to).contains(end)).max();
                prop_assert_eq!(bound, expected);
                prop_assert_eq!(bounds.is_between(), ends.contains(&to));
                at = to;
            }
        }

        #[test]
        fn no_bytes_are_too_many(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            FrameBounds::default().follow(&bytes);
        }
    }

    #[test]
    fn farewells_are_close_frames_with_1001() {
        for mut farewell in [GOING_AWAY.to_vec(), GOING_AWAY_MASKED.to_vec()] {
            assert_eq!(FrameBounds::default().follow(&farewell), Some(farewell.len()));
            if farewell.len() == 8 {
                farewell[6] ^= farewell[2];
                farewell[7] ^= farewell[3];
            }
            assert!(farewell.ends_with(&1001_u16.to_be_bytes()));
        }
    }
}
