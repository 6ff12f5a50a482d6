//! Real functions, in processes of their own. This program is its own shim, as `forebay` is.
#![allow(clippy::unwrap_used)]

mod answers;
mod bench;
mod ends;
mod limits;
mod node;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = forebay_launch::intercept() {
        return done;
    }
    if let Some(dir) = std::env::var_os(ends::DAEMON) {
        ends::daemon(dir.as_ref());
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    let all = answers::TESTS
        .iter()
        .chain(ends::TESTS)
        .chain(limits::TESTS)
        .chain(node::TESTS);
    let trial = |&(name, test): &bench::Test| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    libtest_mimic::run(&arguments, all.map(trial).collect()).exit_code()
}
