//! A process that is killed while it sends and deletes: what was acknowledged as sent exists, and what was acknowledged as
//! deleted does not.

use super::{ORDERED, ask, open, queues, send};
use crate::messages::{Bounds, Engine, Messages, Unanswered};
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The other process's log, and the first of its ids.
const DIRECTORY: &str = "FOREBAY_TEST_KILLED";
const FIRST: &str = "FOREBAY_TEST_KILLED_FIRST";
const SENDERS: u128 = 4;

fn call<R: Send + 'static>(
    messages: &Messages,
    operation: impl FnOnce(&mut Engine, Wall) -> R + Send + 'static,
) -> Result<R, Unanswered> {
    let (sender, answer) = channel();
    messages.call(operation, move |done| sender.send(done).unwrap());
    answer.recv().unwrap()
}

/// Sends from some threads and deletes from another, and reports both, until it is killed.
fn work(directory: &Path, first: u128) {
    let engine = Engine::open(Wall(0), directory, Bounds::default(), &queues(), 7);
    let (messages, _) = Messages::start(engine.unwrap().0).unwrap();
    for sender in 0..SENDERS {
        let messages = messages.clone();
        std::thread::spawn(move || {
            for number in 0.. {
                let id = first + number * SENDERS + sender;
                call(&messages, move |engine, now| {
                    send(engine, now, ORDERED, id, b"body")
                })
                .unwrap();
                println!("sent {id}");
            }
        });
    }
    loop {
        let given = call(&messages, |engine, now| engine.receive(now, ORDERED, &ask(5)));
        for message in given.unwrap().unwrap().messages {
            println!("try {}", message.id.0);
            let deleted = call(&messages, move |engine, now| {
                engine.delete(now, ORDERED, message.receipt)
            });
            deleted.unwrap().unwrap();
            println!("deleted {}", message.id.0);
        }
    }
}

/// The messages an hour later, in the order of receipt. Nothing is written, so nothing changes.
fn there(directory: &Path) -> Vec<u128> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Wall(since.as_micros() as i64) + Duration::from_secs(3600);
    let (mut engine, _) = open(directory, 1 << 20, now);
    let mut found = Vec::new();
    loop {
        let given = engine.receive(now, ORDERED, &ask(10)).unwrap().messages;
        if given.is_empty() {
            return found;
        }
        for message in given {
            found.push(message.id.0);
            engine.delete(now, ORDERED, message.receipt).unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_and_brings_nothing_back() {
    if let (Some(directory), Ok(first)) = (std::env::var_os(DIRECTORY), std::env::var(FIRST)) {
        return work(Path::new(&directory), first.parse().unwrap());
    }
    let place = tempfile::tempdir().unwrap();
    let name = "messages::tests::killed::a_killed_process_loses_nothing_and_brings_nothing_back";
    let mut said: BTreeMap<String, BTreeSet<u128>> = BTreeMap::new();
    for round in 0..5_usize {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(DIRECTORY, place.path())
            .env(FIRST, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            let Some((what, id)) = line.split_once(' ') else {
                return;
            };
            if let (true, Ok(id)) = (["sent", "try", "deleted"].contains(&what), id.parse()) {
                said.entry(what.to_owned()).or_default().insert(id);
            }
        };
        for line in lines.by_ref().take(150 + 40 * round) {
            note(line.unwrap());
        }
        process.kill().unwrap();
        process.wait().unwrap();
        // What it had reported before it was killed.
        lines.map_while(Result::ok).for_each(note);
        let found = there(place.path());
        let present: BTreeSet<u128> = found.iter().copied().collect();
        assert_eq!(present.len(), found.len(), "none is there twice");
        let lost = said["sent"]
            .difference(&present)
            .find(|id| !said["try"].contains(id));
        assert_eq!(lost, None, "round {round}");
        let back = said["deleted"].intersection(&present).next();
        assert_eq!(back, None, "round {round}");
        // In each group, in the order in which they were sent.
        let mut last: BTreeMap<(u128, u128), u128> = BTreeMap::new();
        for id in found {
            let before = last.insert((id % SENDERS, id % 3), id);
            assert!(before.is_none_or(|before| before < id), "{before:?} before {id}");
        }
    }
    assert!(said["deleted"].len() > 20 && said["sent"].len() > 100);
}
