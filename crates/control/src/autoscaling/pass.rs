//! One pass over a group: what all steps that bring its instances in line share.

use crate::api::context::{Answered, Tx};
use crate::autoscaling::lookup::{asked_group, key, no_group, numbered, owned, put_group};
use crate::autoscaling::notices;
use crate::autoscaling::records::{Activity, Group, Member, Source};
use forebay_awswire::{ApiError, Service, timestamp};
use forebay_units::Wall;
use serde_json::{Value, json};
use std::sync::Arc;

/// How many activities of a group are kept. (AWS keeps them for six weeks.)
const KEPT_ACTIVITIES: u64 = 500;

/// A group whose instances are being brought in line. Changes are stored at once, except those of the group itself.
pub(super) struct Pass<'t, 'a> {
    pub(super) tx: &'t mut Tx<'a>,
    pub(super) group: Group,
    before: Group,
    changed: bool,
}

/// A new activity's data.
pub(super) struct Begun<'b> {
    pub(super) description: String,
    pub(super) cause: String,
    pub(super) status: &'static str,
    pub(super) progress: u32,
    pub(super) zone: &'b str,
    pub(super) subnet: Option<&'b str>,
}

impl<'t, 'a> Pass<'t, 'a> {
    /// Begins a pass; `None` if the group does not exist.
    pub(super) fn begin(tx: &'t mut Tx<'a>, name: &str) -> Option<Pass<'t, 'a>> {
        let group = Group::clone(tx.region().scaling_groups.get(name)?);
        Some(Pass {
            tx,
            before: group.clone(),
            group,
            changed: false,
        })
    }

    /// Like [`begin`](Pass::begin), with the error for a group that does not exist.
    pub(super) fn of(tx: &'t mut Tx<'a>, name: &str) -> Result<Pass<'t, 'a>, ApiError> {
        Pass::begin(tx, name).ok_or_else(|| no_group(name))
    }

    /// Begins a pass over the group that a call names.
    pub(super) fn asked(tx: &'t mut Tx<'a>) -> Result<Pass<'t, 'a>, ApiError> {
        let name = asked_group(tx)?.name.clone();
        Pass::of(tx, &name)
    }

    /// Stores the group. Returns whether anything changed.
    pub(super) fn finish(self) -> bool {
        let is_other = self.group != self.before;
        if is_other {
            put_group(self.tx, self.group);
        }
        is_other || self.changed
    }

    /// Removes a group that has been deleted, and its activities.
    pub(super) fn forget(self) {
        let name = &self.group.name;
        let numbers: Vec<u64> = owned(&self.tx.region().activities, name)
            .map(|activity| activity.number)
            .collect();
        let region = self.tx.region_mut();
        for number in numbers {
            region.activities.remove(&numbered(name, number));
        }
        region.scaling_groups.remove(name);
    }

    pub(super) fn now(&self) -> Wall {
        self.tx.request.now
    }

    /// The current time as causes of activities write it.
    pub(super) fn clock(&self) -> String {
        clock(self.now())
    }

    pub(super) fn is_suspended(&self, process: &str) -> bool {
        self.group.is_suspended(process)
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let members = self.tx.region().members_of(&self.group.name);
        members.map(|member| Member::clone(member)).collect()
    }

    /// Notes a change that was stored without the pass.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    pub(super) fn put(&mut self, member: Member) {
        let key = key(&member.group, &member.id);
        if self.tx.region().members.get(&key).map(|known| &**known) == Some(&member) {
            return;
        }
        self.changed = true;
        self.tx.region_mut().members.insert(key, Arc::new(member));
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.changed = true;
        self.tx.region_mut().members.remove(&key(&self.group.name, id));
    }

    /// What instances are launched from now: what the instance refresh in progress says, or else the group.
    pub(super) fn source(&self) -> Source {
        let refresh = self.tx.region().active_refresh(&self.group.name);
        let source = refresh.and_then(|refresh| refresh.source.clone());
        source.unwrap_or_else(|| self.group.source.clone())
    }

    /// The current capacity, including instances that are about to serve.
    pub(super) fn capacity(&self) -> u32 {
        let members = self.tx.region().members_of(&self.group.name);
        members
            .filter(|member| member.state.counts())
            .map(|member| member.weight.unwrap_or(1))
            .sum()
    }

    /// The part of the capacity that replaces instances which have not left yet.
    pub(super) fn ahead(&self) -> u32 {
        let members = self.members();
        let counts = |id: &str| {
            members
                .iter()
                .any(|member| member.id == id && member.state.counts())
        };
        let ahead = members.iter().filter(|member| {
            member.state.counts()
                && member
                    .replaces
                    .as_ref()
                    .is_some_and(|replaced| counts(&replaced.id))
        });
        ahead.map(|member| member.weight.unwrap_or(1)).sum()
    }

    /// Calls another service on behalf of the group.
    pub(super) fn call(
        &mut self,
        service: Service,
        operation: &str,
        input: Value,
        run: fn(&mut Tx<'_>) -> Answered,
    ) -> Answered {
        let answer = self.tx.nested(service, operation, input, run)?;
        self.changed = true;
        Ok(answer)
    }

    /// Begins an activity. Returns its number.
    pub(super) fn start(&mut self, begun: Begun<'_>) -> u64 {
        let number = self.group.next_activity;
        self.group.next_activity += 1;
        let mut details = json!({"Availability Zone": begun.zone});
        if let Some(subnet) = begun.subnet {
            details["Subnet ID"] = json!(subnet);
        }
        let activity = Activity {
            id: uuid(self.tx),
            number,
            group: self.group.name.clone(),
            group_arn: self.group.arn.clone(),
            description: begun.description,
            cause: begun.cause,
            began: self.now(),
            ended: None,
            status: begun.status.to_owned(),
            message: None,
            progress: begun.progress,
            details: details.to_string(),
        };
        let (kept, name) = (number.checked_sub(KEPT_ACTIVITIES), self.group.name.clone());
        let activities = &mut self.tx.region_mut().activities;
        activities.insert(numbered(&name, number), Arc::new(activity));
        if let Some(old) = kept {
            activities.remove(&numbered(&name, old));
        }
        self.changed = true;
        number
    }

    /// The activity with that number.
    pub(super) fn activity(&self, number: u64) -> Option<Arc<Activity>> {
        let key = numbered(&self.group.name, number);
        self.tx.region().activities.get(&key).cloned()
    }

    /// Updates the status of an activity.
    pub(super) fn progress(&mut self, number: Option<u64>, status: &str, progress: u32) {
        self.change_activity(number, |activity, _| {
            status.clone_into(&mut activity.status);
            activity.progress = progress;
        });
    }

    /// Ends an activity.
    pub(super) fn end(&mut self, number: Option<u64>, status: &str, message: Option<String>) {
        self.change_activity(number, |activity, now| {
            status.clone_into(&mut activity.status);
            activity.message = message;
            activity.progress = 100;
            activity.ended = Some(now);
        });
        if let Some(ended) = number.and_then(|number| self.activity(number)) {
            notices::of_activity(self.tx, &self.group, &ended);
        }
        self.group.quiet_since = Some(self.now());
    }

    fn change_activity(&mut self, number: Option<u64>, change: impl FnOnce(&mut Activity, Wall)) {
        let now = self.now();
        let Some(known) = number.and_then(|number| self.activity(number)) else {
            return;
        };
        let mut activity = Activity::clone(&known);
        change(&mut activity, now);
        if activity != *known {
            self.changed = true;
            let key = numbered(&activity.group, activity.number);
            self.tx.region_mut().activities.insert(key, Arc::new(activity));
        }
    }
}

/// A time as causes of activities write it.
pub(super) fn clock(at: Wall) -> String {
    timestamp(at.seconds() as f64).replace(".000Z", "Z")
}

/// A random UUID of version 4.
pub(super) fn uuid(tx: &mut Tx<'_>) -> String {
    crate::ids::uuid(tx.rng)
}
