//! At an agent: a client that leaves does not stop its application, so the slot stays busy until that is done.

use crate::place::Place;
use crate::tls::TargetStream;
use crate::worker::Worker;
use forebay_node::{Exchange, Reason};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Keeps the request's slot, if it holds one, until its target has closed the connection, or for `within`.
///
/// The target is told by the end of what it may read, as by a client that closes its half: one that looks out for that may
/// stop at once, one that does not answers first. What it still sends goes nowhere.
pub(super) fn outlive(
    worker: &Rc<Worker>,
    place: Place,
    exchange: &mut Exchange,
    mut stream: TargetStream,
    reason: Reason,
    within: Duration,
) {
    let left = matches!(
        reason,
        Reason::ClientGone | Reason::ClientSilent | Reason::BodyBroken | Reason::DeregistrationOver
    );
    let Some(working) = left.then(|| exchange.take_working()).flatten() else {
        return;
    };
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let slot = worker.sweep.slot(place);
        slot.arm(worker.now() + within, false);
        let ended = slot.until(async {
            let mut rest = vec![0; 4096];
            if stream.shutdown().await.is_ok() {
                while let Ok(1..) = stream.read(&mut rest).await {}
            }
        });
        let _ = ended.await;
        drop(working);
    });
}
