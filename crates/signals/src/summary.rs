//! A summary of many values: count, sum, extremes, and a sketch for percentiles.

use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

/// Maximum relative error of a percentile.
pub const PERCENTILE_ERROR: f64 = 0.01;
/// Maximum number of bins of a sketch. With an error of 1 %, values that differ by a factor of up to 10^17 have bins of
/// their own.
const BINS: u32 = 2048;
/// Values closer to zero than this count as zero: a nanosecond, for values in seconds.
const SMALLEST: f64 = 1e-9;

/// A summary of values. Merging two of them loses nothing beyond what a sketch loses anyway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Number of values.
    pub count: f64,
    /// Sum of the values.
    pub sum: f64,
    /// The smallest value.
    pub minimum: f64,
    /// The largest value.
    pub maximum: f64,
    between: Between,
}

/// The values between the extremes.
#[derive(Clone, Serialize, Deserialize)]
enum Between {
    /// All values are the same as far as is known, as in most points, so no sketch is needed.
    Same,
    Sketch(Box<DDSketch>),
    /// A statistic set was given, which says nothing about them.
    Unknown,
}

impl core::fmt::Debug for Between {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Between::Same => "Same",
            Between::Sketch(_) => "Sketch",
            Between::Unknown => "Unknown",
        })
    }
}

/// The API allows fractional counts, which are rare; sketches round them.
fn whole(count: f64) -> u64 {
    count.round().max(1.0) as u64
}

fn sketch_of(value: f64, count: f64) -> Box<DDSketch> {
    let mut sketch = DDSketch::new(Config::new(PERCENTILE_ERROR, BINS, SMALLEST));
    sketch.add_with_count(value, whole(count));
    Box::new(sketch)
}

impl Summary {
    /// One value, which occurred `count` times.
    pub fn of(value: f64, count: f64) -> Summary {
        Summary {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
            between: Between::Same,
        }
    }

    /// A statistic set as in PutMetricData: nothing is known of the values between the extremes.
    pub fn of_set(count: f64, sum: f64, minimum: f64, maximum: f64) -> Summary {
        Summary {
            count,
            sum,
            minimum,
            maximum,
            between: if minimum == maximum {
                Between::Same
            } else {
                Between::Unknown
            },
        }
    }

    /// Adds a value that occurred `count` times.
    pub fn add(&mut self, value: f64, count: f64) {
        self.merge(&Summary::of(value, count));
    }

    /// Adds the values of another summary.
    pub fn merge(&mut self, other: &Summary) {
        let alike = (self.minimum, self.maximum) == (other.minimum, other.maximum);
        self.between = match (
            core::mem::replace(&mut self.between, Between::Unknown),
            &other.between,
        ) {
            (Between::Same, Between::Same) if alike => Between::Same,
            (Between::Same, Between::Same) => {
                let mut sketch = sketch_of(self.minimum, self.count);
                sketch.add_with_count(other.minimum, whole(other.count));
                Between::Sketch(sketch)
            }
            (Between::Sketch(mut sketch), Between::Same) => {
                sketch.add_with_count(other.minimum, whole(other.count));
                Between::Sketch(sketch)
            }
            (Between::Same, Between::Sketch(theirs)) => {
                let mut sketch = theirs.clone();
                sketch.add_with_count(self.minimum, whole(self.count));
                Between::Sketch(sketch)
            }
            (Between::Sketch(mut sketch), Between::Sketch(theirs)) => match sketch.merge(theirs) {
                Ok(()) => Between::Sketch(sketch),
                // All sketches have the same configuration; with another one the result would have to be unknown.
                Err(_) => Between::Unknown,
            },
            (Between::Unknown, _) | (_, Between::Unknown) => Between::Unknown,
        };
        self.count += other.count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }

    /// The value that this fraction (0 to 1) of the values does not exceed, to within [`PERCENTILE_ERROR`]; `None` if
    /// it is not known.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        match &self.between {
            Between::Same => Some(self.minimum),
            Between::Unknown => None,
            Between::Sketch(sketch) => {
                let value = sketch.quantile(share).ok()??;
                // The extremes are exact; the sketch may exceed them by its error.
                Some(value.clamp(self.minimum, self.maximum))
            }
        }
    }

    /// Approximate memory use in bytes.
    pub fn bytes(&self) -> usize {
        let sketch = match &self.between {
            Between::Same | Between::Unknown => 0,
            // A bin for each step of 2 % between the extremes, eight bytes each.
            Between::Sketch(_) => {
                let (low, high) = (self.minimum.abs().max(SMALLEST), self.maximum.abs().max(SMALLEST));
                let steps = (high / low).ln().abs() / (2.0 * PERCENTILE_ERROR);
                size_of::<DDSketch>() + 8 * (steps as usize).min(BINS as usize)
            }
        };
        size_of::<Summary>() + sketch
    }
}
