//! Standard output: what programs read. A full disk or a reader that has left is an error like others, and no panic.

use anyhow::Context as _;
use std::fmt;
use std::io::Write as _;

/// Writes a line, and sees it off.
pub fn line(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
