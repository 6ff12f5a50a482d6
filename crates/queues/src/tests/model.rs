//! Arbitrary histories: the queue, the naive one, and the queue rebuilt from its changes all agree.

use super::at;
use super::naive::Naive;
use crate::{
    Ask, Change, Deleted, Delivered, Kind, Letter, MessageId, Queue, QueueId, RawSettings, Receipt, Redrive,
    Scope, Settings, Ticket,
};
use core::time::Duration;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const MAX_RECEIVES: u32 = 3;

#[derive(Clone, Debug)]
enum Event {
    Send {
        group: u8,
        id: u8,
        delay: Option<u8>,
    },
    Receive {
        most: usize,
        timeout: Option<u8>,
    },
    /// By the receipt this many receives back.
    Delete {
        back: usize,
    },
    Hide {
        back: usize,
        timeout: u16,
    },
    Purge,
    Depart {
        most: usize,
    },
    /// A receive that waits this long.
    Wait {
        most: usize,
        time: i64,
    },
    /// The process ends, and another begins.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let group = 0..4_u8;
    prop_oneof![
        6 => (group, 0..20_u8, proptest::option::weighted(0.3, 0..40_u8))
            .prop_map(|(group, id, delay)| Event::Send { group, id, delay }),
        5 => (1..=10_usize, proptest::option::weighted(0.3, 0..40_u8))
            .prop_map(|(most, timeout)| Event::Receive { most, timeout }),
        4 => (0..20_usize).prop_map(|back| Event::Delete { back }),
        2 => (0..10_usize, prop_oneof![Just(0_u16), 1..60_u16, Just(43_200)])
            .prop_map(|(back, timeout)| Event::Hide { back, timeout }),
        1 => Just(Event::Restart),
        2 => (1..=10_usize, 1..=20_i64).prop_map(|(most, time)| Event::Wait { most, time }),
        1 => (1..3_usize).prop_map(|most| Event::Depart { most }),
    ]
}

fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    // Mostly at once or soon; sometimes much later, and sometimes the clock is set back.
    let pause = prop_oneof![6 => Just(0_i64), 4 => 0..20_i64, 1 => 100..320_i64, 1 => -3..0_i64];
    let event = prop_oneof![40 => event(), 1 => Just(Event::Purge)];
    proptest::collection::vec((pause, event), 1..120)
}

struct Course {
    settings: Settings,
    queue: Queue<u32>,
    naive: Naive,
    log: Vec<Change<u32>>,
    now: i64,
    body: u32,
    receipts: Vec<Receipt>,
    /// The waiting receives: ticket, number of messages, and until when.
    waiting: Vec<(Ticket, usize, i64)>,
    /// Until when each message is hidden from everyone.
    hidden: BTreeMap<u32, i64>,
    /// The latest time so far.
    latest: i64,
}

impl Course {
    fn new(kind: Kind) -> Course {
        let redrive = Some(Redrive {
            max_receives: MAX_RECEIVES,
            to: QueueId(2),
        });
        let raw = RawSettings {
            retention_s: 300,
            redrive,
            ..RawSettings::of(kind)
        };
        let settings = Settings::new(raw).unwrap();
        Course {
            settings,
            queue: Queue::new(settings),
            naive: Naive::new(kind, MAX_RECEIVES),
            log: Vec::new(),
            now: 0,
            body: 0,
            receipts: Vec::new(),
            waiting: Vec::new(),
            hidden: BTreeMap::new(),
            latest: 0,
        }
    }

    fn send(&mut self, group: u8, id: u8, delay: Option<u8>) {
        self.body += 1;
        let delay = delay.filter(|_| !self.settings.fifo());
        let letter = Letter {
            id: MessageId(self.body.into()),
            group: Some(Arc::from(group.to_string())),
            deduplication: self.settings.fifo().then(|| Arc::from(id.to_string())),
            delay: delay.map(|delay| Duration::from_secs(delay.into())),
            body: self.body,
        };
        let accepted = self.queue.send(at(self.now), letter, &mut self.log).unwrap();
        let before = self.naive.sent_before(self.now, group, id);
        assert_eq!(accepted.duplicate, before.is_some());
        assert_eq!(accepted.id, MessageId(before.unwrap_or(self.body).into()));
        if before.is_none() {
            let delay = delay.unwrap_or(0).into();
            self.naive
                .send(self.now, group, id, delay, self.body, accepted.sequence);
        }
    }

    fn receive(&mut self, most: usize, timeout: Option<u8>) {
        let ask = Ask {
            most,
            visibility: timeout.map(|timeout| Duration::from_secs(timeout.into())),
            attempt: None,
        };
        let taken = self.queue.receive(at(self.now), &ask, &mut self.log).unwrap();
        let mut before = self.naive.clone();
        before.counts(self.now);
        let (given, dead) = self.naive.receive(self.now, most, timeout.map(i64::from));
        let found: Vec<(u32, u32)> = taken
            .messages
            .iter()
            .map(|one| (one.body, one.receives))
            .collect();
        assert_eq!(found, given);
        let buried: Vec<u32> = taken.dead.iter().map(|(_, one)| one.body).collect();
        assert_eq!(buried, dead);
        self.given(&taken.messages);
        if self.settings.fifo() {
            in_order(&before, &taken.messages, &dead);
        }
    }

    /// No other receiver has these messages.
    fn given(&mut self, messages: &[Delivered<u32>]) {
        for one in messages {
            assert!(
                self.hidden
                    .get(&one.body)
                    .is_none_or(|&until| until <= self.latest)
            );
            self.hidden.insert(one.body, one.until.seconds() - 1_000_000);
            self.receipts.push(one.receipt);
        }
    }

    /// Waiting receives are served in order, each with what a receive would return; then those whose time is over end.
    fn wake(&mut self) {
        let woken = self.queue.wake(at(self.now), &mut self.log);
        let mut served = woken.served.into_iter();
        let mut dead = Vec::new();
        while let Some(&(ticket, most, _)) = self.waiting.first() {
            let (given, gone) = self.naive.receive(self.now, most, None);
            dead.extend(gone);
            if given.is_empty() {
                break;
            }
            let one = served.next().unwrap();
            let found: Vec<(u32, u32)> = one.messages.iter().map(|one| (one.body, one.receives)).collect();
            assert_eq!((one.ticket, found), (ticket, given));
            self.given(&one.messages);
            self.waiting.remove(0);
        }
        let buried: Vec<u32> = woken.dead.iter().map(|(_, one)| one.body).collect();
        assert_eq!(buried, dead);
        let (mut late, waiting): (Vec<_>, Vec<_>) =
            self.waiting.iter().partition(|(_, _, until)| *until <= self.now);
        late.sort_by_key(|&(ticket, _, until)| (until, ticket));
        self.waiting = waiting;
        assert_eq!(self.queue.waiting(), self.waiting.len());
        for (ticket, _, _) in late {
            let one = served.next().unwrap();
            assert_eq!(
                (one.ticket, one.messages.is_empty(), one.empty.is_some()),
                (ticket, true, true)
            );
        }
        assert!(served.next().is_none());
        // Nothing is left to do at once, and each waiting receive will end in time.
        let next = self.queue.next_deadline();
        assert!(next.is_none_or(|next| next > at(self.now)));
        let last = self.waiting.iter().map(|waiting| waiting.2).min();
        assert!(last.is_none_or(|last| next.is_some_and(|next| next <= at(last))));
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Send { group, id, delay } => self.send(group, id, delay),
            Event::Receive { most, timeout } => self.receive(most, timeout),
            Event::Delete { back } => {
                let Some(&receipt) = self.receipts.iter().rev().nth(back) else {
                    return;
                };
                let deleted = self.queue.delete(at(self.now), receipt, &mut self.log);
                let gone = self.naive.delete(self.now, receipt);
                assert_eq!(matches!(deleted, Ok(Deleted::Now(_) | Deleted::Late)), gone);
            }
            Event::Hide { back, timeout } => {
                let Some(&receipt) = self.receipts.iter().rev().nth(back) else {
                    return;
                };
                let time = Duration::from_secs(timeout.into());
                let body = self.queue.body(receipt.sequence).copied();
                let changed = self
                    .queue
                    .change_visibility(at(self.now), receipt, time, &mut self.log);
                let hidden = self.naive.hide(self.now, receipt, timeout.into());
                assert_eq!(changed.is_ok(), hidden);
                if let (true, Some(body)) = (hidden, body) {
                    self.hidden.insert(body, self.now + i64::from(timeout));
                }
            }
            Event::Purge => {
                let purged = self.queue.purge(at(self.now), &mut self.log);
                assert_eq!(purged.is_ok(), self.naive.purge(self.now));
            }
            Event::Depart { most } => {
                // The oldest that may be received, as a receive of one message at a time would return them.
                let departed = self.queue.depart(at(self.now), most, &mut self.log);
                for one in departed {
                    self.naive.notes.retain(|note| note.body != one.body);
                }
            }
            Event::Wait { most, time } => {
                let ask = Ask {
                    most,
                    ..Ask::default()
                };
                let ticket = self.queue.wait(ask, at(self.now + time));
                self.waiting.push((ticket, most, self.now + time));
            }
            Event::Restart => {
                self.waiting.clear();
                // If the clock has been set back, whatever was over would otherwise begin again.
                self.now = self.latest;
                self.queue = again(self.settings, &self.log);
                self.queue.advance(at(self.now), &mut self.log);
            }
        }
    }

    fn check(&mut self) {
        let counts = self.queue.counts(at(self.now), &mut self.log);
        assert_eq!(counts, self.naive.counts(self.now));
        let sum = counts.visible + counts.in_flight + counts.delayed;
        assert_eq!((sum, self.queue.len()), (self.naive.notes.len(), sum));
        for note in &self.naive.notes {
            assert_eq!(self.queue.body(note.sequence), Some(&note.body));
        }
    }

    /// The changes rebuild the same queue.
    fn check_again(&mut self) {
        self.now = self.latest;
        self.check();
        let mut again = again(self.settings, &self.log);
        again.advance(at(self.now), &mut Vec::new());
        assert_eq!(again.messages, self.queue.messages);
        assert_eq!(again.ready, self.queue.ready);
    }
}

/// No message of a group precedes an earlier one that is still there.
fn in_order(before: &Naive, given: &[Delivered<u32>], dead: &[u32]) {
    for (place, one) in given.iter().enumerate() {
        let group = one.group.as_deref().unwrap();
        let earlier = before
            .notes
            .iter()
            .filter(|note| note.group.to_string() == *group && note.body < one.body);
        for note in earlier {
            let gone = given[..place].iter().any(|other| other.body == note.body);
            assert!(gone || dead.contains(&note.body));
        }
    }
}

/// The queue rebuilt from these changes, as they are read from a log.
fn again(settings: Settings, log: &[Change<u32>]) -> Queue<u32> {
    let mut queue = Queue::new(settings);
    for change in log {
        let bytes = postcard::to_allocvec(change).unwrap();
        let read: Change<u32> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(&read, change);
        queue.apply(&read);
    }
    queue
}

fn run(kind: Kind, events: &[(i64, Event)]) {
    let mut course = Course::new(kind);
    for (pause, event) in events {
        course.now += pause;
        course.latest = course.latest.max(course.now);
        course.happen(event);
        course.wake();
        course.check();
    }
    course.check_again();
    // A copy of each message makes the same queue.
    let mut copied = Queue::new(course.settings);
    let sequences: Vec<_> = course.queue.messages.keys().copied().collect();
    for sequence in sequences {
        copied.apply(&Change::Sent(course.queue.copy(sequence).unwrap()));
    }
    assert_eq!(copied.messages.len(), course.queue.messages.len());
    let now = at(course.now);
    let counts = course.queue.counts(now, &mut Vec::new());
    assert_eq!(copied.counts(now, &mut Vec::new()), counts);
    assert_eq!(copied.ready, course.queue.ready);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_standard_queue_is_like_the_naive_one(events in events()) {
        run(Kind::Standard, &events);
    }

    #[test]
    fn a_fifo_queue_is_like_the_naive_one(events in events()) {
        run(Kind::Fifo(Scope::Queue), &events);
    }

    #[test]
    fn a_queue_with_ids_by_group_is_like_the_naive_one(events in events()) {
        run(Kind::Fifo(Scope::Group), &events);
    }
}
