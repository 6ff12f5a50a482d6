//! Standard output, which other programs read. A full disk or a closed pipe is an error like others, not a panic.

use anyhow::Context as _;
use std::fmt;
use std::io::Write as _;

/// Writes a line and flushes it.
pub fn line(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
