//! The course of one environment, from its start until nothing of it is left.

use super::api;
use super::engine::{Engine, Shared, new_stream};
use super::environment::{Start, Started};
use super::log::Logs;
use super::shim::Exit;
use crate::errors::Tried as _;
use forebay_functions::Cold;
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Time that a shim has to end when told to. It needs less to kill everything.
const ENDING: Duration = Duration::from_secs(12);
/// Longest report of how it ended, in bytes.
const SAID: usize = 64 << 10;

/// Runs an environment.
pub(super) fn begin(
    engine: Rc<RefCell<Engine>>,
    shared: Arc<Shared>,
    logs: Rc<Logs>,
    cold: Cold,
    kill: Rc<Notify>,
) {
    tokio::task::spawn_local(run(engine, shared, logs, cold, kill));
}

async fn run(engine: Rc<RefCell<Engine>>, shared: Arc<Shared>, logs: Rc<Logs>, cold: Cold, kill: Rc<Notify>) {
    let id = cold.environment;
    if !has_a_turn(&engine, &shared, id, &kill).await {
        return engine.borrow_mut().ended(id, Exit::Unknown);
    }
    let exit = match start(&shared, cold).await {
        Ok((listener, started)) => go_on(&engine, &shared, logs, id, &kill, listener, started).await,
        Err(why) => Exit::NotStarted(why),
    };
    engine.borrow_mut().ended(id, exit);
}

/// Waits until not too many others are starting. False if it need not start any more.
async fn has_a_turn(engine: &Rc<RefCell<Engine>>, shared: &Arc<Shared>, id: u64, kill: &Notify) -> bool {
    tokio::select! {
        permit = Arc::clone(&shared.starts).acquire_owned() => {
            permit.is_ok_and(|permit| engine.borrow_mut().may_start(id, permit))
        }
        () = kill.notified() => false,
    }
}

async fn start(shared: &Arc<Shared>, cold: Cold) -> Result<(TcpListener, Started), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .tried(|| "listen for the runtime".to_owned())?;
    let port = listener
        .local_addr()
        .tried(|| "listen for the runtime".to_owned())?
        .port();
    let shared = Arc::clone(shared);
    let start = move || {
        shared.ground.start(&Start {
            number: cold.environment,
            spec: &cold.spec,
            port,
            stream: &new_stream(),
        })
    };
    let started = tokio::task::spawn_blocking(start).await;
    Ok((listener, started.tried(|| "start the environment".to_owned())??))
}

async fn go_on(
    engine: &Rc<RefCell<Engine>>,
    shared: &Arc<Shared>,
    logs: Rc<Logs>,
    id: u64,
    kill: &Notify,
    listener: TcpListener,
    mut started: Started,
) -> Exit {
    let shim = i32::try_from(started.shim.id()).unwrap_or(0);
    let streams = streams(&mut started);
    let exit = match streams {
        Ok((control, output)) => {
            engine.borrow_mut().started(id, shim, Rc::clone(&output));
            let serve = tokio::task::spawn_local(api::serve(listener, Rc::downgrade(engine), id));
            let listen = tokio::task::spawn_local(listen(Rc::clone(engine), logs, id, output));
            let exit = wait(control, kill).await;
            serve.abort();
            listen.abort();
            exit
        }
        Err(why) => Exit::NotStarted(why),
    };
    // Before its process id may belong to another process.
    shared.memory.forget(id);
    let ground = Arc::clone(&shared.ground);
    let was_full = tokio::task::spawn_blocking(move || ground.end(started))
        .await
        .unwrap_or(false);
    if was_full && exit == Exit::Signal(rustix::process::Signal::KILL.as_raw()) {
        engine.borrow_mut().exceeds(id);
    }
    exit
}

fn streams(started: &mut Started) -> Result<(UnixStream, Rc<pipe::Receiver>), String> {
    let what = || "watch the environment".to_owned();
    let control = started.control.try_clone().tried(what)?;
    control.set_nonblocking(true).tried(what)?;
    let control = UnixStream::from_std(control).tried(what)?;
    let output = started.output.take().ok_or_else(what)?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output)).tried(what)?;
    Ok((control, Rc::new(output)))
}

/// Waits until the shim has ended, and tells it to end when that is asked for.
async fn wait(mut control: UnixStream, kill: &Notify) -> Exit {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    let mut until = None;
    loop {
        let late = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = control.read(&mut buffer) => match read {
                Ok(count @ 1..) if said.len() < SAID => said.extend_from_slice(&buffer[..count]),
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            },
            () = kill.notified(), if until.is_none() => {
                until = Some(Instant::now() + ENDING);
                let _ = control.shutdown().await;
            }
            () = late => break,
        }
    }
    serde_json::from_slice(&said).unwrap_or(Exit::Unknown)
}

/// Reads an environment's output. An environment that writes much has to wait, because all of it goes into the log.
async fn listen(engine: Rc<RefCell<Engine>>, logs: Rc<Logs>, id: u64, output: Rc<pipe::Receiver>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        if output.readable().await.is_err() {
            return;
        }
        let permit = logs.place().await;
        match output.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => engine.borrow_mut().said(id, &buffer[..count], permit),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        // An environment that floods must not occupy the thread.
        tokio::task::yield_now().await;
    }
}
