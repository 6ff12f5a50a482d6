//! Behind an agent, a client that leaves does not stop its application, so the slot stays busy until the application is
//! done.

use crate::session::RequestContext;
use crate::tls::TargetStream;
use forebay_node::Reason;
use std::rc::Rc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

impl<W> RequestContext<'_, W> {
    /// Called when the target's connection ends before its answer does: keeps the request's slot, if it holds one, until
    /// the target has closed the connection or an idle timeout has passed.
    ///
    /// The target sees the end of its input, as with a client that closes its half. An application that watches for that
    /// may stop at once; any other answers first. What it still sends is dropped.
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
