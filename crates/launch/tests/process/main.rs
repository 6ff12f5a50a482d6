//! Real processes, started from small shell programs. This program is its own shim, as `forebay` is.
#![allow(clippy::unwrap_used)]

mod bench;
mod launchers;
mod life;
mod machine;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = forebay_launch::intercept() {
        return done;
    }
    if let Some(dir) = std::env::var_os(bench::DAEMON) {
        bench::daemon(dir.as_ref());
    }
    let mut arguments = Arguments::from_args();
    // Each test starts many processes, and some wait for real seconds.
    arguments.test_threads.get_or_insert(4);
    let all = life::TESTS.iter().chain(machine::TESTS).chain(launchers::TESTS);
    let trials = all.map(|&(name, test)| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
