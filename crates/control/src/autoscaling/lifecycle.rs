//! Lifecycle states of an instance in a group, in AWS's words.

use serde::{Deserialize, Serialize};

/// A lifecycle state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Lifecycle {
    Pending,
    PendingWait,
    PendingProceed,
    InService,
    Terminating,
    TerminatingWait,
    TerminatingProceed,
    Detaching,
    EnteringStandby,
    Standby,
    WarmedPending,
    WarmedPendingWait,
    WarmedPendingProceed,
    WarmedStopped,
    WarmedRunning,
    WarmedHibernated,
    WarmedTerminating,
    WarmedTerminatingWait,
    WarmedTerminatingProceed,
}

impl Lifecycle {
    /// AWS's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Lifecycle::Pending => "Pending",
            Lifecycle::PendingWait => "Pending:Wait",
            Lifecycle::PendingProceed => "Pending:Proceed",
            Lifecycle::InService => "InService",
            Lifecycle::Terminating => "Terminating",
            Lifecycle::TerminatingWait => "Terminating:Wait",
            Lifecycle::TerminatingProceed => "Terminating:Proceed",
            Lifecycle::Detaching => "Detaching",
            Lifecycle::EnteringStandby => "EnteringStandby",
            Lifecycle::Standby => "Standby",
            Lifecycle::WarmedPending => "Warmed:Pending",
            Lifecycle::WarmedPendingWait => "Warmed:Pending:Wait",
            Lifecycle::WarmedPendingProceed => "Warmed:Pending:Proceed",
            Lifecycle::WarmedStopped => "Warmed:Stopped",
            Lifecycle::WarmedRunning => "Warmed:Running",
            Lifecycle::WarmedHibernated => "Warmed:Hibernated",
            Lifecycle::WarmedTerminating => "Warmed:Terminating",
            Lifecycle::WarmedTerminatingWait => "Warmed:Terminating:Wait",
            Lifecycle::WarmedTerminatingProceed => "Warmed:Terminating:Proceed",
        }
    }

    /// The state that it is moving to, as the metadata service reports it.
    pub const fn target(self) -> &'static str {
        match self {
            Lifecycle::Pending
            | Lifecycle::PendingWait
            | Lifecycle::PendingProceed
            | Lifecycle::InService => "InService",
            Lifecycle::Terminating | Lifecycle::TerminatingWait | Lifecycle::TerminatingProceed => {
                "Terminated"
            }
            Lifecycle::Detaching => "Detached",
            Lifecycle::EnteringStandby | Lifecycle::Standby => "Standby",
            Lifecycle::WarmedPending | Lifecycle::WarmedPendingWait | Lifecycle::WarmedPendingProceed => {
                "Warmed:Stopped"
            }
            Lifecycle::WarmedStopped | Lifecycle::WarmedRunning | Lifecycle::WarmedHibernated => self.name(),
            Lifecycle::WarmedTerminating
            | Lifecycle::WarmedTerminatingWait
            | Lifecycle::WarmedTerminatingProceed => "Warmed:Terminated",
        }
    }

    /// Whether it counts as capacity: it serves, or is about to.
    pub const fn counts(self) -> bool {
        matches!(
            self,
            Lifecycle::Pending | Lifecycle::PendingWait | Lifecycle::PendingProceed | Lifecycle::InService
        )
    }

    /// Whether the instance is in the warm pool.
    pub const fn is_warmed(self) -> bool {
        matches!(
            self,
            Lifecycle::WarmedPending
                | Lifecycle::WarmedPendingWait
                | Lifecycle::WarmedPendingProceed
                | Lifecycle::WarmedStopped
                | Lifecycle::WarmedRunning
                | Lifecycle::WarmedHibernated
                | Lifecycle::WarmedTerminating
                | Lifecycle::WarmedTerminatingWait
                | Lifecycle::WarmedTerminatingProceed
        )
    }

    /// Whether the instance is leaving for good.
    pub const fn leaves(self) -> bool {
        matches!(
            self,
            Lifecycle::Terminating
                | Lifecycle::TerminatingWait
                | Lifecycle::TerminatingProceed
                | Lifecycle::WarmedTerminating
                | Lifecycle::WarmedTerminatingWait
                | Lifecycle::WarmedTerminatingProceed
                | Lifecycle::Detaching
        )
    }
}
