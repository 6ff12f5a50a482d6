//! Metrics of instances that run here, for each instance and for its Auto Scaling group as a whole.

use crate::State;
use crate::autoscaling::lookup::key;
use crate::autoscaling::records::{Group, Member};
use crate::ec2::instance_types::of_name;
use crate::fleet::{Shape, Usage};
use crate::ports::{Datapoint, Series};
use crate::tables::Region;
use core::time::Duration;
use forebay_signals::Summary;
use forebay_units::Wall;
use std::collections::BTreeMap;

/// The usage of instances at two times.
pub struct Used<'u> {
    /// The usage of each instance at the first time.
    pub before: &'u BTreeMap<String, Usage>,
    /// The usage of each instance now.
    pub now: &'u BTreeMap<String, Usage>,
    /// The time in between.
    pub time: Duration,
}

/// Datapoints of processor usage: the percentage of what each instance may use.
pub fn processor_datapoints(state: &State, shapes: &[Shape], used: &Used<'_>, at: Wall) -> Vec<Datapoint> {
    let mut points = Vec::new();
    for (id, now) in used.now {
        let before = used.before.get(id).and_then(|before| before.processor);
        let (Some(before), Some(now)) = (before, now.processor) else {
            continue;
        };
        let Some((name, region)) = region_of(state, id) else {
            continue;
        };
        let vcpus = region
            .instances
            .get(id)
            .and_then(|instance| of_name(shapes, &instance.instance_type))
            .map_or(1, |shape| shape.vcpus.max(1));
        let share = now.saturating_sub(before).as_secs_f64() / used.time.as_secs_f64().max(1e-3);
        let percent = (100.0 * share / f64::from(vcpus)).min(100.0);
        let of = Of {
            region_name: name,
            region,
            id,
            at,
        };
        of.add(&mut points, "CPUUtilization", "Percent", percent);
    }
    points
}

/// Datapoints of the bytes that each instance received and sent.
pub fn network_datapoints(state: &State, used: &Used<'_>, at: Wall) -> Vec<Datapoint> {
    let mut points = Vec::new();
    for (id, now) in used.now {
        let before = used.before.get(id).and_then(|before| before.network);
        let (Some(before), Some(now)) = (before, now.network) else {
            continue;
        };
        let Some((name, region)) = region_of(state, id) else {
            continue;
        };
        let of = Of {
            region_name: name,
            region,
            id,
            at,
        };
        let bytes = |now: u64, before: u64| now.saturating_sub(before) as f64;
        of.add(&mut points, "NetworkIn", "Bytes", bytes(now.0, before.0));
        of.add(&mut points, "NetworkOut", "Bytes", bytes(now.1, before.1));
    }
    points
}

fn region_of<'s>(state: &'s State, id: &str) -> Option<(&'s str, &'s Region)> {
    state
        .regions()
        .find(|(_, region)| region.instances.contains_key(id))
}

/// What datapoints belong to.
struct Of<'o> {
    region_name: &'o str,
    region: &'o Region,
    id: &'o str,
    at: Wall,
}

impl Of<'_> {
    fn add(&self, points: &mut Vec<Datapoint>, name: &str, unit: &str, value: f64) {
        points.push(self.point(name, unit, value, ("InstanceId", self.id)));
        if let Some(group) = self.group() {
            points.push(self.point(name, unit, value, ("AutoScalingGroupName", group)));
        }
    }

    fn point(&self, name: &str, unit: &str, value: f64, dimension: (&str, &str)) -> Datapoint {
        Datapoint {
            series: Series {
                region: self.region_name.to_owned(),
                namespace: "AWS/EC2".to_owned(),
                name: name.to_owned(),
                dimensions: vec![(dimension.0.to_owned(), dimension.1.to_owned())],
            },
            at: self.at,
            unit: Some(unit.to_owned()),
            summary: Summary::of(value, 1.0),
            high_resolution: true,
        }
    }

    /// Its group, if it is ready there and has warmed up: an instance that is warming up says nothing about the others'
    /// load.
    fn group(&self) -> Option<&str> {
        let tags = self.region.tags.get(self.id)?;
        let name = tags.get("aws:autoscaling:groupName")?;
        let group: &Group = self.region.scaling_groups.get(name)?;
        let member: &Member = self.region.members.get(&key(name, self.id))?;
        let warmup = Duration::from_secs(group.warmup.unwrap_or(0).into());
        let warm = member
            .ready
            .is_some_and(|ready| self.at.since(ready) >= warmup && self.at >= ready);
        (warm && member.state.counts()).then_some(&group.name)
    }
}
