//! `forebay up`.

use forebay_process::runtime;
use forebay_process::{log, out};
use forebay_server::Daemon;
use forebay_server::UpArgs;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The flag with which a program takes over.
const TAKE_OVER: &str = "--take-over";

pub(crate) fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    // The path may lead to a newer program by the time it is needed: that is what it is for.
    let program = std::env::current_exe();
    runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut again = signal(SignalKind::hangup())?;
        let mut upgrade = signal(SignalKind::user_defined2())?;
        // Held, it is ignored: of old, tools that rotate logs send it, and it would end the process.
        let _ignored = signal(SignalKind::user_defined1())?;
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
        let upgrading = Arc::new(AtomicBool::new(false));
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                process = daemon.taken_over() => {
                    say(format_args!("forebay: process {process} serves now; finishing requests"));
                    return or_at_once(daemon.retire(), &mut interrupt, &mut terminate).await;
                }
                _ = upgrade.recv() => match &program {
                    Ok(program) => start_successor(program.clone(), &upgrading),
                    Err(error) => tracing::error!(%error, "it is not known which program this is: start the successor by hand, with {TAKE_OVER}"),
                },
                _ = again.recv() => {
                    daemon.look_again();
                    say(format_args!("forebay: logs are opened anew, and credentials read again"));
                }
            }
        }
        // Standard error may be closed, or full: that must not stop the drain.
        say(format_args!("forebay: finishing requests; once more to end at once"));
        or_at_once(daemon.stop(), &mut interrupt, &mut terminate).await
    })
}

fn say(told: std::fmt::Arguments<'_>) {
    log::say(tracing::Level::INFO, told);
}

/// Waits for the end, unless told again to end.
async fn or_at_once(
    end: impl Future<Output = anyhow::Result<()>>,
    interrupt: &mut Signal,
    terminate: &mut Signal,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = end => ended.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => at_once(),
        _ = terminate.recv() => at_once(),
    }
}

/// Starts the program anew, to take over from this one.
fn start_successor(program: PathBuf, upgrading: &Arc<AtomicBool>) {
    if upgrading.swap(true, SeqCst) {
        tracing::warn!("a successor is being started already");
        return;
    }
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !args.iter().any(|arg| arg == TAKE_OVER) {
        args.push(TAKE_OVER.into());
    }
    // A program that was replaced while it runs is told as deleted, and the new one stands at its path.
    let path = program.to_string_lossy();
    let program = path
        .strip_suffix(" (deleted)")
        .map_or(program.clone(), PathBuf::from);
    let over = Arc::clone(upgrading);
    let waiting = move || {
        // The watchdog is for whoever is the main process.
        let mut command = Command::new(&program);
        match command.args(args).env_remove("WATCHDOG_PID").spawn() {
            Ok(mut successor) => {
                tracing::info!(process = successor.id(), program = %program.display(), "a successor was started");
                match successor.wait() {
                    // It serves for as long as it lives, and this process has long ended by then.
                    Ok(status) => {
                        tracing::error!(%status, "the successor has ended: this process goes on if it was not taken over from");
                    }
                    Err(error) => tracing::error!(%error, "the successor cannot be waited for"),
                }
            }
            Err(error) => {
                tracing::error!(%error, program = %program.display(), "no successor could be started")
            }
        }
        over.store(false, SeqCst);
    };
    let thread = std::thread::Builder::new().name("successor".to_owned());
    if let Err(error) = thread.spawn(waiting) {
        upgrading.store(false, SeqCst);
        tracing::error!(%error, "no successor could be started");
    }
}

fn at_once() -> ! {
    log::finish();
    std::process::exit(1)
}
