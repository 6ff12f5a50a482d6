//! A group's health: when too few targets are healthy, all of them get traffic (fail open).

/// The targets that get traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The healthy ones.
    Healthy,
    /// All registered ones (fail open).
    All,
    /// There are none.
    None,
}

/// Why these targets get traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoutingReason {
    /// Enough targets are healthy.
    EnoughHealthy,
    /// No target is healthy.
    NoneHealthy,
    /// Fewer healthy targets than `unhealthy_state_routing.minimum_healthy_targets.count`.
    BelowMinimumCount,
    /// A smaller fraction than `unhealthy_state_routing.minimum_healthy_targets.percentage`.
    BelowMinimumPercentage,
    /// The group (or the zone) has no targets.
    Empty,
}

impl RoutingReason {
    /// The word for the header that reports fail open.
    pub const fn word(self) -> &'static str {
        match self {
            RoutingReason::EnoughHealthy => "enough-healthy",
            RoutingReason::NoneHealthy => "none-healthy",
            RoutingReason::BelowMinimumCount => "below-minimum-count",
            RoutingReason::BelowMinimumPercentage => "below-minimum-percentage",
            RoutingReason::Empty => "empty",
        }
    }
}

/// The counts that routing is decided by. Draining targets are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHealth {
    /// Registered targets of the group, or of the zone when cross-zone is off.
    pub registered: u32,
    /// The healthy ones among them.
    pub healthy: u32,
    /// With fewer healthy targets than this, all get traffic; at least 1.
    pub minimum_count: u32,
    /// With a smaller percentage of healthy targets than this, all get traffic; 0 for no minimum.
    pub minimum_percent: u32,
}

impl GroupHealth {
    /// Whether enough targets are healthy for the zone's node to stay in DNS, by these minima; zero for no minimum.
    pub fn stays_in_dns(self, minimum_count: u32, minimum_percent: u32) -> bool {
        let share = u64::from(self.healthy) * 100;
        self.healthy >= minimum_count && share >= u64::from(minimum_percent) * u64::from(self.registered)
    }

    /// The targets that get traffic, and the reason. Either threshold alone makes the group fail open.
    pub fn routing(self) -> (Routing, RoutingReason) {
        let share = u64::from(self.healthy) * 100;
        let wanted = u64::from(self.minimum_percent) * u64::from(self.registered);
        match self {
            GroupHealth { registered: 0, .. } => (Routing::None, RoutingReason::Empty),
            GroupHealth { healthy: 0, .. } => (Routing::All, RoutingReason::NoneHealthy),
            _ if self.healthy < self.minimum_count => (Routing::All, RoutingReason::BelowMinimumCount),
            _ if share < wanted => (Routing::All, RoutingReason::BelowMinimumPercentage),
            _ => (Routing::Healthy, RoutingReason::EnoughHealthy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_stays_in_dns_while_both_minima_are_met() {
        let stays = |registered, healthy, count, percent| {
            GroupHealth {
                registered,
                healthy,
                minimum_count: 1,
                minimum_percent: 0,
            }
            .stays_in_dns(count, percent)
        };
        assert!(stays(3, 1, 1, 0) && !stays(3, 0, 1, 0) && !stays(0, 0, 1, 0));
        assert!(stays(3, 0, 0, 0), "off and off");
        assert!(stays(4, 2, 1, 50) && !stays(4, 1, 1, 50) && !stays(4, 3, 4, 0));
    }

    #[test]
    fn either_threshold_fails_open() {
        let routing = |registered, healthy, minimum_count, minimum_percent| {
            GroupHealth {
                registered,
                healthy,
                minimum_count,
                minimum_percent,
            }
            .routing()
        };
        assert_eq!(routing(0, 0, 1, 0), (Routing::None, RoutingReason::Empty));
        assert_eq!(routing(3, 0, 1, 0), (Routing::All, RoutingReason::NoneHealthy));
        assert_eq!(
            routing(3, 1, 1, 0),
            (Routing::Healthy, RoutingReason::EnoughHealthy)
        );
        assert_eq!(
            routing(3, 1, 2, 0),
            (Routing::All, RoutingReason::BelowMinimumCount)
        );
        assert_eq!(
            routing(4, 1, 1, 50),
            (Routing::All, RoutingReason::BelowMinimumPercentage)
        );
        assert_eq!(
            routing(4, 2, 1, 50),
            (Routing::Healthy, RoutingReason::EnoughHealthy)
        );
    }
}
