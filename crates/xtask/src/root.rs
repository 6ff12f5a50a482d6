//! The location of the repository.

use anyhow::Context as _;
use std::path::PathBuf;

/// The repository's root.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map(PathBuf::from)
        .context("xtask stands in crates/xtask")
}
