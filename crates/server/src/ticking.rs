//! Has what is due by time done.

use crate::fleet::Instances;
use forebay_gateway::Writer;
use forebay_proxy::Drained;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Time between two looks at what is due by time alone.
const TICK: Duration = Duration::from_secs(1);
/// Reports of drained targets that one look answers.
const REPORTS: usize = 1024;

/// Has what is due done each second, and at once whenever targets have drained or instances are seen in another phase.
pub(crate) async fn tick(
    writer: Writer,
    mut drained: mpsc::UnboundedReceiver<Drained>,
    instances: Arc<Instances>,
) {
    let mut reports = Vec::new();
    let mut seconds = tokio::time::interval(TICK);
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            count = drained.recv_many(&mut reports, REPORTS) => if count == 0 { return },
            _ = seconds.tick() => {}
            () = instances.changed() => {}
        }
        reports.clear();
        if let Err(error) = writer.tick().await {
            // It stays due, and the node reports its targets again after a while.
            tracing::warn!(%error, "what was due could not be done");
        }
    }
}
