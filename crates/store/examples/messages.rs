//! Measures the log of messages on this machine: sends per second, singly and in batches, next to the time of a disk sync;
//! the memory of a million messages and the time to read them again; and the cost of a thousand empty long polls.
//!
//! `cargo run --release -p forebay-store --example messages [DIRECTORY]`

use forebay_queues::{Ask, Kind, Letter, MessageId, QueueId, RawSettings, Settings};
use forebay_store::messages::{Bounds, Engine, Messages};
use forebay_units::Wall;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const QUEUE: QueueId = QueueId(1);
const SPAN: Duration = Duration::from_secs(5);

fn engine(directory: &Path) -> anyhow::Result<Engine> {
    let settings = Settings::new(RawSettings::of(Kind::Standard))?;
    let queues = [(QUEUE, settings)];
    Ok(Engine::open(Wall(0), directory, Bounds::default(), &queues, 7)?.0)
}

fn letter(id: u128, body: &[u8]) -> Letter<&[u8]> {
    Letter {
        id: MessageId(id),
        group: None,
        deduplication: None,
        delay: None,
        body,
    }
}

/// The time of one write of 4 KiB with its sync.
fn sync_time(directory: &Path) -> anyhow::Result<Duration> {
    let mut file = std::fs::File::create(directory.join("sync"))?;
    let begun = Instant::now();
    for _ in 0..200 {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed() / 200)
}

/// Messages of 1 KiB per second, from this many threads with this many per call; each call waits for the previous answer.
fn sends(messages: &Messages, threads: u32, batch: u32) -> f64 {
    let begun = Instant::now();
    let senders: Vec<_> = (0..threads)
        .map(|_| {
            let messages = messages.clone();
            std::thread::spawn(move || {
                let mut sent = 0;
                while begun.elapsed() < SPAN {
                    let (sender, answer) = channel();
                    messages.call(
                        move |engine, now| {
                            for _ in 0..batch {
                                let _ = engine.send(now, QUEUE, letter(1, &[b'x'; 1024]));
                            }
                        },
                        move |written| {
                            let _ = sender.send(written);
                        },
                    );
                    if answer.recv().is_ok_and(|written| written.is_ok()) {
                        sent += batch;
                    }
                }
                sent
            })
        })
        .collect();
    let sent: u32 = senders.into_iter().filter_map(|sender| sender.join().ok()).sum();
    f64::from(sent) / begun.elapsed().as_secs_f64()
}

/// Receives ten and deletes them; returns their number.
fn receive(messages: &Messages) -> Option<usize> {
    let (sender, answer) = channel();
    let ask = Ask {
        most: 10,
        ..Ask::default()
    };
    let _waiting = messages.receive(QUEUE, ask, Duration::ZERO, move |given| {
        let _ = sender.send(given);
    });
    let given = answer.recv().ok()?.ok()?.ok()?;
    let receipts: Vec<_> = given.messages.iter().map(|one| one.receipt).collect();
    let bodies = given.messages.iter().filter_map(|one| one.body.read().ok());
    let read = std::hint::black_box(bodies.count());
    let (sender, answer) = channel();
    messages.call(
        move |engine, now| {
            for receipt in receipts {
                let _ = engine.delete(now, QUEUE, receipt);
            }
        },
        move |written| {
            let _ = sender.send(written);
        },
    );
    answer.recv().ok()?.ok()?;
    Some(read)
}

/// Messages per second that this many threads receive and delete, ten at a time.
fn receives(messages: &Messages, threads: u32) -> f64 {
    let begun = Instant::now();
    let receivers: Vec<_> = (0..threads)
        .map(|_| {
            let messages = messages.clone();
            std::thread::spawn(move || {
                let mut done = 0;
                while begun.elapsed() < SPAN {
                    let Some(received) = receive(&messages).filter(|&received| received > 0) else {
                        break;
                    };
                    done += received;
                }
                done
            })
        })
        .collect();
    let done: usize = receivers.into_iter().filter_map(|one| one.join().ok()).sum();
    done as f64 / begun.elapsed().as_secs_f64()
}

/// The mean time of the commits since the last call.
fn commit_time(messages: &Messages, before: &mut (u64, Duration)) -> Duration {
    let (sender, answer) = channel();
    messages.call(
        |engine, _| engine.commits(),
        move |commits| {
            let _ = sender.send(commits);
        },
    );
    let now = answer.recv().ok().and_then(Result::ok).unwrap_or_default();
    let (count, time) = (now.0 - before.0, now.1 - before.1);
    *before = now;
    time / u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

/// CPU time of this process, in clock ticks of 10 ms.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.split(' ').collect();
    let field = |place: usize| fields.get(place).and_then(|text| text.parse().ok()).unwrap_or(0);
    field(13) + field(14)
}

fn million(directory: &Path) -> anyhow::Result<()> {
    let mut engine = engine(directory)?;
    let before = resident_bytes();
    let begun = Instant::now();
    for id in 0..1_000_000 {
        let now = Wall::from_seconds(1_000_000);
        engine.send(now, QUEUE, letter(id, &[b'x'; 1024]))?;
        if engine.pending() > 4 << 20 {
            engine.commit(Wall::from_seconds(1_000_000))?;
        }
    }
    engine.commit(Wall::from_seconds(1_000_000))?;
    let bytes = resident_bytes() - before;
    println!(
        "a million messages: sent in {:.1?}, {} bytes of memory each, {} MB on disk",
        begun.elapsed(),
        bytes / 1_000_000,
        engine.size().1 >> 20
    );
    drop(engine);
    let begun = Instant::now();
    let again = self::engine(directory)?;
    println!("read again: {} in {:.1?}", again.size().0, begun.elapsed());
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let place = match std::env::args_os().nth(1) {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    println!("a write of 4 KiB with its sync: {:.0?}", sync_time(place.path())?);
    let (messages, thread) = Messages::start(engine(&place.path().join("sends"))?)?;
    let mut commits = (0, Duration::ZERO);
    for (writers, batch) in [(1, 1), (64, 1), (64, 10)] {
        let rate = sends(&messages, writers, batch);
        let commit = commit_time(&messages, &mut commits);
        println!("{writers} writers, {batch} a call: {rate:.0} messages a second, {commit:.2?} a commit");
    }
    let received = receives(&messages, 64);
    let commit = commit_time(&messages, &mut commits);
    println!("64 readers, 10 a call: {received:.0} received and deleted a second, {commit:.2?} a commit");
    println!("a write of 4 KiB with its sync: {:.0?}", sync_time(place.path())?);
    drop(messages);
    let _ = thread.join();

    let (messages, thread) = Messages::start(engine(&place.path().join("polls"))?)?;
    let before = processor_ticks();
    let polls: Vec<_> = (0..1000)
        .map(|_| messages.receive(QUEUE, Ask::default(), Duration::from_secs(20), drop))
        .collect();
    std::thread::sleep(Duration::from_secs(10));
    let percent = (processor_ticks() - before) as f64 / 10.0;
    println!("a thousand empty long polls: {percent:.2} % of a core");
    drop((polls, messages));
    let _ = thread.join();
    million(&place.path().join("million"))
}
