//! The floor: a byte relay on bare epoll. One thread, no parsing: what it costs is four system calls a request and the
//! kernel's TCP. `relay LISTEN BACKEND...` gives each client a backend connection of its own, in turn.

use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// One direction's end: its socket, its peer's index, and bytes the peer has not taken yet.
struct End {
    stream: TcpStream,
    peer: usize,
    waiting: Vec<u8>,
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<SocketAddr>());
    let listen = args.next().context("usage: relay LISTEN BACKEND...")??;
    let backends: Vec<SocketAddr> = args.collect::<Result<_, _>>()?;
    anyhow::ensure!(!backends.is_empty(), "usage: relay LISTEN BACKEND...");
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut ends: Vec<Option<End>> = Vec::new();
    let mut turn = 0;
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (data, flags) = (event.data.u64(), event.flags);
            if data == u64::MAX {
                while let Ok((client, _)) = listener.accept() {
                    let backend = TcpStream::connect(backends[turn % backends.len()])?;
                    turn += 1;
                    for (stream, peer) in [(client, ends.len() + 1), (backend, ends.len())] {
                        stream.set_nonblocking(true)?;
                        stream.set_nodelay(true)?;
                        epoll::add(
                            &poll,
                            &stream,
                            EventData::new_u64(ends.len() as u64),
                            EventFlags::IN,
                        )?;
                        ends.push(Some(End {
                            stream,
                            peer,
                            waiting: Vec::new(),
                        }));
                    }
                }
                continue;
            }
            let index = usize::try_from(data)?;
            if flags.contains(EventFlags::OUT) && !flush(&poll, &mut ends, index)? {
                close(&mut ends, index);
                continue;
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
                && !relay(&poll, &mut ends, index, &mut buffer)?
            {
                close(&mut ends, index);
            }
        }
    }
}

/// Reads once from an end and writes to its peer; false when the pair is over.
fn relay(
    poll: &impl std::os::fd::AsFd,
    ends: &mut [Option<End>],
    index: usize,
    buffer: &mut [u8],
) -> anyhow::Result<bool> {
    let Some(Some(end)) = ends.get_mut(index) else {
        return Ok(true);
    };
    let (peer, count) = match end.stream.read(buffer) {
        Ok(0) => return Ok(false),
        Ok(count) => (end.peer, count),
        Err(error) => return Ok(error.kind() == std::io::ErrorKind::WouldBlock),
    };
    let Some(Some(other)) = ends.get_mut(peer) else {
        return Ok(false);
    };
    let written = match other.stream.write(&buffer[..count]) {
        Ok(written) => written,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        Err(_) => return Ok(false),
    };
    if written < count {
        other.waiting.extend_from_slice(&buffer[written..count]);
        epoll::modify(
            poll,
            &other.stream,
            EventData::new_u64(peer as u64),
            EventFlags::IN | EventFlags::OUT,
        )?;
    }
    Ok(true)
}

/// Writes what waits; false when the pair is over.
fn flush(poll: &impl std::os::fd::AsFd, ends: &mut [Option<End>], index: usize) -> anyhow::Result<bool> {
    let Some(Some(end)) = ends.get_mut(index) else {
        return Ok(true);
    };
    while !end.waiting.is_empty() {
        match end.stream.write(&end.waiting) {
            Ok(0) => return Ok(false),
            Ok(written) => drop(end.waiting.drain(..written)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
    epoll::modify(
        poll,
        &end.stream,
        EventData::new_u64(index as u64),
        EventFlags::IN,
    )?;
    Ok(true)
}

/// Closes both ends. Their places stay empty: a run has few connections.
fn close(ends: &mut [Option<End>], index: usize) {
    if let Some(end) = ends[index].take() {
        ends[end.peer] = None;
    }
}
