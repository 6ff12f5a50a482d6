//! Notifies a service manager such as systemd, if one started this process (sd_notify(3)).

use forebay_proxy::DataPlane;
use sd_notify::NotifyState;
use std::sync::Weak;

/// Whether this is a systemd service that may ask the system's manager for units.
pub(crate) fn is_system_service() -> bool {
    let is_service = std::env::var_os("INVOCATION_ID").is_some();
    is_service && sd_notify::booted().unwrap_or(false) && rustix::process::geteuid().is_root()
}

/// Reports that this process serves.
pub(crate) fn ready(status: &str) {
    say(&[
        NotifyState::Ready,
        NotifyState::MainPid(std::process::id()),
        NotifyState::Status(status),
    ]);
}

/// Reports that another process serves in its place.
pub(crate) fn replaced_by(process: u32) {
    // Both processes report it: the service manager might read the message of one only after the other has ended.
    say(&[NotifyState::MainPid(process)]);
}

/// Reports that this process finishes requests and ends.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("finishing requests")]);
}

/// Reports again and again that the process is alive, if the service manager wants that: each time all workers and the slow
/// path have responded. Ends with the data plane.
pub(crate) fn watch(plane: Weak<DataPlane>) {
    let Some(time) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Twice per period, as sd_watchdog_enabled(3) recommends.
    let pause = time / 2;
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    let spawned = thread.spawn(move || {
        while let Some(plane) = plane.upgrade() {
            if !plane.answers() {
                return;
            }
            drop(plane);
            say(&[NotifyState::Watchdog]);
            std::thread::sleep(pause);
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "cannot start the thread for the service manager's watchdog");
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
