//! What always holds of the slots, checked by tests.

use super::TargetSlots;
use crate::messages::Limit;

impl<T: Clone> TargetSlots<T> {
    /// Panics if totals or orders disagree with the entries.
    pub(crate) fn check_invariants(&self) {
        let targets = || {
            (0_u32..)
                .zip(&self.targets)
                .filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
        };
        assert_eq!(
            self.busy,
            targets().map(|(_, entry)| u64::from(entry.busy)).sum::<u64>()
        );
        assert_eq!(
            self.free,
            targets().map(|(_, entry)| u64::from(entry.free)).sum::<u64>()
        );
        assert_eq!(targets().count(), self.by_key.len());
        for (number, entry) in targets() {
            assert_eq!(entry.free, entry.free_now(self.limit));
            assert_eq!(self.by_key.get(&entry.key), Some(&number));
            if let Limit::Fixed(limit) = self.limit {
                assert!(
                    entry.free + entry.busy <= limit.saturating_mul(entry.weight).max(entry.busy),
                    "more slots than the limit"
                );
            }
        }
    }
}
