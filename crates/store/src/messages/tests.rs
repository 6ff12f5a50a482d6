//! Tests of restarts, crashes, the deletion of files, and the thread.

mod course;
mod crash;
mod killed;
mod thread;

use super::{Bounds, Engine, Found};
use forebay_queues::{
    Accepted, Ask, Kind, Letter, MessageId, MoveStatus, QueueId, RawSettings, Redrive, Scope, Settings,
};
use forebay_units::Wall;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const WORK: QueueId = QueueId(1);
const ORDERED: QueueId = QueueId(2);
const DEAD: QueueId = QueueId(3);

/// Milliseconds after the Unix epoch.
fn at(ms: i64) -> Wall {
    Wall(1_000_000_000 + ms * 1000)
}

/// A standard queue with a dead-letter queue, and a FIFO queue.
fn queues() -> [(QueueId, Settings); 3] {
    let redrive = Some(Redrive {
        max_receives: 3,
        to: DEAD,
    });
    let standard = RawSettings::of(Kind::Standard);
    let of = |raw| Settings::new(raw).unwrap();
    [
        (WORK, of(RawSettings { redrive, ..standard })),
        (ORDERED, of(RawSettings::of(Kind::Fifo(Scope::Queue)))),
        (DEAD, of(standard)),
    ]
}

fn open(directory: &Path, segment_bytes: u64, now: Wall) -> (Engine, Found) {
    let bounds = Bounds {
        segment_bytes,
        ..Bounds::default()
    };
    Engine::open(now, directory, bounds, &queues(), 7).unwrap()
}

fn send(engine: &mut Engine, now: Wall, queue: QueueId, id: u128, body: &[u8]) -> Accepted {
    let fifo = queue == ORDERED;
    let letter = Letter {
        id: MessageId(id),
        group: fifo.then(|| Arc::from(format!("group {}", id % 3))),
        deduplication: fifo.then(|| Arc::from(id.to_string())),
        delay: None,
        body,
    };
    engine.send(now, queue, letter).unwrap()
}

fn ask(most: usize) -> Ask {
    Ask {
        most,
        ..Ask::default()
    }
}

/// A committed receive; its ids and bodies.
fn receive(engine: &mut Engine, now: Wall, queue: QueueId, most: usize) -> Vec<(u128, Vec<u8>)> {
    let given = engine.receive(now, queue, &ask(most)).unwrap();
    engine.commit(at(0)).unwrap();
    given
        .messages
        .iter()
        .map(|message| (message.id.0, message.body.read().unwrap()))
        .collect()
}

fn counts(engine: &mut Engine, now: Wall, queue: QueueId) -> (usize, usize, usize) {
    let counts = engine.figures(now, queue).unwrap().0;
    (counts.visible, counts.in_flight, counts.delayed)
}

#[test]
fn a_restart_keeps_messages_and_the_deadlines_of_their_visibility() {
    let place = tempfile::tempdir().unwrap();
    let (mut engine, found) = open(place.path(), 1 << 20, at(0));
    assert_eq!(found, Found::default());
    for id in 1..=4 {
        send(&mut engine, at(0), WORK, id, format!("body {id}").as_bytes());
    }
    engine.commit(at(0)).unwrap();
    let given = engine.receive(at(1000), WORK, &ask(3)).unwrap().messages;
    engine.delete(at(1000), WORK, given[0].receipt).unwrap();
    let minute = Duration::from_secs(60);
    engine
        .change_visibility(at(1000), WORK, given[1].receipt, minute)
        .unwrap();
    engine.commit(at(0)).unwrap();
    drop(engine);

    let (mut engine, found) = open(place.path(), 1 << 20, at(2000));
    assert_eq!((found.messages, found.left_out), (3, 0));
    assert_eq!(counts(&mut engine, at(2000), WORK), (1, 2, 0));
    assert_eq!(
        receive(&mut engine, at(2000), WORK, 10),
        [(4, b"body 4".to_vec())]
    );
    assert_eq!(receive(&mut engine, at(30_999), WORK, 10), []);
    assert_eq!(
        receive(&mut engine, at(31_000), WORK, 10),
        [(3, b"body 3".to_vec())]
    );
    assert_eq!(
        receive(&mut engine, at(61_000), WORK, 1),
        [(2, b"body 2".to_vec())]
    );
    // A receipt from before the restart still deletes.
    drop(engine);
    let (mut engine, _) = open(place.path(), 1 << 20, at(61_000));
    let late = engine.delete(at(61_000), WORK, given[1].receipt).unwrap();
    assert_eq!(late, forebay_queues::Deleted::Late);
}

#[test]
fn a_restart_keeps_order_and_what_was_sent_already() {
    let place = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(place.path(), 1 << 20, at(0));
    let first = send(&mut engine, at(0), ORDERED, 1, b"one");
    send(&mut engine, at(0), ORDERED, 4, b"four");
    engine.commit(at(0)).unwrap();
    let attempt = Ask {
        attempt: Some(Arc::from("try")),
        ..ask(1)
    };
    let given = engine.receive(at(10), ORDERED, &attempt).unwrap();
    engine.commit(at(0)).unwrap();
    drop(engine);
    let (mut engine, _) = open(place.path(), 1 << 20, at(20));
    let again = send(&mut engine, at(20), ORDERED, 1, b"one");
    assert_eq!((again.duplicate, again.sequence), (true, first.sequence));
    // Its group has one message in flight; the attempt gets the same again.
    assert_eq!(receive(&mut engine, at(20), ORDERED, 10), []);
    let retried = engine.receive(at(20), ORDERED, &attempt).unwrap();
    assert_eq!(retried.messages[0].receipt, given.messages[0].receipt);
    engine.delete(at(30), ORDERED, given.messages[0].receipt).unwrap();
    assert_eq!(receive(&mut engine, at(30), ORDERED, 10), [(4, b"four".to_vec())]);
}

#[test]
fn dead_letters_and_what_is_moved_back_are_there_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(place.path(), 1 << 20, at(0));
    for id in 1..=20 {
        send(&mut engine, at(0), WORK, id, &[id as u8; 100]);
    }
    for minute in 0..3 {
        while !receive(&mut engine, at(minute * 60_000), WORK, 10).is_empty() {}
    }
    assert_eq!(receive(&mut engine, at(180_000), WORK, 10), []);
    drop(engine);
    let (mut engine, found) = open(place.path(), 1 << 20, at(180_000));
    assert_eq!(found.messages, 20);
    assert_eq!(counts(&mut engine, at(180_000), DEAD), (20, 0, 0));
    let started = engine.start_task(at(180_000), DEAD, None, Some(10)).unwrap();
    let second = engine.start_task(at(180_000), DEAD, None, None);
    assert_eq!(second, Err(super::TaskRefusal::Running));
    engine.wake(at(181_000));
    assert_eq!(counts(&mut engine, at(181_000), WORK), (11, 0, 0));
    assert_eq!(engine.cancel_task(DEAD, started), Some(11));
    engine.start_task(at(182_000), DEAD, Some(WORK), None).unwrap();
    // A task goes on after a restart, and ended ones are still listed.
    engine.commit(at(182_000)).unwrap();
    drop(engine);
    let (mut engine, _) = open(place.path(), 1 << 20, at(182_000));
    let statuses: Vec<_> = engine.tasks(DEAD).map(|task| task.status()).collect();
    assert_eq!(statuses, [MoveStatus::Running, MoveStatus::Cancelled]);
    while let Some(due) = engine.next_deadline().filter(|due| *due < at(200_000)) {
        engine.wake(due);
    }
    let statuses: Vec<_> = engine.tasks(DEAD).map(|task| task.progress()).collect();
    assert_eq!(statuses, [(9, 9), (11, 20)]);
    engine.commit(at(0)).unwrap();
    drop(engine);
    let (mut engine, _) = open(place.path(), 1 << 20, at(200_000));
    assert_eq!(counts(&mut engine, at(200_000), DEAD), (0, 0, 0));
    let mut bodies = Vec::new();
    while let Some((_, body)) = receive(&mut engine, at(200_000), WORK, 1).pop() {
        assert_eq!(body.len(), 100);
        bodies.push(body[0]);
    }
    assert_eq!(bodies, (1..=20).collect::<Vec<u8>>());
}

/// A deleted dead-letter queue keeps no messages from being received.
#[test]
fn without_its_dead_letter_queue_a_message_stays() {
    let place = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(place.path(), 1 << 20, at(0));
    engine.remove(at(0), DEAD);
    send(&mut engine, at(0), WORK, 1, b"one");
    for minute in 0..5 {
        assert_eq!(receive(&mut engine, at(minute * 60_000), WORK, 1).len(), 1);
    }
    engine.configure(at(300_000), DEAD, queues()[2].1);
    assert_eq!(receive(&mut engine, at(300_000), WORK, 1), []);
    assert_eq!(counts(&mut engine, at(300_000), DEAD), (1, 0, 0));
}

#[test]
fn a_full_log_takes_no_more() {
    let place = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        messages: 2,
        ..Bounds::default()
    };
    let mut engine = Engine::open(at(0), place.path(), bounds, &queues(), 7).unwrap().0;
    send(&mut engine, at(0), WORK, 1, b"one");
    send(&mut engine, at(0), ORDERED, 2, b"two");
    let letter = |body| Letter {
        id: MessageId(3),
        group: None,
        deduplication: None,
        delay: None,
        body,
    };
    let full = engine.send(at(0), WORK, letter(b"three".as_slice()));
    assert_eq!(full, Err(super::Refused::Full));
    engine.purge(at(0), ORDERED).unwrap();
    assert!(engine.send(at(0), WORK, letter(b"three")).is_ok());
    let missing = engine.send(at(0), QueueId(9), letter(b"four"));
    assert!(missing.is_err());
}
