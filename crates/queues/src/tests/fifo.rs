//! FIFO queues: AWS's rules, each with its source.

use super::{Bench, FIFO, at, bodies};
use crate::{Ask, DeleteRefusal, Empty, Kind, Letter, MessageId, RawSettings, Scope, SendRefusal, Settings};
use core::time::Duration;
use std::sync::Arc;

/// Developer guide, "FIFO delivery logic": as many as there are of one group, then of the next. A group delivers
/// nothing while any of it is in flight.
#[test]
fn a_group_gives_nothing_while_any_of_it_is_in_flight() {
    let mut bench = Bench::of(FIFO);
    for (group, body) in [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)] {
        bench.send_to(0, group, body);
    }
    let first = bench.receive(1, 2);
    assert_eq!(bodies(&first), [1, 3]);
    let second = bench.receive(2, 10);
    assert_eq!(bodies(&second), [2, 4]);
    assert_eq!(bench.counts(2), (1, 4, 0));
    let ask = Ask {
        most: 1,
        ..Ask::default()
    };
    let empty = bench
        .queue
        .receive(at(2), &ask, &mut bench.changes)
        .unwrap()
        .empty;
    assert_eq!(empty, Some(Empty::GroupsInFlight));
    bench.delete(3, first[0].receipt);
    assert_eq!(bench.bodies(3, 10), []);
    // The second of its group is visible again and precedes the third.
    let back = first[1].receipt;
    bench
        .queue
        .change_visibility(at(4), back, Duration::ZERO, &mut bench.changes)
        .unwrap();
    assert_eq!(bench.bodies(4, 10), [3, 5]);
}

#[test]
fn order_within_a_group_outlasts_a_visibility_that_ends() {
    let mut bench = Bench::of(FIFO);
    for body in 1..=3 {
        bench.send_to(0, "a", body);
    }
    assert_eq!(bench.bodies(0, 1), [1]);
    assert_eq!(bench.bodies(30, 1), [1]);
    assert_eq!(bench.bodies(60, 10), [1, 2, 3]);
}

/// API reference, SendMessage: a group, and a deduplication id or content-based deduplication; no delay per message.
#[test]
fn what_a_message_of_a_fifo_queue_must_have() {
    let mut bench = Bench::of(FIFO);
    let letter = |group: Option<&str>, id: Option<&str>, delay| Letter {
        id: MessageId(1),
        group: group.map(Arc::from),
        deduplication: id.map(Arc::from),
        delay,
        body: 1,
    };
    let mut send = |letter| bench.queue.send(at(0), letter, &mut bench.changes);
    assert_eq!(send(letter(None, Some("x"), None)), Err(SendRefusal::NoGroup));
    assert_eq!(
        send(letter(Some("g"), None, None)),
        Err(SendRefusal::NoDeduplication)
    );
    let second = Some(Duration::from_secs(1));
    assert_eq!(
        send(letter(Some("g"), Some("x"), second)),
        Err(SendRefusal::DelayOfMessage)
    );
    let mut standard = Bench::of(Kind::Standard);
    let refused = standard
        .queue
        .send(at(0), letter(None, Some("x"), None), &mut standard.changes);
    assert_eq!(refused, Err(SendRefusal::Deduplication));
}

fn send_as(bench: &mut Bench, second: i64, group: &str, id: &str, body: u32) -> (bool, u128) {
    let letter = Letter {
        id: MessageId(body.into()),
        group: Some(Arc::from(group)),
        deduplication: Some(Arc::from(id)),
        delay: None,
        body,
    };
    let accepted = bench.queue.send(at(second), letter, &mut bench.changes).unwrap();
    (accepted.duplicate, accepted.id.0)
}

/// API reference, SendMessage: accepted and not delivered for five minutes, even if the first was deleted. Ids are
/// unique in the queue or in the group (DeduplicationScope).
#[test]
fn what_was_sent_within_five_minutes_is_not_there_twice() {
    let mut bench = Bench::of(FIFO);
    assert_eq!(send_as(&mut bench, 0, "a", "x", 1), (false, 1));
    let receipt = bench.receive(1, 1)[0].receipt;
    bench.delete(2, receipt);
    assert_eq!(send_as(&mut bench, 3, "b", "x", 2), (true, 1));
    assert_eq!(send_as(&mut bench, 299, "a", "x", 3), (true, 1));
    assert_eq!(bench.counts(299), (0, 0, 0));
    assert_eq!(send_as(&mut bench, 300, "a", "x", 4), (false, 4));
    // Also after a restart, because this memory is rebuilt from the same changes.
    let mut again = Bench {
        queue: bench.again(),
        changes: Vec::new(),
        settings: bench.settings,
    };
    assert_eq!(send_as(&mut again, 599, "a", "x", 5), (true, 4));

    let mut by_group = Bench::of(Kind::Fifo(Scope::Group));
    assert_eq!(send_as(&mut by_group, 0, "a", "x", 1), (false, 1));
    assert_eq!(send_as(&mut by_group, 0, "b", "x", 2), (false, 2));
    assert_eq!(send_as(&mut by_group, 0, "b", "x", 3), (true, 2));
}

/// API reference, DeleteMessage and ReceiveMessage: "if a consumer whose message processing time is longer than the visibility timeout
/// tries to delete the processed messages, the action fails with an error".
#[test]
fn a_receipt_expires_with_its_visibility() {
    let mut bench = Bench::of(FIFO);
    bench.send_to(0, "a", 1);
    let receipt = bench.receive(0, 1)[0].receipt;
    let late = bench.queue.delete(at(30), receipt, &mut bench.changes);
    assert_eq!(late, Err(DeleteRefusal::Expired));
    let newer = bench.receive(30, 1)[0].receipt;
    let old = bench.queue.delete(at(31), receipt, &mut bench.changes);
    assert_eq!(old, Err(DeleteRefusal::Expired));
    bench.delete(31, newer);
}

/// API reference, ReceiveMessage, ReceiveRequestAttemptId.
#[test]
fn an_attempt_gives_the_same_again_unless_its_messages_were_touched() {
    let mut bench = Bench::of(FIFO);
    for body in 1..=4 {
        bench.send_to(0, &format!("g{body}"), body);
    }
    let ask = |id: &str| Ask {
        most: 2,
        visibility: None,
        attempt: Some(Arc::from(id)),
    };
    let receive = |bench: &mut Bench, second, id: &str| {
        bench
            .queue
            .receive(at(second), &ask(id), &mut bench.changes)
            .unwrap()
            .messages
    };
    let first = receive(&mut bench, 0, "x");
    let second = receive(&mut bench, 20, "x");
    assert_eq!(bodies(&second), [1, 2]);
    assert_eq!((second[0].receipt, second[0].receives), (first[0].receipt, 1));
    // The retry restarted the visibility timeout, also in a queue that was rebuilt.
    assert_eq!(second[0].until, at(50));
    bench.queue = bench.again();
    assert_eq!(bodies(&receive(&mut bench, 49, "x")), [1, 2]);
    assert_eq!(bodies(&receive(&mut bench, 49, "y")), [3, 4]);
    // One was deleted, so this is an ordinary receive.
    bench.delete(50, first[0].receipt);
    assert_eq!(bodies(&receive(&mut bench, 50, "x")), []);
    // Visible again, so this one is too.
    let third = receive(&mut bench, 79, "y");
    assert_eq!((bodies(&third), third[0].receives), (vec![2, 3], 2));
}

/// Developer guide, quotas: no error, but no further messages.
#[test]
fn too_many_in_flight_are_no_error_of_a_fifo_queue() {
    let mut bench = Bench::of(FIFO);
    let settings = bench.settings.with_in_flight_max(1);
    bench.queue.configure(at(0), settings, &mut bench.changes);
    bench.send_to(0, "a", 1);
    bench.send_to(0, "b", 2);
    assert_eq!(bench.bodies(0, 10), [1]);
    let ask = Ask {
        most: 1,
        ..Ask::default()
    };
    let empty = bench
        .queue
        .receive(at(1), &ask, &mut bench.changes)
        .unwrap()
        .empty;
    assert_eq!(empty, Some(Empty::InFlightMax));
}

/// Developer guide, "Delay queues": in a FIFO queue a new delay applies to existing messages too.
#[test]
fn a_delay_of_a_fifo_queue_is_for_what_is_there() {
    let mut bench = Bench::new(RawSettings {
        delay_s: 100,
        ..RawSettings::of(FIFO)
    });
    bench.send_to(0, "a", 1);
    assert_eq!(bench.counts(99), (0, 0, 1));
    let settings = Settings::new(RawSettings {
        delay_s: 50,
        ..RawSettings::of(FIFO)
    })
    .unwrap();
    bench.queue.configure(at(40), settings, &mut bench.changes);
    assert_eq!((bench.counts(49), bench.counts(50)), ((0, 0, 1), (1, 0, 0)));
    assert_eq!(bench.bodies(50, 1), [1]);
}

#[test]
fn sequence_numbers_rise_even_if_the_clock_goes_back() {
    let mut bench = Bench::of(FIFO);
    bench.send_to(10, "a", 1);
    bench.send_to(5, "a", 2);
    bench.send_to(5, "b", 3);
    let received = bench.receive(10, 10);
    assert_eq!(bodies(&received), [1, 2, 3]);
    assert!(received.is_sorted_by_key(|message| message.receipt.sequence));
}
