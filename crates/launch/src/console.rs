//! The standard output and standard error of an instance: one file and its predecessor, both bounded.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Most bytes of `console.log`. Its predecessor is `console.log.1`.
pub(crate) const CONSOLE_LIMIT: u64 = 8 << 20;
/// Bytes that are kept for the last lines of output.
const LAST: usize = 2048;

/// The console of a running instance.
pub(crate) struct Console {
    path: PathBuf,
    limit: u64,
    file: Option<File>,
    len: u64,
    last: VecDeque<u8>,
}

impl Console {
    /// Continues the file at `path`.
    pub(crate) fn open(path: PathBuf, limit: u64) -> Console {
        let file = open(&path);
        Console {
            len: file
                .as_ref()
                .and_then(|file| file.metadata().ok())
                .map_or(0, |file| file.len()),
            path,
            limit,
            file,
            last: VecDeque::new(),
        }
    }

    /// Appends output. A full disk loses it, and nothing else.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.last.extend(bytes);
        let excess = self.last.len().saturating_sub(LAST);
        self.last.drain(..excess);
        if self.len + bytes.len() as u64 > self.limit && self.len > 0 {
            let _ = fs::rename(&self.path, older(&self.path));
            self.file = open(&self.path);
            self.len = 0;
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.len += bytes.len() as u64;
        }
    }

    /// Writes a line of our own.
    pub(crate) fn say(&mut self, text: &str) {
        self.write(format!("forebay: {text}\n").as_bytes());
    }

    /// The last non-empty lines, at most this many, joined to one.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let bytes: Vec<u8> = self.last.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        lines[lines.len().saturating_sub(count)..].join(" / ")
    }
}

/// The path of the predecessor.
fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

fn open(path: &Path) -> Option<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_the_file_before() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("console.log");
        let mut console = Console::open(path.clone(), 100);
        for round in 0..50 {
            console.write(format!("line {round}\n").as_bytes());
        }
        assert!(fs::metadata(&path).unwrap().len() <= 100);
        assert!(fs::metadata(older(&path)).unwrap().len() <= 100);
        assert_eq!(console.last_lines(2), "line 48 / line 49");
        assert_eq!(older(&path).file_name().unwrap(), "console.log.1");
    }
}
