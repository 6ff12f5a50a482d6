//! `forebay up`.

use forebay_process::runtime;
use forebay_process::{log, out};
use forebay_server::Daemon;
use forebay_server::UpArgs;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut again = signal(SignalKind::hangup())?;
        // Held, they are ignored: of old, tools that rotate logs send one of them, and each would end the process.
        let _ignored = (
            signal(SignalKind::user_defined1())?,
            signal(SignalKind::user_defined2())?,
        );
        let daemon = tokio::select! {
            daemon = Daemon::start(args) => daemon?,
            _ = interrupt.recv() => return Ok(ExitCode::FAILURE),
            _ = terminate.recv() => return Ok(ExitCode::FAILURE),
        };
        out::line(format_args!(
            "forebay ready api=http://{} admin=http://{} dns=off data={}",
            daemon.api,
            daemon.admin,
            daemon.data_dir.display()
        ))?;
        daemon.announced();
        daemon.watch();
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = again.recv() => {
                    daemon.look_again();
                    let told = format_args!("forebay: logs are opened anew, and credentials read again");
                    log::say(tracing::Level::INFO, told);
                }
            }
        }
        // Standard error may be closed, or full: that must not stop the drain.
        log::say(
            tracing::Level::INFO,
            format_args!("forebay: finishing requests; once more to end at once"),
        );
        tokio::select! {
            stopped = daemon.stop() => stopped.map(|()| ExitCode::SUCCESS),
            _ = interrupt.recv() => at_once(),
            _ = terminate.recv() => at_once(),
        }
    })
}

fn at_once() -> ! {
    log::finish();
    std::process::exit(1)
}
