//! Opens the files of a log so that they can be copied while the log is written.

use super::log::number_of;
use super::tasks;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Tries to have all files open at once, while the first ones may be deleted.
const TRIES: usize = 100;

/// An open file, its name, and its length at that moment.
#[derive(Debug)]
pub struct OpenFile {
    /// Its name in the directory.
    pub name: String,
    /// The file; it stays readable if it is deleted meanwhile.
    pub file: File,
    /// Its length. What is appended later must not be copied.
    pub length: u64,
}

/// Opens all files of the log in this directory, so that copies of them are the log at one moment. The end of the last
/// frame may be missing, but was not acknowledged to anyone. Empty if there is no such directory.
///
/// # Errors
/// If a file cannot be opened.
pub fn open_files(directory: &Path) -> io::Result<Vec<OpenFile>> {
    for _ in 0..TRIES {
        match open_all(directory) {
            // A file is deleted after its messages were written again in the last one. So all files that were listed must
            // be open, or messages would be missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Err(io::Error::other(
        "files of the message log are deleted faster than they can be opened",
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
