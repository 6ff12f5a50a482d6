//! Standard queues: AWS's rules, each with its source.

use super::{Bench, FIFO, at, bodies};
use crate::{
    Ask, Deleted, Empty, Kind, Letter, MessageId, MoveStatus, MoveTask, PurgeRefusal, QueueId, RawSettings,
    ReceiveRefusal, Redrive, Scope, SendRefusal, Settings, SettingsError, VisibilityRefusal,
};
use core::time::Duration;

const HOUR: i64 = 3600;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn attributes_are_within_their_ranges() {
    let raw = RawSettings::of(Kind::Standard);
    let redrive = |max_receives| {
        Some(Redrive {
            max_receives,
            to: QueueId(2),
        })
    };
    let cases = [
        (
            RawSettings {
                visibility_s: 43_201,
                ..raw
            },
            SettingsError::Visibility,
        ),
        (RawSettings { delay_s: 901, ..raw }, SettingsError::Delay),
        (
            RawSettings {
                retention_s: 59,
                ..raw
            },
            SettingsError::Retention,
        ),
        (
            RawSettings {
                retention_s: 1_209_601,
                ..raw
            },
            SettingsError::Retention,
        ),
        (
            RawSettings {
                redrive: redrive(0),
                ..raw
            },
            SettingsError::MaxReceives,
        ),
        (
            RawSettings {
                redrive: redrive(1001),
                ..raw
            },
            SettingsError::MaxReceives,
        ),
        (
            RawSettings {
                limit_per_group: true,
                ..raw
            },
            SettingsError::LimitPerGroup,
        ),
        (
            RawSettings {
                limit_per_group: true,
                kind: FIFO,
                ..raw
            },
            SettingsError::LimitPerGroup,
        ),
    ];
    for (raw, error) in cases {
        assert_eq!(Settings::new(raw), Err(error));
    }
    let kind = Kind::Fifo(Scope::Group);
    assert!(
        Settings::new(RawSettings {
            limit_per_group: true,
            kind,
            ..raw
        })
        .is_ok()
    );
}

#[test]
fn a_received_message_is_hidden_until_its_visibility_ends() {
    let mut bench = Bench::of(Kind::Standard);
    bench.send(0, 1);
    assert_eq!(bench.counts(0), (1, 0, 0));
    let first = bench.receive(1, 10).remove(0);
    assert_eq!(
        (first.receives, first.sent, first.first_received),
        (1, at(0), at(1))
    );
    assert_eq!((bench.counts(30), bench.bodies(30, 10)), ((0, 1, 0), vec![]));
    let second = bench.receive(31, 10).remove(0);
    assert_eq!(
        (second.receives, second.first_received, second.id),
        (2, at(1), first.id)
    );
    assert_ne!(second.receipt, first.receipt);
}

/// API reference, ReceiveMessage: the VisibilityTimeout of the call takes precedence over the queue's; zero hides for
/// no time.
#[test]
fn a_receive_may_say_for_how_long() {
    let mut bench = Bench::of(Kind::Standard);
    bench.send(0, 1);
    let mut ask = Ask {
        most: 1,
        visibility: Some(seconds(5)),
        attempt: None,
    };
    let mut receive = |second, ask: &Ask| bench.queue.receive(at(second), ask, &mut bench.changes);
    assert_eq!(receive(0, &ask).unwrap().messages.len(), 1);
    assert_eq!(receive(4, &ask).unwrap().empty, Some(Empty::NothingVisible));
    ask.visibility = Some(seconds(0));
    assert_eq!(receive(5, &ask).unwrap().messages[0].receives, 2);
    assert_eq!(receive(5, &ask).unwrap().messages[0].receives, 3);
    ask.visibility = Some(seconds(43_201));
    assert_eq!(receive(5, &ask), Err(ReceiveRefusal::Visibility));
}

/// API reference, ChangeMessageVisibility: counted from the change, at most 12 hours from the receive, and never
/// shortened silently.
#[test]
fn a_visibility_is_changed_within_twelve_hours() {
    let mut bench = Bench::of(Kind::Standard);
    bench.send(0, 1);
    let receipt = bench.receive(0, 1)[0].receipt;
    let mut change = |second, timeout| {
        bench
            .queue
            .change_visibility(at(second), receipt, seconds(timeout), &mut bench.changes)
    };
    assert_eq!(
        change(10, 43_200),
        Err(VisibilityRefusal::TooLong {
            left: seconds(43_190)
        })
    );
    assert_eq!(change(10, 43_201), Err(VisibilityRefusal::Visibility));
    assert_eq!(change(10, 43_190), Ok(()));
    assert_eq!(change(20, 0), Ok(()));
    assert_eq!(change(20, 10), Err(VisibilityRefusal::NotInFlight));
    assert_eq!(bench.counts(20), (1, 0, 0));
    let newer = bench.receive(20, 1)[0].receipt;
    let mut change = |receipt| {
        bench
            .queue
            .change_visibility(at(21), receipt, seconds(9), &mut bench.changes)
    };
    // An older receipt is accepted, as in AWS. Only `release` requires that the receiver still has the message.
    assert_eq!(change(receipt), Ok(()));
    assert_eq!(change(newer), Ok(()));
    let mut release = |receipt| bench.queue.release(at(21), receipt, &mut bench.changes);
    assert!(!release(receipt));
    assert!(release(newer));
    assert!(!release(newer));
    let newer = bench.receive(21, 1)[0].receipt;
    bench.delete(22, newer);
    let gone = bench
        .queue
        .change_visibility(at(22), newer, seconds(9), &mut bench.changes);
    assert_eq!(gone, Err(VisibilityRefusal::Gone));
}

/// Any receipt deletes a standard queue's message, but only the latest one tells the processing time.
#[test]
fn any_receipt_deletes() {
    let mut bench = Bench::of(Kind::Standard);
    bench.send(0, 1);
    bench.send(0, 2);
    let old = bench.receive(0, 2)[1].receipt;
    let latest = bench.receive(40, 1)[0].receipt;
    bench.receive(40, 1);
    let mut delete = |second, receipt| bench.queue.delete(at(second), receipt, &mut bench.changes);
    assert_eq!(delete(41, old), Ok(Deleted::Late));
    assert_eq!(delete(41, old), Ok(Deleted::Before));
    // Its visibility timeout is over, and it has not been received since.
    assert_eq!(delete(100, latest), Ok(Deleted::Now(seconds(60))));
    assert_eq!(delete(100, latest), Ok(Deleted::Before));
    assert_eq!(bench.counts(100), (0, 0, 0));
}

/// Developer guide, "Delay queues": a message's own delay takes precedence over the queue's, and a new delay of the
/// queue applies to new messages.
#[test]
fn delays_of_queues_and_messages() {
    let raw = RawSettings {
        delay_s: 10,
        ..RawSettings::of(Kind::Standard)
    };
    let mut bench = Bench::new(raw);
    bench.send(0, 1);
    let own = |body: u32, delay| Letter {
        id: MessageId(body.into()),
        group: None,
        deduplication: None,
        delay: Some(seconds(delay)),
        body,
    };
    bench.queue.send(at(0), own(2, 0), &mut bench.changes).unwrap();
    bench.queue.send(at(0), own(3, 900), &mut bench.changes).unwrap();
    let refused = bench.queue.send(at(0), own(4, 901), &mut bench.changes);
    assert_eq!(refused, Err(SendRefusal::Delay));
    assert_eq!((bench.counts(0), bench.bodies(9, 10)), ((1, 0, 2), vec![2]));
    let settings = Settings::new(RawSettings::of(Kind::Standard)).unwrap();
    bench.queue.configure(at(9), settings, &mut bench.changes);
    assert_eq!(bench.counts(9), (0, 1, 2));
    assert_eq!(bench.bodies(10, 10), [1]);
    assert_eq!(bench.bodies(900, 10), [1, 2, 3]);
}

#[test]
fn a_message_expires_in_flight_or_not() {
    let raw = RawSettings {
        retention_s: 60,
        visibility_s: 3600,
        ..RawSettings::of(Kind::Standard)
    };
    let mut bench = Bench::new(raw);
    bench.send(0, 1);
    bench.send(1, 2);
    bench.receive(1, 1);
    assert_eq!(bench.queue.oldest_age(at(50)), Some(seconds(50)));
    assert_eq!(bench.counts(59), (1, 1, 0));
    assert_eq!(bench.counts(60), (1, 0, 0));
    assert_eq!(bench.queue.oldest_age(at(60)), Some(seconds(59)));
    assert_eq!(bench.queue.next_deadline(), Some(at(61)));
    assert_eq!(bench.counts(61), (0, 0, 0));
    assert_eq!(
        (bench.queue.next_deadline(), bench.queue.oldest_age(at(61))),
        (None, None)
    );
}

/// Developer guide, quotas: 120,000 in flight; a short poll gets an error. Here with fewer.
#[test]
fn too_many_in_flight_are_an_error_of_a_standard_queue() {
    let mut bench = Bench::of(Kind::Standard);
    let settings = bench.settings.with_in_flight_max(3);
    bench.queue.configure(at(0), settings, &mut bench.changes);
    for body in 0..5 {
        bench.send(0, body);
    }
    assert_eq!(bench.bodies(1, 10), [0, 1, 2]);
    let ask = Ask {
        most: 1,
        ..Ask::default()
    };
    let over = bench.queue.receive(at(2), &ask, &mut bench.changes);
    assert_eq!(over, Err(ReceiveRefusal::OverLimit));
    // A long poll waits until there is room.
    let ticket = bench.queue.wait(ask, at(60));
    assert!(bench.queue.wake(at(2), &mut bench.changes).served.is_empty());
    let woken = bench.queue.wake(at(31), &mut bench.changes).served.remove(0);
    assert_eq!((woken.ticket, bodies(&woken.messages)), (ticket, vec![0]));
}

#[test]
fn a_purge_takes_all_and_none_follows_within_a_minute() {
    let mut bench = Bench::of(Kind::Standard);
    bench.send(0, 1);
    bench.send(0, 2);
    let receipt = bench.receive(0, 1)[0].receipt;
    assert_eq!(bench.queue.purge(at(1), &mut bench.changes), Ok(2));
    assert_eq!(bench.counts(1), (0, 0, 0));
    assert_eq!(
        bench.queue.delete(at(1), receipt, &mut bench.changes),
        Ok(Deleted::Before)
    );
    let again = bench.queue.purge(at(60), &mut bench.changes);
    assert_eq!(again, Err(PurgeRefusal::InProgress));
    bench.send(2, 3);
    assert_eq!(bench.bodies(60, 10), [3]);
    assert_eq!(bench.queue.purge(at(61), &mut bench.changes), Ok(1));
}

fn with_dead_letters(kind: Kind) -> Bench {
    let redrive = Some(Redrive {
        max_receives: 2,
        to: QueueId(9),
    });
    Bench::new(RawSettings {
        redrive,
        visibility_s: 1,
        ..RawSettings::of(kind)
    })
}

/// Developer guide, "Dead-letter queues": after the maximum number of receives, the next one moves the message. In a
/// standard queue its retention continues, and its age starts anew.
#[test]
fn what_is_received_too_often_is_a_dead_letter() {
    let mut bench = with_dead_letters(Kind::Standard);
    bench.send(0, 1);
    assert_eq!((bench.bodies(0, 1), bench.bodies(1, 1)), (vec![1], vec![1]));
    let ask = Ask {
        most: 1,
        ..Ask::default()
    };
    let taken = bench.queue.receive(at(2), &ask, &mut bench.changes).unwrap();
    assert_eq!((taken.messages.len(), taken.empty), (0, Some(Empty::DeadLetters)));
    let (to, dead) = taken.dead.into_iter().next().unwrap();
    assert_eq!((to, dead.id, dead.receives), (QueueId(9), MessageId(1), 2));
    assert_eq!(bench.counts(2), (0, 0, 0));

    let raw = RawSettings {
        retention_s: 60,
        ..RawSettings::of(Kind::Standard)
    };
    let mut graves = Bench::new(raw);
    graves.queue.bury(at(2), QueueId(1), dead, &mut graves.changes);
    assert_eq!(graves.queue.oldest_age(at(12)), Some(seconds(10)));
    let found = graves.receive(12, 1).remove(0);
    assert_eq!(
        (found.id, found.sent, found.first_received),
        (MessageId(1), at(0), at(0))
    );
    assert_eq!((found.receives, found.origin), (3, Some(QueueId(1))));
    assert_eq!(graves.counts(60), (0, 0, 0));
}

/// Likewise in a FIFO queue: the group continues with its next message, and in the other queue the retention starts
/// anew.
#[test]
fn a_dead_letter_lets_its_group_go_on() {
    let mut bench = with_dead_letters(FIFO);
    bench.send_to(0, "a", 1);
    bench.receive(0, 1);
    bench.receive(1, 1);
    bench.send_to(1, "a", 2);
    let ask = Ask {
        most: 10,
        ..Ask::default()
    };
    let mut taken = bench.queue.receive(at(2), &ask, &mut bench.changes).unwrap();
    assert_eq!((bodies(&taken.messages), taken.dead.len()), (vec![2], 1));
    let raw = RawSettings {
        retention_s: 60,
        ..RawSettings::of(FIFO)
    };
    let mut graves = Bench::new(raw);
    let dead = taken.dead.remove(0).1;
    graves.queue.bury(at(2), QueueId(1), dead, &mut graves.changes);
    assert_eq!((graves.counts(61), graves.counts(62)), ((1, 0, 0), (0, 0, 0)));
}

/// Developer guide, "Dead-letter queue redrive": a message moved back is new, with a new id, and was never received.
#[test]
fn dead_letters_are_moved_back_at_a_rate() {
    let mut graves = Bench::of(Kind::Standard);
    for body in 0..25 {
        graves.send(0, body);
    }
    let mut target = Bench::of(Kind::Standard);
    let mut task = MoveTask::new(at(10), 25, Some(QueueId(1)), Some(10));
    let mut moved = Vec::new();
    while let Some(next) = task.next_deadline() {
        let asked = task.due(next);
        let departed = graves.queue.depart(next, asked as usize, &mut graves.changes);
        for one in &departed {
            let id = MessageId(1000 + u128::from(one.body));
            target.queue.redrive(next, id, one.clone(), &mut target.changes);
        }
        moved.push((next.since(at(10)).as_millis(), departed.len()));
        task.moved(departed.len() as u64, asked);
    }
    let wanted: Vec<(u128, usize)> = (0..25).map(|number| (number * 100, 1)).collect();
    assert_eq!(moved, wanted);
    assert_eq!(
        (task.status(), task.progress()),
        (MoveStatus::Completed, (25, 25))
    );
    let first = target.receive(20, 1).remove(0);
    assert_eq!(
        (first.id, first.receives, first.origin),
        (MessageId(1000), 1, None)
    );
    assert_eq!(first.sent, at(10));
    // Late calls catch up; a cancelled task stops.
    let mut late = MoveTask::new(at(0), 1000, None, None);
    assert_eq!(
        (late.due(at(0)), late.due(at(1)), late.due(at(HOUR))),
        (1, 501, 1000)
    );
    assert!(late.cancel() && !late.cancel());
    assert_eq!((late.due(at(HOUR)), late.next_deadline()), (0, None));
    // Fewer than there were: the rest was received meanwhile.
    let mut fewer = MoveTask::new(at(0), 5, None, None);
    fewer.moved(2, 5);
    assert_eq!(fewer.status(), MoveStatus::Completed);
    assert_eq!(
        MoveTask::new(at(0), 0, None, None).status(),
        MoveStatus::Completed
    );
}
