//! What is kept of many values: count, sum, extremes, and a sketch for percentiles.

use sketches_ddsketch::{Config, DDSketch};

/// The relative error of a percentile is at most this.
pub const PERCENTILE_ERROR: f64 = 0.01;
/// Bins of a sketch at most: with an error of 1 %, values that differ by a factor of 10^17 keep their own.
const BINS: u32 = 2048;
/// Values nearer to zero than this count as zero: a nanosecond, where values are seconds.
const SMALLEST: f64 = 1e-9;

/// A summary of values. Two are merged without loss but for what the sketch loses anyway.
#[derive(Clone)]
pub struct Summary {
    /// How many values.
    pub count: f64,
    /// All together.
    pub sum: f64,
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
    /// None if only a statistic set was given: percentiles are not known then, unless all values were the same.
    sketch: Option<Box<DDSketch>>,
}

impl core::fmt::Debug for Summary {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Summary")
            .field("count", &self.count)
            .field("sum", &self.sum)
            .field("minimum", &self.minimum)
            .field("maximum", &self.maximum)
            .finish_non_exhaustive()
    }
}

fn sketch() -> Box<DDSketch> {
    Box::new(DDSketch::new(Config::new(PERCENTILE_ERROR, BINS, SMALLEST)))
}

impl Summary {
    /// One value, which occurred `count` times.
    pub fn of(value: f64, count: f64) -> Summary {
        let mut summary = Summary {
            count: 0.0,
            sum: 0.0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
            sketch: Some(sketch()),
        };
        summary.add(value, count);
        summary
    }

    /// Adds a value that occurred `count` times.
    pub fn add(&mut self, value: f64, count: f64) {
        self.count += count;
        self.sum += value * count;
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        if let Some(sketch) = &mut self.sketch {
            // Counts that are no whole numbers are possible in the API, and rare: the sketch rounds them.
            sketch.add_with_count(value, count.round().max(1.0) as u64);
        }
    }

    /// A statistic set as PutMetricData takes it: nothing is known of what lies between the extremes.
    pub fn of_set(count: f64, sum: f64, minimum: f64, maximum: f64) -> Summary {
        let same = minimum == maximum;
        Summary {
            count,
            sum,
            minimum,
            maximum,
            sketch: same.then(|| {
                let mut sketch = sketch();
                sketch.add_with_count(minimum, count.round().max(1.0) as u64);
                sketch
            }),
        }
    }

    /// Takes the values of another one too.
    pub fn merge(&mut self, other: &Summary) {
        self.count += other.count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        let merged = match (&mut self.sketch, &other.sketch) {
            (Some(own), Some(theirs)) => own.merge(theirs).is_ok(),
            _ => false,
        };
        if !merged {
            self.sketch = None;
        }
    }

    /// The value below which this share of all values lies (0 to 1), to within [`PERCENTILE_ERROR`]; none if it is not known.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let value = self.sketch.as_ref()?.quantile(share).ok()??;
        Some(value.clamp(self.minimum, self.maximum))
    }
}
