//! Threads without which the process must not continue.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// Starts a thread whose panic aborts the process. Half a data plane is worse than none: changes would be acknowledged and
/// not served, and nothing would restart the thread. (A panic in one connection's task ends only that connection.)
pub(crate) fn essential(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name).spawn(move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            // The hook has reported the panic. Nothing may be written here: the reader of the log may be what has panicked.
            std::process::abort();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const MARK: &str = "FOREBAY_TEST_PANICS";

    #[test]
    fn a_panic_ends_the_process() {
        if std::env::var_os(MARK).is_some() {
            let thread = essential("doomed".into(), || panic!("on purpose")).unwrap();
            let _ = thread.join();
            return;
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "thread::tests::a_panic_ends_the_process"])
            .env(MARK, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // Ended by a signal: an exit code would come from the test harness.
        assert_eq!(status.code(), None);
    }
}
