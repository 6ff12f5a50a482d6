//! Why a store cannot be opened.

use crate::format::FORMAT;
use std::path::PathBuf;

/// Why a store cannot be opened. The file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its directory cannot be read or created.
    #[error("the store {} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Others may read it, and that cannot be changed.
    #[error(
        "the store {} holds private keys and is open to others (mode {mode:04o}), which cannot be changed: {cause}; \
         give it to the user that runs this, with mode 0600",
        path.display()
    )]
    Open {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Another process has it.
    #[error("the store {} is in use by another process", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The file is something else, or damaged.
    #[error("the store {} is not a Forebay store or is damaged: {text}", path.display())]
    Damaged {
        /// The path.
        path: PathBuf,
        /// What was found.
        text: String,
    },
    /// A newer version wrote it.
    #[error(
        "the store {} has format {found}; this version reads formats 1 to {FORMAT}: use the version that wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// The path.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
}
