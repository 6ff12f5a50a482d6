//! Long polls: waiting receives are served in order, and end in time.

use super::{Bench, FIFO, at, bodies};
use crate::{Ask, Empty, Kind, QueueId, RawSettings, Redrive, Ticket};
use core::time::Duration;

fn wait(bench: &mut Bench, most: usize, until: i64) -> Ticket {
    let ask = Ask {
        most,
        ..Ask::default()
    };
    bench.queue.wait(ask, at(until))
}

fn wake(bench: &mut Bench, second: i64) -> Vec<(Ticket, Vec<u32>)> {
    let woken = bench.queue.wake(at(second), &mut bench.changes);
    woken
        .served
        .iter()
        .map(|one| (one.ticket, bodies(&one.messages)))
        .collect()
}

#[test]
fn who_waits_is_served_in_order() {
    let mut bench = Bench::of(Kind::Standard);
    let (first, second, third) = (
        wait(&mut bench, 1, 20),
        wait(&mut bench, 10, 20),
        wait(&mut bench, 1, 20),
    );
    assert_eq!(bench.queue.next_deadline(), Some(at(20)));
    for body in 1..=3 {
        bench.send(1, body);
    }
    assert_eq!(wake(&mut bench, 1), [(first, vec![1]), (second, vec![2, 3])]);
    assert_eq!(wake(&mut bench, 19), []);
    let woken = bench.queue.wake(at(20), &mut bench.changes).served.remove(0);
    assert_eq!((woken.ticket, woken.empty), (third, Some(Empty::NothingVisible)));
    assert_eq!(bench.queue.waiting(), 0);
}

#[test]
fn who_waits_is_told_when_a_delay_or_a_visibility_ends() {
    let mut bench = Bench::new(RawSettings {
        delay_s: 5,
        ..RawSettings::of(Kind::Standard)
    });
    bench.send(0, 1);
    let retention = 4 * 24 * 3600;
    assert_eq!(bench.queue.next_deadline(), Some(at(retention)));
    let first = wait(&mut bench, 1, 20);
    assert_eq!(bench.queue.next_deadline(), Some(at(5)));
    assert_eq!(wake(&mut bench, 5), [(first, vec![1])]);
    let second = wait(&mut bench, 1, 100);
    assert_eq!(bench.queue.next_deadline(), Some(at(35)));
    assert_eq!(wake(&mut bench, 35), [(second, vec![1])]);
}

#[test]
fn who_has_gone_takes_nothing() {
    let mut bench = Bench::of(Kind::Standard);
    let (first, second) = (wait(&mut bench, 1, 20), wait(&mut bench, 1, 20));
    assert!(bench.queue.forget(first) && !bench.queue.forget(first));
    bench.send(1, 1);
    assert_eq!(wake(&mut bench, 1), [(second, vec![1])]);
}

#[test]
fn a_group_that_is_free_again_wakes_who_waits() {
    let mut bench = Bench::of(FIFO);
    bench.send_to(0, "a", 1);
    bench.send_to(0, "a", 2);
    let receipt = bench.receive(0, 1)[0].receipt;
    let ticket = wait(&mut bench, 10, 20);
    assert_eq!(wake(&mut bench, 1), []);
    bench.delete(2, receipt);
    // The caller need not know that this freed another message: it is due at once.
    assert!(bench.queue.next_deadline().unwrap() <= at(2));
    assert_eq!(wake(&mut bench, 2), [(ticket, vec![2])]);
}

#[test]
fn dead_letters_are_told_while_nobody_gets_anything() {
    let redrive = Some(Redrive {
        max_receives: 1,
        to: QueueId(9),
    });
    let mut bench = Bench::new(RawSettings {
        redrive,
        ..RawSettings::of(Kind::Standard)
    });
    for body in 0..250 {
        bench.send(0, body);
    }
    while !bench.receive(1, 10).is_empty() {}
    let ticket = wait(&mut bench, 1, 200);
    let woken = bench.queue.wake(at(100), &mut bench.changes);
    assert_eq!(
        (woken.served.len(), woken.dead.len(), bench.queue.waiting()),
        (0, 250, 1)
    );
    bench.send(101, 1000);
    assert_eq!(wake(&mut bench, 101), [(ticket, vec![1000])]);
}

#[test]
fn a_retry_wakes_at_once_with_what_it_had() {
    let mut bench = Bench::of(FIFO);
    bench.send_to(0, "a", 1);
    let ask = Ask {
        most: 1,
        visibility: Some(Duration::from_secs(9)),
        attempt: Some("x".into()),
    };
    bench.queue.receive(at(0), &ask, &mut bench.changes).unwrap();
    let ticket = bench.queue.wait(ask, at(20));
    assert_eq!(wake(&mut bench, 1), [(ticket, vec![1])]);
}
