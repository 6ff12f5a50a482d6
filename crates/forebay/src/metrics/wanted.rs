//! Flags that the commands share: which metrics, and how far back.

use anyhow::anyhow;
use clap::Args;

/// The metrics that a command is about.
#[derive(Args, Debug, Clone)]
pub(super) struct Wanted {
    /// Only metrics of this namespace
    #[arg(long)]
    pub(super) namespace: Option<String>,
    /// Only metrics with this dimension; may be repeated
    #[arg(long = "dimension", value_name = "NAME=VALUE", value_parser = dimension)]
    pub(super) dimensions: Vec<(String, String)>,
}

fn dimension(text: &str) -> anyhow::Result<(String, String)> {
    let pair = text.split_once('=').filter(|pair| !pair.0.is_empty());
    let (name, value) = pair.ok_or_else(|| anyhow!("'{text}' is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Parses `90s`, `15m`, `3h` or `2d` as seconds.
pub(super) fn since(text: &str) -> anyhow::Result<i64> {
    let wrong = || anyhow!("'{text}' is not a length of time such as 90s, 15m, 3h or 2d");
    let last = text.chars().last().ok_or_else(wrong)?;
    let unit = match last {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(unit)
        .filter(|seconds| (1..=455 * 86_400).contains(seconds));
    seconds.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_dimensions_are_read() {
        assert_eq!(since("15m").unwrap(), 900);
        for wrong in ["", "15", "m", "-3h", "9999d", "3é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert_eq!(dimension("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(dimension("=b").is_err() && dimension("A").is_err());
    }
}
