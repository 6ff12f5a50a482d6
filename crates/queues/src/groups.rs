//! Message groups by name, each with its messages in order. A group exists while it has messages.

use crate::message::{NO_GROUP, Sequence};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    /// Number of its messages in any state.
    pub(crate) members: usize,
    /// Its messages that are not in flight (FIFO queues).
    pub(crate) waiting: BTreeSet<Sequence>,
    /// Number of its messages in flight. While there are any, the group offers no other.
    pub(crate) in_flight: usize,
    /// Its message that may be received next, as it stands in `Queue::ready`.
    pub(crate) offered: Option<Sequence>,
}

/// All groups that have messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    by_name: BTreeMap<Arc<str>, u32>,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
}

impl Groups {
    /// The index of this group, with one member added.
    pub(crate) fn join(&mut self, name: Option<&Arc<str>>) -> u32 {
        let Some(name) = name else { return NO_GROUP };
        if let Some(&place) = self.by_name.get(name) {
            if let Some(group) = self.at_mut(place) {
                group.members += 1;
            }
            return place;
        }
        let group = Group {
            name: Arc::clone(name),
            members: 1,
            waiting: BTreeSet::new(),
            in_flight: 0,
            offered: None,
        };
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.groups.push(None);
                (self.groups.len() - 1) as u32
            }
        };
        self.groups[place as usize] = Some(group);
        self.by_name.insert(Arc::clone(name), place);
        place
    }

    /// Removes one member from a group.
    pub(crate) fn leave(&mut self, place: u32) {
        let Some(slot) = self.groups.get_mut(place as usize) else {
            return;
        };
        let Some(group) = slot else { return };
        group.members -= 1;
        if group.members == 0 {
            self.by_name.remove(&group.name);
            *slot = None;
            // No message refers to the place any longer, so the next group may have it.
            self.free.push(place);
        }
    }

    pub(crate) fn at(&self, place: u32) -> Option<&Group> {
        self.groups.get(place as usize)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, place: u32) -> Option<&mut Group> {
        self.groups.get_mut(place as usize)?.as_mut()
    }

    pub(crate) fn name(&self, place: u32) -> Option<Arc<str>> {
        Some(Arc::clone(&self.at(place)?.name))
    }
}
