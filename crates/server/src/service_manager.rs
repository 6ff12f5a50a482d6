//! What a service manager such as systemd is told (sd_notify(3)), if one started this process. Without one nothing is said.

use forebay_proxy::DataPlane;
use sd_notify::NotifyState;
use std::sync::Weak;

/// Whether this is a service of systemd that may ask it for units.
pub(crate) fn is_system_service() -> bool {
    let is_service = std::env::var_os("INVOCATION_ID").is_some();
    is_service && sd_notify::booted().unwrap_or(false) && rustix::process::geteuid().is_root()
}

/// It serves, as this process.
pub(crate) fn ready(status: &str) {
    say(&[
        NotifyState::Ready,
        NotifyState::MainPid(std::process::id()),
        NotifyState::Status(status),
    ]);
}

/// Another process serves in its place.
pub(crate) fn replaced_by(process: u32) {
    // Both say so: the service manager may have heard one of them only after the other had ended.
    say(&[NotifyState::MainPid(process)]);
}

/// It finishes requests and ends.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("finishing requests")]);
}

/// Says again and again that it lives, if that is asked for: each time all workers and the slow path have answered. Ends with the data plane.
pub(crate) fn watch(plane: Weak<DataPlane>) {
    let Some(time) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Twice in the time in which it must, as sd_watchdog_enabled(3) recommends.
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
        tracing::error!(%error, "the service manager's watchdog cannot be served");
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
