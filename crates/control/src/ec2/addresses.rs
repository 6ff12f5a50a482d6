//! Secondary addresses and prefixes of instances' interfaces: assign and unassign.
//!
//! An address of the pool is reserved in its subnet's slice. All others stand for something elsewhere, such as the pods
//! of a cluster, and are only recorded (docs/decisions/0024).

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error, missing};
use crate::ec2::interfaces::{interface_id, is_of_node};
use crate::ec2::listing::input;
use crate::ec2::records::Instance;
use crate::records::Address;
use core::net::{IpAddr, Ipv4Addr};
use forebay_awswire::ApiError;
use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most addresses and prefixes of one interface, including its primary address. AWS's largest types have as many;
/// since a type is only a name here, the limit is the same for all.
const INTERFACE_LIMIT: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddressesInput {
    network_interface_id: String,
    #[serde(default)]
    private_ip_addresses: Vec<String>,
    #[serde(default)]
    secondary_private_ip_address_count: Option<i64>,
    #[serde(default)]
    ipv4_prefixes: Vec<String>,
    #[serde(default)]
    ipv4_prefix_count: Option<i64>,
    #[serde(default)]
    allow_reassignment: bool,
}

/// The instance that has this interface.
fn owner(view: &View<'_>, id: &str) -> Result<Arc<Instance>, ApiError> {
    if !id.starts_with("eni-") {
        let text = format!("Invalid id: \"{id}\" (expecting \"eni-...\")");
        return Err(error("InvalidNetworkInterfaceId.Malformed", text));
    }
    let mut instances = view.region().instances.values();
    let found = instances
        .find(|instance| instance.state != "terminated" && interface_id(view.request.region, instance) == id);
    if let Some(instance) = found {
        return Ok(Arc::clone(instance));
    }
    if is_of_node(view, id) {
        // Interfaces of load balancers are managed by Elastic Load Balancing alone.
        let text = "You do not have permission to access the specified resource.";
        return Err(error("AuthFailure", text));
    }
    Err(error(
        "InvalidNetworkInterfaceID.NotFound",
        format!("The networkInterface ID '{id}' does not exist"),
    ))
}

fn address(text: &str) -> Result<Ipv4Addr, ApiError> {
    text.parse()
        .map_err(|_| bad(format!("invalid value for parameter address: {text}")))
}

fn prefix(text: &str) -> Result<Ipv4Net, ApiError> {
    let net: Result<Ipv4Net, _> = text.parse();
    net.map(|net| net.trunc()).map_err(|_| {
        bad(format!(
            "Value ({text}) for parameter ipv4Prefix is invalid. This is not a valid CIDR block."
        ))
    })
}

/// Reads a count: absent, or at least one.
fn count(name: &str, given: Option<i64>) -> Result<Option<usize>, ApiError> {
    given
        .map(|given| {
            let count = usize::try_from(given).ok().filter(|count| *count > 0);
            count.ok_or_else(|| bad(format!("Value ({given}) for parameter {name} is invalid.")))
        })
        .transpose()
}

fn together(one: &str, other: &str) -> ApiError {
    let text = format!("The parameter {one} cannot be used with the parameter {other}");
    error("InvalidParameterCombination", text)
}

pub(crate) fn assign(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: AddressesInput = input(tx)?;
    let instance = owner(tx, &given.network_interface_id)?;
    let more = count(
        "secondaryPrivateIpAddressCount",
        given.secondary_private_ip_address_count,
    )?;
    let blocks = count("ipv4PrefixCount", given.ipv4_prefix_count)?;
    if more.is_some() && !given.private_ip_addresses.is_empty() {
        return Err(together("secondaryPrivateIpAddressCount", "privateIpAddress"));
    }
    if blocks.is_some() && !given.ipv4_prefixes.is_empty() {
        return Err(together("ipv4PrefixCount", "ipv4Prefix"));
    }
    let named = !given.private_ip_addresses.is_empty() || !given.ipv4_prefixes.is_empty();
    if !named && more.is_none() && blocks.is_none() {
        return Err(missing("privateIpAddress or secondaryPrivateIpAddressCount"));
    }
    if blocks.is_some() {
        // A subnet's slice of the pool is smaller than two of AWS's blocks, and contains the subnet's nodes.
        let text = "The specified subnet does not have enough free cidr blocks to satisfy the request.";
        return Err(error("InsufficientCidrBlocks", text));
    }
    let mut addresses = Vec::new();
    for text in &given.private_ip_addresses {
        let address = address(text)?;
        if addresses.contains(&address) {
            continue;
        }
        take(tx, &instance, address, given.allow_reassignment)?;
        addresses.push(address);
    }
    for _ in 0..more.unwrap_or(0).min(INTERFACE_LIMIT) {
        addresses.push(next(tx, &instance)?);
    }
    let prefixes = given.ipv4_prefixes.iter().map(|text| prefix(text));
    let prefixes: Vec<Ipv4Net> = prefixes.collect::<Result<_, _>>()?;
    for prefix in &prefixes {
        check_prefix(tx, *prefix)?;
    }
    keep(tx, &instance.id, &addresses, &prefixes)?;
    let mut answer = json!({"NetworkInterfaceId": given.network_interface_id});
    if !addresses.is_empty() {
        let shown = addresses
            .iter()
            .map(|address| json!({"PrivateIpAddress": address.to_string()}));
        answer["AssignedPrivateIpAddresses"] = shown.collect();
    }
    if !prefixes.is_empty() {
        let shown = prefixes
            .iter()
            .map(|prefix| json!({"Ipv4Prefix": prefix.to_string()}));
        answer["AssignedIpv4Prefixes"] = shown.collect();
    }
    Ok(answer)
}

/// Records what was assigned. What the interface already has stays.
fn keep(tx: &mut Tx<'_>, id: &str, addresses: &[Ipv4Addr], prefixes: &[Ipv4Net]) -> Result<(), ApiError> {
    let Some(mut kept) = tx.region().instances.get(id).cloned() else {
        return Ok(());
    };
    let instance = Arc::make_mut(&mut kept);
    for address in addresses {
        if *address != instance.address && !instance.secondary.contains(address) {
            instance.secondary.push(*address);
        }
    }
    for prefix in prefixes {
        if !instance.prefixes.contains(prefix) {
            instance.prefixes.push(*prefix);
        }
    }
    if 1 + instance.secondary.len() + instance.prefixes.len() > INTERFACE_LIMIT {
        return Err(error(
            "PrivateIpAddressLimitExceeded",
            "Number of private addresses will exceed limit.",
        ));
    }
    tx.region_mut().instances.insert(id.to_owned(), kept);
    Ok(())
}

/// Takes a given address for an instance's interface: a free one, or another instance's secondary address if
/// reassignment is allowed.
fn take(tx: &mut Tx<'_>, instance: &Instance, address: Ipv4Addr, reassign: bool) -> Result<(), ApiError> {
    if instance.address == address || instance.secondary.contains(&address) {
        return Ok(());
    }
    let in_use = || bad(format!("Address {address} is in use."));
    let region = tx.region();
    let living = region
        .instances
        .values()
        .filter(|other| other.state != "terminated");
    let mut holders = living.filter(|other| other.address == address || other.secondary.contains(&address));
    let holder = holders.next().cloned();
    let pooled = region.addresses.contains_key(&address.to_string());
    match holder {
        // A primary address cannot be reassigned.
        Some(holder) if reassign && holder.address != address => release(tx, &holder.id, address),
        Some(_) => return Err(in_use()),
        None if pooled || tx.state.is_for_nodes(IpAddr::V4(address)) => return Err(in_use()),
        None => {}
    }
    if !tx.state.settings().pool.contains(&address) {
        return Ok(());
    }
    let slices = tx
        .region()
        .subnets
        .get(&instance.subnet_id)
        .map(|subnet| subnet.slices.clone());
    let mut own = slices.unwrap_or_default().into_iter();
    if !own.any(|slice| tx.state.slice_addresses(slice).any(|one| one == address)) {
        let text = format!("Address {address} does not fall within the subnet's address range");
        return Err(bad(text));
    }
    let record = Address {
        subnet_id: instance.subnet_id.clone(),
        owner: interface_id(tx.request.region, instance),
    };
    tx.region_mut()
        .addresses
        .insert(address.to_string(), Arc::new(record));
    Ok(())
}

/// The next free address of an instance's subnet.
fn next(tx: &mut Tx<'_>, instance: &Instance) -> Result<Ipv4Addr, ApiError> {
    let owner = interface_id(tx.request.region, instance);
    match tx.take_address(&instance.subnet_id, &owner) {
        Some(IpAddr::V4(address)) => Ok(address),
        _ => {
            let text = format!(
                "There are not enough free addresses in subnet '{}'",
                instance.subnet_id
            );
            Err(error("InsufficientFreeAddressesInSubnet", text))
        }
    }
}

/// A prefix may be any network outside the pool, whose addresses are assigned one by one.
fn check_prefix(view: &View<'_>, prefix: Ipv4Net) -> Result<(), ApiError> {
    let pool = view.state.settings().pool;
    if pool.contains(&prefix) || prefix.contains(&pool) {
        return Err(bad(format!(
            "The prefix '{prefix}' overlaps the address pool {pool}, whose addresses are assigned one by one."
        )));
    }
    Ok(())
}

/// Takes a secondary address from an instance, and frees it if it is the pool's.
fn release(tx: &mut Tx<'_>, id: &str, address: Ipv4Addr) {
    if let Some(mut kept) = tx.region().instances.get(id).cloned() {
        Arc::make_mut(&mut kept).secondary.retain(|one| *one != address);
        tx.region_mut().instances.insert(id.to_owned(), kept);
    }
    give_back(tx, address);
}

/// Frees an address of the pool. Any other may belong to a load balancer's node by now.
fn give_back(tx: &mut Tx<'_>, address: Ipv4Addr) {
    if tx.state.is_pooled(IpAddr::V4(address)) {
        tx.free_address(IpAddr::V4(address));
    }
}

/// Frees everything that an instance's interface has besides its primary address.
pub(crate) fn release_all(tx: &mut Tx<'_>, instance: &mut Instance) {
    for address in instance.secondary.drain(..) {
        give_back(tx, address);
    }
    instance.prefixes.clear();
}

pub(crate) fn unassign(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: AddressesInput = input(tx)?;
    let instance = owner(tx, &given.network_interface_id)?;
    if given.private_ip_addresses.is_empty() && given.ipv4_prefixes.is_empty() {
        return Err(missing("privateIpAddress"));
    }
    let addresses = given.private_ip_addresses.iter().map(|text| address(text));
    let addresses: BTreeSet<Ipv4Addr> = addresses.collect::<Result<_, _>>()?;
    let prefixes = given.ipv4_prefixes.iter().map(|text| prefix(text));
    let prefixes: BTreeSet<Ipv4Net> = prefixes.collect::<Result<_, _>>()?;
    if addresses.contains(&instance.address) {
        let text = format!("The primary address {} cannot be unassigned.", instance.address);
        return Err(bad(text));
    }
    let id = &given.network_interface_id;
    if !addresses
        .iter()
        .all(|address| instance.secondary.contains(address))
    {
        let text = format!("Some of the specified addresses are not assigned to interface {id}");
        return Err(bad(text));
    }
    if !prefixes.iter().all(|prefix| instance.prefixes.contains(prefix)) {
        let text = format!("Some of the specified prefixes are not assigned to interface {id}");
        return Err(bad(text));
    }
    for address in addresses {
        release(tx, &instance.id, address);
    }
    if let Some(mut kept) = tx.region().instances.get(&instance.id).cloned() {
        Arc::make_mut(&mut kept)
            .prefixes
            .retain(|one| !prefixes.contains(one));
        tx.region_mut().instances.insert(instance.id.clone(), kept);
    }
    Ok(json!({}))
}
