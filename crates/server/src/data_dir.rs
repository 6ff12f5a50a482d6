//! The directory of state and keys, to which only its owner has access.

use anyhow::{Context as _, bail};
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// The names in a data directory, and names that file systems create. A directory with anything else may be used by others.
const OURS: [&str; 15] = [
    "state.redb",
    "state.new",
    "credentials",
    "credentials.lock",
    "credentials.new",
    "logs",
    "datapoints",
    "take-over.sock",
    "messages",
    "functions",
    "images",
    "instances",
    "notify-secret",
    "restore.new",
    "lost+found",
];

/// Creates the data directory, or removes others' access to an existing one.
pub fn make_data_dir(dir: &Path) -> anyhow::Result<()> {
    let shown = dir.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the data directory {shown}: choose another --data-dir"))?;
    let unreadable = || format!("cannot read the data directory {shown}: choose another --data-dir");
    let mode = std::fs::metadata(dir)
        .with_context(unreadable)?
        .permissions()
        .mode()
        & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    // It may be someone's home, or /tmp: closing that to everyone would be worse than what it prevents.
    if let Some(stranger) = stranger_in(dir).with_context(unreadable)? {
        bail!(
            "the data directory {shown} is to hold private keys, is open to others (mode {mode:04o}) and holds other things \
             ({stranger}): name a directory of its own, such as --data-dir {}",
            dir.join("forebay").display()
        );
    }
    std::fs::set_permissions(dir, Permissions::from_mode(mode & !0o1077)).with_context(|| {
        format!(
            "the data directory {shown} is to hold private keys and is open to others (mode {mode:04o}), which cannot be changed: \
             name a directory of its own, such as --data-dir {}",
            dir.join("forebay").display()
        )
    })?;
    tracing::warn!(
        "the data directory {shown} was open to others (mode {mode:04o}); their access was removed"
    );
    Ok(())
}

/// The name of an entry that does not belong to Forebay.
pub(crate) fn stranger_in(dir: &Path) -> std::io::Result<Option<String>> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // What a restore moved aside belongs to it, too.
        let of = name.split_once(".before-restore-").map_or(&*name, |(of, _)| of);
        if !OURS.contains(&of) {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(dir: &Path) -> u32 {
        dir.metadata().unwrap().permissions().mode() & 0o7777
    }

    /// A directory of mode 0777 was once accepted as it was, and everyone could read the keys in it.
    #[test]
    fn open_directories_are_tightened_or_refused() {
        let place = tempfile::tempdir().unwrap();
        let fresh = place.path().join("a/b");
        make_data_dir(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o700);
        std::fs::write(fresh.join("credentials"), "").unwrap();
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o777)).unwrap();
        make_data_dir(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o700);
        // Like /tmp, or a home.
        std::fs::write(fresh.join("letters"), "").unwrap();
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o1777)).unwrap();
        let refused = make_data_dir(&fresh).unwrap_err().to_string();
        assert!(
            refused.contains("(mode 1777) and holds other things (letters)")
                && refused.contains("a/b/forebay"),
            "{refused}"
        );
        assert_eq!(mode(&fresh), 0o1777);
    }
}
