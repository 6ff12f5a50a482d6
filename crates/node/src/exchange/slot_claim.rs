//! One request's claim to a slot.

use crate::request::{Request, Speaks};
use crate::snapshot::ListenerView;
use crate::waiting::Waiting;
use core::time::Duration;
use forebay_model::{Priority, QueueSettings};
use forebay_units::Mono;

/// One request's claim to a slot, kept from its arrival on.
#[derive(Debug)]
pub(super) struct SlotClaim {
    pub(super) class: u64,
    pub(super) weight: u32,
    pub(super) since: Mono,
    pub(super) deadline: Mono,
    pub(super) waiting: Option<Waiting>,
    /// It had a slot before, so it goes to the front.
    pub(super) front: bool,
    /// Targets that pushed it back.
    pub(super) pushed: u8,
}

/// A class's number: FNV-1a of its name. If two names collide, their classes share one share and nothing worse happens.
pub(super) fn number(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Parses a gRPC timeout: up to eight digits and a unit.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number: u64 = core::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number.checked_mul(3600)?),
        b'M' => Duration::from_secs(number.checked_mul(60)?),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

impl SlotClaim {
    /// The class of a request and how long it may wait: as long as its group says, but not past a gRPC call's own
    /// deadline.
    pub(super) fn of(
        now: Mono,
        request: &Request<'_>,
        queue: &QueueSettings,
        listener: &ListenerView,
        rule: Priority,
    ) -> SlotClaim {
        let weight_of = |name: &[u8]| {
            let mut weights = queue.weights.iter();
            weights
                .find(|entry| entry.0.as_bytes() == name)
                .map_or(1, |entry| entry.1)
        };
        let mut class = (0, 1);
        let mut join = |name: &[u8]| {
            class = (number(name), weight_of(name));
            true
        };
        let classes = &listener.settings().classes;
        let of_rule = classes.binary_search_by_key(&rule, |entry| entry.0);
        if let Ok(at) = of_rule {
            join(classes[at].1.as_bytes());
        } else if let Some(header) = &queue.class_header {
            request.facts.headers.any(header, &mut join);
        }
        let mut wait = queue.wait;
        if matches!(request.speaks, Speaks::Http2 { grpc: true, .. }) {
            request.facts.headers.any("grpc-timeout", &mut |value| {
                wait = grpc_timeout(value).map_or(wait, |timeout| timeout.min(wait));
                true
            });
        }
        SlotClaim {
            class: class.0,
            weight: class.1,
            since: now,
            deadline: now + wait,
            waiting: None,
            front: false,
            pushed: 0,
        }
    }
}

impl SlotClaim {
    /// Gives up the place in the queue, if there is one.
    pub(super) fn leave(&mut self) {
        self.waiting = None;
    }
}
