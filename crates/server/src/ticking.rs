//! Carries out what is due by time.

use crate::fleet::Instances;
use forebay_gateway::Writer;
use forebay_proxy::Drained;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Interval between two looks at what is due by time alone.
const TICK: Duration = Duration::from_secs(1);
/// Most reports of drained targets that one look handles.
const REPORTS: usize = 1024;

/// Carries out what is due each second, and at once when targets have drained or an instance was seen in another phase.
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
            tracing::warn!(%error, "changes that are due could not be stored; they stay due");
        }
    }
}
