//! Tests of the thread: many callers, waiting receives, and its end.

use super::{ORDERED, WORK, ask, at, open, queues, send};
use crate::messages::{Bounds, Engine, Given, Messages, Unanswered, Waiting};
use forebay_queues::{Empty, Letter, MessageId, QueueId};
use forebay_units::Wall;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

fn start(directory: &Path) -> (Messages, std::thread::JoinHandle<()>) {
    let engine = Engine::open(Wall(0), directory, Bounds::default(), &queues(), 7);
    Messages::start(engine.unwrap().0).unwrap()
}

fn call<R: Send + 'static>(
    messages: &Messages,
    operation: impl FnOnce(&mut Engine, Wall) -> R + Send + 'static,
) -> Result<R, Unanswered> {
    let (sender, answer) = channel();
    messages.call(operation, move |done| sender.send(done).unwrap());
    answer.recv_timeout(LONG).unwrap()
}

fn sent(messages: &Messages, queue: QueueId, id: u128) {
    call(messages, move |engine, now| send(engine, now, queue, id, b"body")).unwrap();
}

fn wait(messages: &Messages, queue: QueueId, most: usize, time: Duration) -> (Waiting, Receiver<Given>) {
    let (sender, answer) = channel();
    let waiting = messages.receive(queue, ask(most), time, move |given| {
        let _ = sender.send(given.unwrap().unwrap());
    });
    (waiting, answer)
}

fn ids(given: &Given) -> Vec<u128> {
    given.messages.iter().map(|message| message.id.0).collect()
}

#[test]
fn who_waits_is_served_in_order_and_who_left_is_not() {
    let place = tempfile::tempdir().unwrap();
    let (messages, thread) = start(place.path());
    let (first, gone) = wait(&messages, WORK, 1, LONG);
    let (_second, served) = wait(&messages, WORK, 1, LONG);
    let (_third, later) = wait(&messages, WORK, 10, LONG);
    drop(first);
    sent(&messages, WORK, 1);
    assert_eq!(ids(&served.recv_timeout(LONG).unwrap()), [1]);
    sent(&messages, WORK, 2);
    let given = later.recv_timeout(LONG).unwrap();
    assert_eq!(given.messages[0].body.read().unwrap(), b"body");
    assert!(gone.try_recv().is_err());
    drop((messages, _second, _third));
    thread.join().unwrap();
    let (mut engine, _) = open(place.path(), 1 << 20, at(0));
    assert_eq!(engine.figures(at(0), WORK).unwrap().0.in_flight, 2);
}

#[test]
fn a_wait_ends_with_its_time_or_its_queue() {
    let place = tempfile::tempdir().unwrap();
    let (messages, _) = start(place.path());
    let (_short, answer) = wait(&messages, WORK, 1, Duration::from_millis(20));
    assert_eq!(
        answer.recv_timeout(LONG).unwrap().empty,
        Some(Empty::NothingVisible)
    );
    let (_none, answer) = wait(&messages, ORDERED, 1, Duration::ZERO);
    assert_eq!(
        answer.recv_timeout(LONG).unwrap().empty,
        Some(Empty::NothingVisible)
    );
    let (_long, answer) = wait(&messages, WORK, 1, LONG);
    call(&messages, |engine, now| engine.remove(now, WORK)).unwrap();
    assert!(answer.recv_timeout(LONG).unwrap().messages.is_empty());
    let letter = Letter {
        id: MessageId(1),
        group: None,
        deduplication: None,
        delay: None,
        body: b"".as_slice(),
    };
    let missing = call(&messages, move |engine, now| engine.send(now, WORK, letter)).unwrap();
    assert!(missing.is_err());
}

#[test]
fn all_that_was_acknowledged_is_there_afterwards() {
    let place = tempfile::tempdir().unwrap();
    let (messages, thread) = start(place.path());
    let callers: Vec<_> = (0..8_u128)
        .map(|caller| {
            let messages = messages.clone();
            std::thread::spawn(move || {
                for number in 0..50 {
                    sent(&messages, ORDERED, caller * 1000 + number);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    // Without an orderly end: the files at this moment are what a crash would leave.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let (mut other, found) = open(copy.path(), 1 << 20, at(0));
    assert_eq!(found.messages, 400);
    assert_eq!(other.figures(at(0), ORDERED).unwrap().0.visible, 400);
    drop(messages);
    thread.join().unwrap();
}

#[test]
fn a_held_log_is_another_process_s_until_it_is_given_back() {
    let place = tempfile::tempdir().unwrap();
    let (messages, thread) = start(place.path());
    sent(&messages, WORK, 1);
    let (_waits, answer) = wait(&messages, ORDERED, 1, LONG);
    let now = call(&messages, |_, now| now).unwrap();
    let held = messages.hold().unwrap();
    // Waiting receives end without messages, and their callers may ask again.
    assert!(answer.recv_timeout(LONG).unwrap().messages.is_empty());
    let (mut other, found) = open(place.path(), 1 << 20, at(0));
    assert_eq!(found.messages, 1);
    send(&mut other, now, WORK, 2, b"two");
    other.commit(now).unwrap();
    drop(other);
    drop(held);
    sent(&messages, WORK, 3);
    let counts = call(&messages, |engine, now| engine.figures(now, WORK).unwrap().0).unwrap();
    assert_eq!(counts.visible, 3);
    messages.hold().unwrap().end();
    assert_eq!(call(&messages, |_, _| ()), Err(Unanswered::Closed));
    thread.join().unwrap();
    let (_, found) = open(place.path(), 1 << 20, at(0));
    assert_eq!(found.messages, 3);
}
