//! `forebay up`: runs the server, and handles signals.

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

/// The flag of a program that takes over.
const TAKE_OVER: &str = "--take-over";

pub(crate) fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    // Read now: by the time of an upgrade, this path leads to the newer program.
    let program = std::env::current_exe();
    runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut again = signal(SignalKind::hangup())?;
        let mut upgrade = signal(SignalKind::user_defined2())?;
        // A handler is installed so that the signal does not end the process: tools that rotate logs traditionally send it.
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
                    Err(error) => tracing::error!(%error, "cannot find this program's own file: start the successor by hand, with {TAKE_OVER}"),
                },
                _ = again.recv() => {
                    daemon.look_again();
                    say(format_args!("forebay: logs are opened anew, and credentials read again"));
                }
            }
        }
        // Unlike tracing, this does not fail or wait if standard error is closed or full: the drain must go on.
        say(format_args!("forebay: finishing requests; once more to end at once"));
        or_at_once(daemon.stop(), &mut interrupt, &mut terminate).await
    })
}

fn say(told: std::fmt::Arguments<'_>) {
    log::say(tracing::Level::INFO, told);
}

/// Waits for the end, unless a second signal asks to end at once.
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

/// Starts the program again, to take over from this process.
fn start_successor(program: PathBuf, upgrading: &Arc<AtomicBool>) {
    if upgrading.swap(true, SeqCst) {
        tracing::warn!("a successor is being started already");
        return;
    }
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !args.iter().any(|arg| arg == TAKE_OVER) {
        args.push(TAKE_OVER.into());
    }
    // Linux marks a program that was replaced while it runs as deleted; the new one is at the path without the mark.
    let path = program.to_string_lossy();
    let program = path
        .strip_suffix(" (deleted)")
        .map_or(program.clone(), PathBuf::from);
    let over = Arc::clone(upgrading);
    let waiting = move || {
        // systemd's watchdog watches only the main process, which the successor is not yet.
        let mut command = Command::new(&program);
        match command.args(args).env_remove("WATCHDOG_PID").spawn() {
            Ok(mut successor) => {
                tracing::info!(process = successor.id(), program = %program.display(), "a successor was started");
                match successor.wait() {
                    // A successor that took over outlives this process, so its end here means that it failed.
                    Ok(status) => {
                        tracing::error!(%status, "the successor ended: unless it had taken over, this process goes on");
                    }
                    Err(error) => tracing::error!(%error, "cannot wait for the successor"),
                }
            }
            Err(error) => {
                tracing::error!(%error, program = %program.display(), "cannot start a successor")
            }
        }
        over.store(false, SeqCst);
    };
    let thread = std::thread::Builder::new().name("successor".to_owned());
    if let Err(error) = thread.spawn(waiting) {
        upgrading.store(false, SeqCst);
        tracing::error!(%error, "cannot start a successor");
    }
}

fn at_once() -> ! {
    log::finish();
    std::process::exit(1)
}
