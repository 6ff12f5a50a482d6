//! Derives from the state which instances a launcher should run.

use crate::State;
use crate::autoscaling::lookup::key;
use crate::ec2::records::Instance;
use crate::fleet::{WantedInstance, WantedPhase};
use crate::tables::Region;

impl State {
    /// All instances that a launcher should know, in no particular order.
    pub fn fleet(&self) -> Vec<WantedInstance> {
        let mut fleet = Vec::new();
        for (name, region) in self.regions() {
            let booted = region.instances.values().filter(|instance| instance.run > 0);
            fleet.extend(booted.filter_map(|instance| wanted(name, region, instance)));
        }
        fleet
    }
}

fn wanted(region_name: &str, region: &Region, instance: &Instance) -> Option<WantedInstance> {
    let phase = match instance.state.as_str() {
        "pending" | "running" if instance.paused => WantedPhase::Paused,
        "pending" | "running" => WantedPhase::Running,
        "stopping" | "stopped" => WantedPhase::Stopped,
        "shutting-down" => WantedPhase::Gone,
        _ => return None,
    };
    let tags = region.tags.get(&instance.id);
    let group_name = tags
        .and_then(|tags| tags.get("aws:autoscaling:groupName"))
        .cloned();
    let member = group_name
        .as_ref()
        .and_then(|name| region.members.get(&key(name, &instance.id)));
    Some(WantedInstance {
        id: instance.id.clone(),
        run: instance.run,
        phase,
        region: region_name.to_owned(),
        zone: instance.zone.clone(),
        address: instance.address,
        image_id: instance.image_id.clone(),
        instance_type: instance.instance_type.clone(),
        user_data: instance.user_data.clone(),
        profile: instance.profile.clone(),
        is_spot: instance.is_spot,
        group_name,
        target_lifecycle_state: member.map(|member| member.state.target().to_owned()),
        interrupted_at: instance.interrupted_at,
        tags: tags.map(|tags| (**tags).clone()).unwrap_or_default(),
        launched: instance.launched,
    })
}
