//! The files of a log, for whoever copies them while it is written.

use super::log::number_of;
use super::tasks;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Tries to have all files open at once, while the first of them go.
const TRIES: usize = 100;

/// A file that is open, its name, and how much of it there was.
#[derive(Debug)]
pub struct OpenFile {
    /// Its name in the directory.
    pub name: String,
    /// The file; it stays whole if it is deleted meanwhile.
    pub file: File,
    /// Its bytes. What comes later is not to be copied.
    pub length: u64,
}

/// All files of the log in this directory, so that copies of them are the log as it was at one moment: the end of a frame may be
/// missing, and was acknowledged to nobody. Nothing if there is no such directory.
///
/// # Errors
/// If a file cannot be opened.
pub fn open_files(directory: &Path) -> io::Result<Vec<OpenFile>> {
    for _ in 0..TRIES {
        match open_all(directory) {
            // Files go from the first on, after what was in them has been written again in the last. So all that were there must be open.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Err(io::Error::other(
        "files of messages are deleted faster than they can be opened",
    ))
}

fn open_all(directory: &Path) -> io::Result<Vec<OpenFile>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some((number_of(&name)?, name))
        })
        .collect();
    names.sort();
    let mut names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    if directory.join(tasks::NAME).exists() {
        names.push(tasks::NAME.to_owned());
    }
    let open = |name: String| {
        let file = File::open(directory.join(&name))?;
        let length = file.metadata()?.len();
        Ok(OpenFile { name, file, length })
    };
    names.into_iter().map(open).collect()
}
