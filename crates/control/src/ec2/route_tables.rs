//! Route tables, their routes and associations.

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, depended_on, error, missing, no_subnet, no_vpc};
use crate::api::filtering::Item;
use crate::api::tagging::put_tags;
use crate::api::tagging::tags_value;
use crate::ec2::listing::{Listing, input, new_tags};
use crate::ec2::records::{Route, RouteAssociation, RouteTable};
use crate::ids::new_id;
use forebay_awswire::ApiError;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "RouteTables",
    ids: "RouteTableIds",
    missing: ("InvalidRouteTableID.NotFound", "routeTable ID"),
};

/// What a route may lead to, as the API's member names.
const TARGETS: [&str; 10] = [
    "GatewayId",
    "NatGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "VpcEndpointId",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct TableInput {
    route_table_id: String,
    vpc_id: String,
    subnet_id: Option<String>,
    association_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
}

impl TableInput {
    fn destination(&self) -> Result<String, ApiError> {
        let malformed = |text: &str| {
            bad(format!(
                "Value ({text}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block."
            ))
        };
        match (
            &self.destination_cidr_block,
            &self.destination_ipv6_cidr_block,
            &self.destination_prefix_list_id,
        ) {
            (Some(text), None, None) => text
                .parse()
                .map(|net: Ipv4Net| net.trunc().to_string())
                .map_err(|_| malformed(text)),
            (None, Some(text), None) => text
                .parse()
                .map(|net: Ipv6Net| net.trunc().to_string())
                .map_err(|_| malformed(text)),
            (None, None, Some(id)) => Ok(id.clone()),
            (None, None, None) => Err(missing("destinationCidrBlock")),
            _ => Err(error(
                "InvalidParameterCombination",
                "A route has exactly one destination.",
            )),
        }
    }
}

fn table(view: &View<'_>, id: &str) -> Result<Arc<RouteTable>, ApiError> {
    view.region().route_tables.get(id).cloned().ok_or_else(|| {
        error(
            "InvalidRouteTableID.NotFound",
            format!("The routeTable ID '{id}' does not exist"),
        )
    })
}

fn put(tx: &mut Tx<'_>, table: Arc<RouteTable>) {
    tx.region_mut().route_tables.insert(table.id.clone(), table);
}

fn shown(view: &View<'_>, table: &RouteTable) -> Value {
    let associations: Vec<Value> = table
        .associations
        .iter()
        .map(|association| {
            let mut value = json!({
                "RouteTableAssociationId": association.id,
                "RouteTableId": table.id,
                "Main": association.subnet_id.is_none(),
                "AssociationState": {"State": "associated"},
            });
            if let Some(subnet) = &association.subnet_id {
                value["SubnetId"] = json!(subnet);
            }
            value
        })
        .collect();
    let vpc = view.region().vpcs.get(&table.vpc_id);
    let local = |member: &str, cidr: String| json!({member: cidr, "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"});
    let mut routes: Vec<Value> = vpc
        .map(|vpc| local("DestinationCidrBlock", vpc.cidr.to_string()))
        .into_iter()
        .collect();
    let ipv6 = vpc.and_then(|vpc| vpc.ipv6_cidr);
    routes.extend(ipv6.map(|cidr| local("DestinationIpv6CidrBlock", cidr.to_string())));
    routes.extend(table.routes.iter().map(|route| route_value(view, table, route)));
    json!({
        "RouteTableId": table.id,
        "VpcId": table.vpc_id,
        "OwnerId": view.request.account,
        "Associations": associations,
        "Routes": routes,
        "PropagatingVgws": [],
        "Tags": tags_value(view.region(), &table.id),
    })
}

fn route_value(view: &View<'_>, table: &RouteTable, route: &Route) -> Value {
    let destination = if route.destination.starts_with("pl-") {
        "DestinationPrefixListId"
    } else if route.destination.contains(':') {
        "DestinationIpv6CidrBlock"
    } else {
        "DestinationCidrBlock"
    };
    let state = if is_active(view, table, route) {
        "active"
    } else {
        "blackhole"
    };
    // A route to a VPC endpoint is shown as one to a gateway.
    let kind = if route.target_kind == "VpcEndpointId" {
        "GatewayId"
    } else {
        &route.target_kind
    };
    json!({destination: route.destination, kind: route.target, "Origin": "CreateRoute", "State": state})
}

/// Whether a route is active. A route to a deleted gateway is a blackhole.
fn is_active(view: &View<'_>, table: &RouteTable, route: &Route) -> bool {
    if !route.target.starts_with("igw-") {
        return true;
    }
    let gateway = view.region().internet_gateways.get(&route.target);
    gateway.is_some_and(|gateway| gateway.vpc_id.as_ref() == Some(&table.vpc_id))
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    tx.region()
        .vpcs
        .get(&given.vpc_id)
        .ok_or_else(|| no_vpc(&given.vpc_id))?;
    let new = new_tags(tx, "route-table")?;
    let id = new_id(tx.rng, "rtb");
    let table = RouteTable {
        id: id.clone(),
        vpc_id: given.vpc_id,
        routes: Vec::new(),
        associations: Vec::new(),
    };
    let region = tx.region_mut();
    region.route_tables.insert(id.clone(), Arc::new(table.clone()));
    put_tags(region, &id, new);
    Ok(json!({"RouteTable": shown(tx, &table)}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let table = table(tx, &given.route_table_id)?;
    if !table.associations.is_empty() {
        return Err(depended_on("routeTable", &table.id));
    }
    let region = tx.region_mut();
    region.route_tables.remove(&table.id);
    region.tags.remove(&table.id);
    Ok(json!({}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let item = |table: &Arc<RouteTable>| Item::new(&table.id, shown(view, table));
    LISTING.list(view, view.region().route_tables.values().map(item).collect())
}

/// The route that a call describes. Only targets that can exist here are checked.
fn route(view: &View<'_>, table: &RouteTable, given: &TableInput) -> Result<Route, ApiError> {
    let mut targets = TARGETS
        .iter()
        .filter_map(|kind| Some((*kind, view.request.input[*kind].as_str()?)));
    let Some((kind, target)) = targets.next() else {
        return Err(missing("GatewayId"));
    };
    let region = view.region();
    if kind == "GatewayId" && target.starts_with("igw-") {
        let gateway = region.internet_gateways.get(target).ok_or_else(|| {
            error(
                "InvalidInternetGatewayID.NotFound",
                format!("The internetGateway ID '{target}' does not exist"),
            )
        })?;
        if gateway.vpc_id.as_ref() != Some(&table.vpc_id) {
            let text = format!(
                "route table {} and network gateway {target} belong to different networks",
                table.id
            );
            return Err(error("InvalidParameterValue", text));
        }
    }
    if kind == "InstanceId" && !region.instances.contains_key(target) {
        return Err(error(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{target}' does not exist"),
        ));
    }
    Ok(Route {
        destination: given.destination()?,
        target_kind: kind.to_owned(),
        target: target.to_owned(),
    })
}

pub(crate) fn create_route(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let mut table = table(tx, &given.route_table_id)?;
    let route = route(tx, &table, &given)?;
    let local = tx
        .region()
        .vpcs
        .get(&table.vpc_id)
        .is_some_and(|vpc| vpc.cidr.to_string() == route.destination);
    match table
        .routes
        .iter()
        .find(|other| other.destination == route.destination)
    {
        // Creating the same route again succeeds.
        Some(same) if *same == route => return Ok(json!({"Return": true})),
        None if !local => {}
        _ => {
            let text = format!("The route identified by {} already exists.", route.destination);
            return Err(error("RouteAlreadyExists", text));
        }
    }
    Arc::make_mut(&mut table).routes.push(route);
    put(tx, table);
    Ok(json!({"Return": true}))
}

pub(crate) fn replace_route(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let mut table = table(tx, &given.route_table_id)?;
    let route = route(tx, &table, &given)?;
    let place = place(&table, &route.destination)?;
    Arc::make_mut(&mut table).routes[place] = route;
    put(tx, table);
    Ok(json!({}))
}

pub(crate) fn delete_route(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let mut table = table(tx, &given.route_table_id)?;
    let place = place(&table, &given.destination()?)?;
    Arc::make_mut(&mut table).routes.remove(place);
    put(tx, table);
    Ok(json!({}))
}

fn place(table: &RouteTable, destination: &str) -> Result<usize, ApiError> {
    table
        .routes
        .iter()
        .position(|route| route.destination == destination)
        .ok_or_else(|| {
            let text = format!(
                "no route with destination-cidr-block {destination} in route table {}",
                table.id
            );
            error("InvalidRoute.NotFound", text)
        })
}

pub(crate) fn associate(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let mut table = table(tx, &given.route_table_id)?;
    let subnet_id = given.subnet_id.ok_or_else(|| missing("SubnetId"))?;
    let region = tx.region();
    let subnet = region
        .subnets
        .get(&subnet_id)
        .ok_or_else(|| no_subnet(&subnet_id))?;
    if subnet.vpc_id != table.vpc_id {
        let text = format!(
            "route table {} and subnet {subnet_id} belong to different networks",
            table.id
        );
        return Err(bad(text));
    }
    for other in region.route_tables.values() {
        let held = other
            .associations
            .iter()
            .find(|association| association.subnet_id.as_ref() == Some(&subnet_id));
        match held {
            Some(held) if other.id == table.id => {
                return Ok(json!({"AssociationId": held.id, "AssociationState": {"State": "associated"}}));
            }
            Some(held) => {
                let text = format!(
                    "the specified association for route table {} conflicts with an existing association {}",
                    table.id, held.id
                );
                return Err(error("Resource.AlreadyAssociated", text));
            }
            None => {}
        }
    }
    let id = new_id(tx.rng, "rtbassoc");
    let association = RouteAssociation {
        id: id.clone(),
        subnet_id: Some(subnet_id),
    };
    Arc::make_mut(&mut table).associations.push(association);
    put(tx, table);
    Ok(json!({"AssociationId": id, "AssociationState": {"State": "associated"}}))
}

/// The table that has an association, and the association.
fn associated(view: &View<'_>, id: &str) -> Result<(Arc<RouteTable>, RouteAssociation), ApiError> {
    for table in view.region().route_tables.values() {
        if let Some(association) = table.associations.iter().find(|association| association.id == id) {
            return Ok((Arc::clone(table), association.clone()));
        }
    }
    Err(error(
        "InvalidAssociationID.NotFound",
        format!("The association ID '{id}' does not exist"),
    ))
}

pub(crate) fn disassociate(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let (mut table, association) = associated(tx, &given.association_id)?;
    if association.subnet_id.is_none() {
        let text = format!(
            "cannot disassociate the main route table association {}",
            association.id
        );
        return Err(bad(text));
    }
    Arc::make_mut(&mut table)
        .associations
        .retain(|other| other.id != association.id);
    put(tx, table);
    Ok(json!({}))
}

/// Moves a subnet, or the role of main table, to another route table. The association gets a new id.
pub(crate) fn replace_association(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TableInput = input(tx)?;
    let (mut from, association) = associated(tx, &given.association_id)?;
    let to = table(tx, &given.route_table_id)?;
    if from.vpc_id != to.vpc_id {
        return Err(bad(format!(
            "route tables {} and {} belong to different networks",
            from.id, to.id
        )));
    }
    Arc::make_mut(&mut from)
        .associations
        .retain(|other| other.id != association.id);
    put(tx, from);
    // Read again: it may be the table that the association was just removed from.
    let mut to = table(tx, &given.route_table_id)?;
    let id = new_id(tx.rng, "rtbassoc");
    let moved = RouteAssociation {
        id: id.clone(),
        subnet_id: association.subnet_id,
    };
    Arc::make_mut(&mut to).associations.push(moved);
    put(tx, to);
    Ok(json!({"NewAssociationId": id, "AssociationState": {"State": "associated"}}))
}
