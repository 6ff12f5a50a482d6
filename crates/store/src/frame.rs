//! The frames of datapoint files, each compressed and with a checksum.

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use forebay_signals::series::Point;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _, Write as _};

/// Bytes of a frame's length and checksum.
const HEAD: usize = 8;
/// Longest content of a frame; one that claims more is damaged.
const LONGEST: usize = 256 << 20;

/// A batch of points of one tier.
#[derive(Debug, Serialize, Deserialize)]
pub struct Frame<K> {
    /// The series of this batch.
    pub series: Vec<K>,
    /// Points: index of the series, the second at which the point begins, and its values.
    pub points: Vec<(u32, i64, forebay_signals::Summary)>,
    /// Points of the tier below that begin before this second are merged into these.
    pub widened: Option<i64>,
}

impl<K: Ord + Clone> Frame<K> {
    /// A batch of these points, each series named once.
    pub fn of(points: &[Point<K>], widened: Option<i64>) -> Frame<K> {
        let mut series: Vec<K> = points.iter().map(|point| point.key.clone()).collect();
        series.sort_unstable();
        series.dedup();
        let place = |key: &K| series.binary_search(key).unwrap_or_default() as u32;
        let points = points
            .iter()
            .map(|point| (place(&point.key), point.second, point.summary.clone()))
            .collect();
        Frame {
            series,
            points,
            widened,
        }
    }
}

impl<K: DeserializeOwned> Frame<K> {
    /// The first of these frames, and the bytes behind it; none if it is incomplete or damaged.
    pub(crate) fn first(bytes: &[u8]) -> Option<(Frame<K>, &[u8])> {
        let (frame, after) = decode::<Frame<K>>(bytes)?;
        let fits = |point: &(u32, i64, _)| (point.0 as usize) < frame.series.len();
        frame.points.iter().all(fits).then_some((frame, after))
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Encodes a value as a frame.
pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let plain = postcard::to_allocvec(value).map_err(io::Error::other)?;
    let mut encoder = ZlibEncoder::new(vec![0; HEAD], Compression::fast());
    encoder.write_all(&plain)?;
    let mut bytes = encoder.finish()?;
    let length = u32::try_from(bytes.len() - HEAD).map_err(io::Error::other)?;
    let sum = checksum(&bytes[HEAD..]);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..HEAD].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// The value of the first frame, and the bytes behind it; none if it is incomplete or damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (packed, after) = rest.split_at_checked(length)?;
    if checksum(packed) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut plain = Vec::new();
    let mut decoder = ZlibDecoder::new(packed).take(LONGEST as u64);
    decoder.read_to_end(&mut plain).ok()?;
    Some((postcard::from_bytes(&plain).ok()?, after))
}
