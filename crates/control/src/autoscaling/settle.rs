//! Brings a group's instances in line with what the group should be, pass by pass, until nothing is left to do at this
//! time.

use crate::api::context::Tx;
use crate::autoscaling::desired::raise;
use crate::autoscaling::lookup::texts;
use crate::autoscaling::needs::needs_settling;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::{capacity, groups, health, refreshing, replacing, transitions, warm_pools};
use forebay_awswire::Service;
use std::collections::BTreeSet;

/// The most passes in a row: a launch needs a few. The bound keeps steps that undo each other from blocking the state's
/// writer; the next tick continues.
const PASSES: usize = 12;

/// Settles the group that a call to Auto Scaling names or whose instance it names. If it names neither (a policy's ARN,
/// tags), all groups that need it.
///
/// A call to EC2 that names instances of groups is followed, too, so that what it has terminated is replaced at once.
pub(crate) fn follow(tx: &mut Tx<'_>) {
    match tx.request.service {
        Service::AutoScaling => {}
        Service::Ec2 => return follow_instances(tx),
        _ => return,
    }
    let given = &tx.request.input;
    let by_instance = || {
        let id = given["InstanceId"]
            .as_str()
            .or_else(|| given["InstanceIds"][0].as_str())?;
        Some(tx.region().member(id)?.group.clone())
    };
    let named = given["AutoScalingGroupName"].as_str().map(str::to_owned);
    match named.or_else(by_instance) {
        Some(name) => settle(tx, &name),
        None => {
            let all: Vec<String> = tx.region().scaling_groups.keys().cloned().collect();
            for name in all {
                let group = tx.region().scaling_groups.get(&name);
                if group.is_some_and(|group| needs_settling(tx, group)) {
                    settle(tx, &name);
                }
            }
        }
    }
}

fn follow_instances(tx: &mut Tx<'_>) {
    let ids = texts(&tx.request.input["InstanceIds"]);
    let groups: BTreeSet<String> = ids
        .iter()
        .filter_map(|id| Some(tx.region().member(id)?.group.clone()))
        .collect();
    groups.iter().for_each(|name| settle(tx, name));
}

/// Does everything for a group that can be done now.
pub(crate) fn settle(tx: &mut Tx<'_>, name: &str) {
    for _ in 0..PASSES {
        if !pass(tx, name) {
            return;
        }
    }
}

/// Takes one step for each instance. Returns whether anything changed.
fn pass(tx: &mut Tx<'_>, name: &str) -> bool {
    let Some(mut pass) = Pass::begin(tx, name) else {
        return false;
    };
    // The order matters. Health comes after transitions, so that an instance is judged in the pass in which it comes
    // into service. Replacements come before capacity, which must not count a replacement as surplus; raising the
    // desired capacity does, too, so that one pass launches all that is missing. The warm pool gets what is left.
    transitions::advance(&mut pass);
    health::check(&mut pass);
    if groups::is_emptied(&pass) {
        pass.forget();
        return true;
    }
    refreshing::advance(&mut pass);
    replacing::advance(&mut pass);
    let now = pass.now();
    raise(&mut pass.group, now);
    capacity::adjust(&mut pass);
    warm_pools::fill(&mut pass);
    pass.finish()
}
