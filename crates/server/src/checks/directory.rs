//! Checks the data directory, the store and the keys in it.

use super::findings::Report;
use crate::backup::{RunningProcess, find_store_within};
use crate::data_dir::stranger_in;
use crate::flags::UpArgs;
use crate::parts::store_path;
use forebay_control::State;
use forebay_gateway::credentials;
use forebay_store::FORMAT;
use rustix::fs::{Access, access, statvfs};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

/// With less free space than this, a growing store or log may soon find no room.
const LITTLE: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// Most time that the holder of the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn look(args: &UpArgs, report: &mut Report) {
    let dir = &args.data.data_dir;
    let shown = dir.display();
    match dir.metadata() {
        Ok(found) if !found.is_dir() => {
            report.error(
                "data directory",
                format!("{shown} is not a directory: choose another --data-dir"),
            );
        }
        Ok(found) => {
            let mode = found.permissions().mode() & 0o7777;
            let (owner, own) = (found.uid(), rustix::process::geteuid());
            if access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
                report.error(
                    "data directory",
                    format!("{shown} belongs to user {owner} and has mode {mode:04o}: user {} may not use it. Run this as that user, or choose another --data-dir", own.as_raw()),
                );
            } else if mode & 0o077 == 0 {
                report.ok(
                    "data directory",
                    format!("{shown} is accessible to user {owner} only (mode {mode:04o})"),
                );
            } else if let Ok(Some(stranger)) = stranger_in(dir) {
                report.error(
                    "data directory",
                    format!("{shown} is open to others (mode {mode:04o}) and holds other things ({stranger}): use a directory that holds nothing else"),
                );
            } else {
                report.warning(
                    "data directory",
                    format!("{shown} is open to others (mode {mode:04o}); a start removes their access"),
                );
            }
            if own.is_root() && owner != 0 {
                report.warning(
                    "data directory",
                    format!("{shown} belongs to user {owner}, and this check runs as root: run it as that user, who may have fewer rights"),
                );
            }
            space(dir, report);
        }
        Err(_) => {
            let above = dir
                .ancestors()
                .skip(1)
                .find(|above| *above != Path::new("") && above.exists());
            let above = above.unwrap_or(Path::new("."));
            if access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
                report.ok(
                    "data directory",
                    format!("{shown} does not exist and would be created"),
                );
                space(above, report);
            } else {
                report.error(
                    "data directory",
                    format!(
                        "{shown} does not exist and cannot be created in {}: choose another --data-dir",
                        above.display()
                    ),
                );
            }
        }
    }
}

fn space(dir: &Path, report: &mut Report) {
    let Ok(found) = statvfs(dir) else { return };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} MiB are free", free / MIB);
    if free < 16 * MIB {
        report.error(
            "disk",
            format!("{text}: free some space, or changes cannot be stored"),
        );
    } else if free < LITTLE {
        report.warning("disk", format!("{text}, which is little for logs and datapoints"));
    } else {
        report.ok("disk", text);
    }
}

/// Finds the process that runs with the store, and the store's contents; an error if nothing more can be checked.
pub(super) fn store(
    args: &UpArgs,
    report: &mut Report,
) -> (Option<RunningProcess>, Result<Option<State>, ()>) {
    let path = store_path(args);
    let shown = path.display();
    if !path.exists() {
        if args.take_over {
            report.error(
                "store",
                format!(
                    "there is no {shown}, so no running process can be taken over: leave --take-over out"
                ),
            );
        } else {
            report.ok("store", format!("{shown} does not exist and would be created"));
        }
        return (None, Ok(None));
    }
    let found = match find_store_within(&args.data.data_dir, PATIENCE) {
        Ok(found) => found,
        Err(error) => {
            report.error("store", format!("{error:#}"));
            return (None, Err(()));
        }
    };
    match (&found.running, args.take_over) {
        (Some(running), true) => report.ok(
            "store",
            format!("process {} (version {}) runs with {shown} and can be taken over", running.process, running.program),
        ),
        (Some(running), false) => report.error(
            "store",
            format!(
                "process {} (version {}) runs with {shown}: stop it, or give --take-over, which would work",
                running.process, running.program
            ),
        ),
        (None, true) => report.error("store", "no running process can be taken over: leave --take-over out"),
        (None, false) if found.store.format < FORMAT => report.warning(
            "store",
            format!(
                "{shown} has format {} and would be converted to format {FORMAT}, which older versions cannot read: take a backup first",
                found.store.format
            ),
        ),
        (None, false) => report.ok(
            "store",
            format!("{shown} has format {} and is readable to its end; no process is using it", found.store.format),
        ),
    }
    (found.running, Ok(found.store.state))
}

pub(super) fn credentials(args: &UpArgs, report: &mut Report) {
    let path = args.data.data_dir.join("credentials");
    let shown = path.display();
    let Ok(found) = path.metadata() else {
        return report.ok(
            "credentials",
            format!("{shown} does not exist and would be created, with one key"),
        );
    };
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        report.warning(
            "credentials",
            format!(
                "{shown} is open to others (mode {mode:04o}); a start removes their access, but its keys may be known"
            ),
        );
    }
    match credentials::check(&path).and_then(|()| credentials::list(&path)) {
        Ok(keys) => report.ok(
            "credentials",
            format!("{shown} is readable; access keys: {}", keys.len()),
        ),
        Err(error) if args.no_auth => report.warning("credentials", told(&error)),
        Err(error) => report.error("credentials", told(&error)),
    }
}

fn told(error: &credentials::CredentialsError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("cannot {error}: {cause}"),
        None => error.to_string(),
    }
}
