//! Checks what the machine allows (open files, memory), and certificates against its clock.

use super::findings::Report;
use crate::flags::{BufferMemory, UpArgs};
use forebay_control::State;
use forebay_proxy::{Affordable, affordable_memory};
use rustix::process::{Resource, getrlimit};
use std::time::SystemTime;

/// Fewer connections than this will soon not be enough.
const FEW: usize = 1000;
const MIB: u64 = 1 << 20;
const DAY: i64 = 24 * 3600;
/// Days before a certificate's end at which to warn.
const SOON: i64 = 14;

/// Checks the limit on open files. A start raises it to the hard limit; each worker has a socket at each address.
pub(super) fn open_files(args: &UpArgs, addresses: usize, report: &mut Report) {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let traffic = Affordable::of(usize::try_from(limit).unwrap_or(usize::MAX)).traffic;
    let workers = args.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let sockets = addresses * workers;
    let left = traffic.saturating_sub(sockets);
    let text = format!(
        "the limit is {limit}; {sockets} are for listening sockets, {left} for connections of clients and to targets"
    );
    if left < FEW {
        report.warning(
            "open files",
            format!("{text}: raise it (ulimit -Hn, LimitNOFILE)"),
        );
    } else {
        report.ok("open files", text);
    }
}

pub(super) fn memory(args: &UpArgs, report: &mut Report) {
    let Some(most) = affordable_memory() else {
        return report.warning(
            "memory",
            "the memory of this machine cannot be read; give --max-buffer-memory",
        );
    };
    match args.max_buffer_memory {
        BufferMemory::Bytes(bytes) if bytes as u64 > most => report.warning(
            "memory",
            format!(
                "--max-buffer-memory is {} MiB, but this process may use only {} MiB: lower it",
                bytes as u64 / MIB,
                most / MIB
            ),
        ),
        BufferMemory::Bytes(bytes) => report.ok(
            "memory",
            format!(
                "{} MiB of {} MiB for buffers of requests",
                bytes as u64 / MIB,
                most / MIB
            ),
        ),
        BufferMemory::Auto => report.ok(
            "memory",
            format!(
                "{} MiB of {} MiB for buffers of requests",
                most / 2 / MIB,
                most / MIB
            ),
        ),
    }
}

/// Checks for certificates that have expired, expire soon, or are not valid yet.
pub(super) fn certificates(state: &State, report: &mut Report) {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut good = 0;
    for (_, region) in state.regions() {
        let imported = region.certificates.values().filter_map(|certificate| {
            let (_, facts) = certificate.issued.as_ref()?;
            Some((certificate.arn.as_str(), facts))
        });
        let uploaded = region
            .server_certificates
            .values()
            .map(|certificate| (certificate.arn.as_str(), &certificate.facts));
        for (arn, facts) in imported.chain(uploaded) {
            let named = format!("{arn} ({})", facts.domain);
            let days = facts.not_after.saturating_sub(now).div_euclid(DAY);
            if facts.not_after <= now {
                report.warning(
                    "certificates",
                    format!("{named} has expired: clients refuse it. Import a new one"),
                );
            } else if facts.not_before > now {
                report.warning(
                    "certificates",
                    format!("{named} is not valid yet: is the clock right?"),
                );
            } else if days < SOON {
                report.warning(
                    "certificates",
                    format!("{named} expires in {days} days: import a new one"),
                );
            } else {
                good += 1;
            }
        }
    }
    report.ok(
        "certificates",
        format!("{good} are valid for at least {SOON} days"),
    );
}
