//! Finds instances by id, and maintains them outside of calls: their address follows their tag, and those that were
//! terminated long ago are removed.

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error};
use crate::ec2::records::Instance;
use crate::own_tags::addresses::OF_INSTANCE;
use crate::tables::Region;
use core::net::Ipv4Addr;
use core::time::Duration;
use forebay_awswire::ApiError;
use std::sync::Arc;

/// How long a terminated instance is still described.
const AFTERLIFE: Duration = Duration::from_secs(3600);

/// Removes instances that were terminated long ago.
pub(crate) fn bury(tx: &mut Tx<'_>) {
    let now = tx.request.now;
    let long_ago = |instance: &Arc<Instance>| instance.terminated.is_some_and(|at| now.since(at) > AFTERLIFE);
    let gone: Vec<String> = tx
        .region()
        .instances
        .values()
        .filter(|instance| long_ago(instance))
        .map(|instance| instance.id.clone())
        .collect();
    for id in gone {
        let region = tx.region_mut();
        region.instances.remove(&id);
        region.tags.remove(&id);
        let targets: Vec<String> = region
            .targets
            .values()
            .filter(|target| target.id == id)
            .map(|target| target.key())
            .collect();
        for key in targets {
            region.targets.remove(&key);
        }
    }
}

/// Updates an instance's address: the one in its tag, or else its address of the pool.
pub(crate) fn readdress(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let Some(mut instance) = tx.region().instances.get(id).cloned() else {
        return Ok(());
    };
    let told = tx
        .region()
        .tags
        .get(id)
        .and_then(|tags| tags.get(OF_INSTANCE).cloned());
    let address = match told {
        Some(text) => text.parse().map_err(|_| {
            bad(format!(
                "The tag {OF_INSTANCE} must be an IPv4 address, not '{text}'"
            ))
        })?,
        None => held(tx.region(), id).unwrap_or(instance.address),
    };
    if address != instance.address {
        Arc::make_mut(&mut instance).address = address;
        tx.region_mut().instances.insert(id.to_owned(), instance);
    }
    Ok(())
}

/// An instance's address of the pool.
pub(crate) fn held(region: &Region, id: &str) -> Option<Ipv4Addr> {
    region
        .addresses
        .iter()
        .find(|(_, address)| address.owner == id)
        .and_then(|(text, _)| text.parse().ok())
}

/// The instances that are still described. Those that were terminated long ago are left out here, and removed by a
/// later write.
pub(crate) fn alive<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a Arc<Instance>> {
    let now = view.request.now;
    let instances = view.region().instances.values();
    instances.filter(move |instance| instance.terminated.is_none_or(|at| now.since(at) <= AFTERLIFE))
}

/// The instance with that id.
pub(crate) fn instance(region: &Region, id: &str) -> Result<Arc<Instance>, ApiError> {
    if !id.starts_with("i-") {
        return Err(error(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let missing = || {
        error(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )
    };
    region.instances.get(id).cloned().ok_or_else(missing)
}
