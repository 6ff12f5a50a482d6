//! Internet gateways: only names that a VPC's routes may lead to.

use crate::api::context::{Tx, View};
use crate::api::errors::{error, no_vpc};
use crate::api::filtering::Item;
use crate::api::tagging::put_tags;
use crate::api::tagging::tags_value;
use crate::ec2::listing::{Listing, input, new_tags};
use crate::ec2::records::InternetGateway;
use crate::ids::new_id;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "InternetGateways",
    ids: "InternetGatewayIds",
    missing: ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayInput {
    internet_gateway_id: String,
    #[serde(default)]
    vpc_id: String,
}

fn gateway(view: &View<'_>, id: &str) -> Result<Arc<InternetGateway>, ApiError> {
    view.region().internet_gateways.get(id).cloned().ok_or_else(|| {
        error(
            "InvalidInternetGatewayID.NotFound",
            format!("The internetGateway ID '{id}' does not exist"),
        )
    })
}

fn shown(view: &View<'_>, gateway: &InternetGateway) -> Value {
    let attachments: Vec<Value> = gateway
        .vpc_id
        .iter()
        .map(|vpc| json!({"State": "available", "VpcId": vpc}))
        .collect();
    json!({
        "InternetGatewayId": gateway.id,
        "OwnerId": view.request.account,
        "Attachments": attachments,
        "Tags": tags_value(view.region(), &gateway.id),
    })
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let _: Value = input(tx)?;
    let new = new_tags(tx, "internet-gateway")?;
    let gateway = InternetGateway {
        id: new_id(tx.rng, "igw"),
        vpc_id: None,
    };
    let region = tx.region_mut();
    region
        .internet_gateways
        .insert(gateway.id.clone(), Arc::new(gateway.clone()));
    put_tags(region, &gateway.id, new);
    Ok(json!({"InternetGateway": shown(tx, &gateway)}))
}

pub(crate) fn attach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: GatewayInput = input(tx)?;
    let mut gateway = gateway(tx, &given.internet_gateway_id)?;
    let region = tx.region();
    region
        .vpcs
        .get(&given.vpc_id)
        .ok_or_else(|| no_vpc(&given.vpc_id))?;
    if let Some(vpc) = &gateway.vpc_id {
        let text = format!("resource {} is already attached to network {vpc}", gateway.id);
        return Err(error("Resource.AlreadyAssociated", text));
    }
    if region
        .internet_gateways
        .values()
        .any(|other| other.vpc_id.as_ref() == Some(&given.vpc_id))
    {
        let text = format!(
            "Network {} already has an internet gateway attached",
            given.vpc_id
        );
        return Err(error("InvalidParameterValue", text));
    }
    Arc::make_mut(&mut gateway).vpc_id = Some(given.vpc_id);
    tx.region_mut()
        .internet_gateways
        .insert(gateway.id.clone(), gateway);
    Ok(json!({}))
}

pub(crate) fn detach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: GatewayInput = input(tx)?;
    let mut gateway = gateway(tx, &given.internet_gateway_id)?;
    if gateway.vpc_id.as_ref() != Some(&given.vpc_id) {
        let text = format!(
            "resource {} is not attached to network {}",
            gateway.id, given.vpc_id
        );
        return Err(error("Gateway.NotAttached", text));
    }
    let mut balancers = tx.region().load_balancers.values();
    if balancers.any(|balancer| !balancer.internal && balancer.vpc_id == given.vpc_id) {
        let text = format!(
            "Network {} has some mapped public address(es). Please unmap those public address(es) before \
            detaching the gateway.",
            given.vpc_id
        );
        return Err(error("DependencyViolation", text));
    }
    Arc::make_mut(&mut gateway).vpc_id = None;
    tx.region_mut()
        .internet_gateways
        .insert(gateway.id.clone(), gateway);
    Ok(json!({}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: GatewayInput = input(tx)?;
    let gateway = gateway(tx, &given.internet_gateway_id)?;
    if gateway.vpc_id.is_some() {
        let text = format!(
            "The internetGateway '{}' has dependencies and cannot be deleted.",
            gateway.id
        );
        return Err(error("DependencyViolation", text));
    }
    let region = tx.region_mut();
    region.internet_gateways.remove(&gateway.id);
    region.tags.remove(&gateway.id);
    Ok(json!({}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let item = |gateway: &Arc<InternetGateway>| Item::new(&gateway.id, shown(view, gateway));
    LISTING.list(view, view.region().internet_gateways.values().map(item).collect())
}
