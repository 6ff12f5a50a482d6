//! Where the two processes meet, and the form in which the state is passed on.

use super::messages::Row;
use forebay_control::State;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// Name of the socket in the data directory at which a running Forebay waits for a successor.
pub(super) const SOCKET: &str = "take-over.sock";

/// The opened data directory, and a path of the socket that leads through it. The path must be short, because a socket's
/// path is limited to 107 bytes and a data directory's may be longer.
pub(super) fn socket_in(data_dir: &Path) -> io::Result<(File, PathBuf)> {
    let directory = File::open(data_dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()));
    Ok((directory, path))
}

pub(super) fn rows(state: &State) -> Vec<Row> {
    let rows = state.rows().into_iter().filter_map(|row| {
        let json = String::from_utf8(row.value?).ok()?;
        Some((row.table.to_owned(), row.key, json))
    });
    rows.collect()
}
