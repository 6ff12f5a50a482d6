//! Gives the state of a running Forebay to others with access to its data directory, for backups and checks. Changes
//! nothing.

use super::link::Link;
use super::messages::Message;
use super::place::socket_in;
use anyhow::{Context as _, bail};
use forebay_control::State;
use forebay_store::{FORMAT, StoreFile};
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Most time that either end may take for its part.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Forebay, and a store file with the state that it had committed last.
#[derive(Debug)]
pub(crate) struct RunningStore {
    pub(crate) process: u32,
    pub(crate) program: String,
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Sends a store file. Everything that was acknowledged before the request is in it.
pub(super) fn give(mut link: Link, state: &State, api: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    link.wait_at_most(Some(PATIENCE))?;
    let bytes = StoreFile::of(state, Path::new("the state"))?;
    link.send(&Message::Store {
        process: std::process::id(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        format: FORMAT,
        api,
        admin,
        bytes: bytes.len() as u64,
    })?;
    link.send_bytes(&bytes)?;
    Ok(())
}

/// Asks the Forebay that runs with this data directory; none if nothing answers at its socket.
pub(crate) fn ask(data_dir: &Path) -> anyhow::Result<Option<RunningStore>> {
    let reached = socket_in(data_dir).and_then(|(_directory, path)| UnixStream::connect(path));
    let stream = match reached {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "cannot connect to the Forebay that runs with {}: run this as the same user, or as root",
                    data_dir.display()
                )
            });
        }
    };
    let mut link = Link::new(stream);
    link.wait_at_most(Some(PATIENCE))?;
    link.send(&Message::Backup)?;
    match link.receive() {
        Ok(Message::Store {
            process,
            program,
            api,
            admin,
            bytes,
            ..
        }) => Ok(Some(RunningStore {
            process,
            program,
            api,
            admin,
            bytes: link
                .receive_bytes(bytes)
                .context("the running Forebay broke off")?,
        })),
        Ok(_) => bail!("the running Forebay gave an unexpected answer"),
        // It has just ended or been replaced, or it is of a version that does not know this message.
        Err(error)
            if error.kind() == io::ErrorKind::UnexpectedEof
                || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("the running Forebay does not answer"),
    }
}
