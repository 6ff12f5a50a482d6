//! At an agent: a client that leaves does not stop its application, so the slot stays busy until that is done.

use crate::session::RequestContext;
use crate::tls::TargetStream;
use forebay_node::Reason;
use std::rc::Rc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

impl<W> RequestContext<'_, W> {
    /// The target's connection ends before its answer does: keeps the request's slot, if it holds one, until its target has closed
    /// the connection, or for an idle timeout.
    ///
    /// The target is told by the end of what it may read, as by a client that closes its half: one that looks out for that may
    /// stop at once, one that does not answers first. What it still sends goes nowhere.
    pub(super) fn outlive(&mut self, mut stream: TargetStream, reason: Reason) {
        let left = matches!(
            reason,
            Reason::ClientGone | Reason::ClientSilent | Reason::BodyBroken | Reason::DeregistrationOver
        );
        if self.listener.permit_issuer.is_none() || !left {
            return;
        }
        let Some(working) = self.exchange.take_work_guard() else {
            return;
        };
        let (worker, listener_address) = (
            Rc::clone(self.session.worker),
            self.session.connection.listener_address,
        );
        let within = self.idle_timeout();
        tokio::task::spawn_local(async move {
            let deadline = worker.sweep.deadline(listener_address);
            deadline.arm(worker.now() + within, false);
            let ended = deadline.until(async {
                let mut rest = vec![0; 4096];
                if stream.shutdown().await.is_ok() {
                    while let Ok(1..) = stream.read(&mut rest).await {}
                }
            });
            let _ = ended.await;
            drop(working);
        });
    }
}
