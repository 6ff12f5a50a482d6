//! A share, as it is said on the command line.

use anyhow::{Context as _, bail};

/// A number from 0 to 1.
pub(crate) fn ratio(text: &str) -> anyhow::Result<f64> {
    let ratio: f64 = text.parse().context("a ratio is a number from 0 to 1")?;
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        bail!("a ratio is a number from 0 to 1")
    }
}
