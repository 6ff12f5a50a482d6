//! The client of the Runtime API for Node, which is part of Forebay.

use crate::errors::Tried as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Its source.
const CLIENT: &str = include_str!("node_client.cjs");
/// Its file name.
const NAME: &str = "node_client.cjs";

/// Writes the client into a directory.
pub(super) fn write(dir: &Path) -> Result<(), String> {
    let path = dir.join(NAME);
    let scratch = dir.join(".new");
    fs::write(&scratch, CLIENT).tried(|| format!("write {}", scratch.display()))?;
    fs::set_permissions(&scratch, Permissions::from_mode(0o644))
        .tried(|| format!("write {}", scratch.display()))?;
    fs::rename(&scratch, &path).tried(|| format!("write {}", path.display()))
}

/// The client's path.
pub(super) fn path(dir: &Path) -> String {
    dir.join(NAME).display().to_string()
}
