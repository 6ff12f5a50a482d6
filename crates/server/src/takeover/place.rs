//! Where the two meet, and what of the state goes over.

use super::messages::Row;
use forebay_control::State;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// The socket by which a running Forebay is taken over from, in its data directory.
pub(super) const SOCKET: &str = "take-over.sock";

/// A directory, and the path of the socket in it: short, as a socket's path has 107 bytes at most and a data directory's may have more.
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
