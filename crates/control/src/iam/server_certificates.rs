//! Server certificates.

use crate::Region;
use crate::acm::lookup::{users, uses};
use crate::acm::pem::{self, Refused};
use crate::api::arns::arn_of;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::paging::cut;
use crate::api::tagging::{put_tags, stored_tags, tags_value};
use crate::elbv2::records::Listener;
use crate::iam::records::ServerCertificate;
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The default page size (IAM's).
const PAGE_SIZE: usize = 100;
/// The most tags of a certificate (AWS's quota).
const TAG_LIMIT: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(default)]
    server_certificate_name: String,
    path: Option<String>,
    new_path: Option<String>,
    new_server_certificate_name: Option<String>,
    certificate_body: Option<String>,
    private_key: Option<String>,
    certificate_chain: Option<String>,
    path_prefix: Option<String>,
    max_items: Option<usize>,
    marker: Option<String>,
    #[serde(default)]
    tags: Value,
    #[serde(default)]
    tag_keys: Vec<String>,
}

fn no_such(name: &str) -> ApiError {
    let text = format!("The Server Certificate with name {name} cannot be found.");
    error("NoSuchEntity", text).with_status(404)
}

fn exists(name: &str) -> ApiError {
    let text = format!("The Server Certificate with name {name} already exists.");
    error("EntityAlreadyExists", text).with_status(409)
}

fn named(view: &View<'_>, name: &str) -> Result<Arc<ServerCertificate>, ApiError> {
    view.home()
        .server_certificates
        .get(name)
        .cloned()
        .ok_or_else(|| no_such(name))
}

fn arn(view: &View<'_>, path: &str, name: &str) -> String {
    arn_of(
        "iam",
        "",
        view.request.account,
        &format!("server-certificate{path}{name}"),
    )
}

fn metadata(certificate: &ServerCertificate) -> Value {
    json!({
        "Path": certificate.path,
        "ServerCertificateName": certificate.name,
        "ServerCertificateId": certificate.id,
        "Arn": certificate.arn,
        "UploadDate": certificate.uploaded.0 as f64 / 1e6,
        "Expiration": certificate.facts.not_after,
    })
}

fn read_tags(given: &Value, mut tags: Tags) -> Result<Tags, ApiError> {
    for tag in given.as_array().into_iter().flatten() {
        let text = |member: &str| tag[member].as_str().unwrap_or_default().to_owned();
        tags.insert(text("Key"), text("Value"));
    }
    if tags.len() > TAG_LIMIT {
        let text = "The number of tags has reached the maximum limit.";
        return Err(error("LimitExceeded", text).with_status(409));
    }
    Ok(tags)
}

pub(crate) fn upload(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let name = given.server_certificate_name;
    if tx.home().server_certificates.contains_key(&name) {
        return Err(exists(&name));
    }
    let (body, key) = (
        given.certificate_body.unwrap_or_default(),
        given.private_key.unwrap_or_default(),
    );
    // AWS returns texts without surrounding white space.
    let chain = given
        .certificate_chain
        .as_deref()
        .map(str::trim)
        .filter(|chain| !chain.is_empty());
    let read = pem::read(body.trim(), &key, chain);
    let (bundle, facts) = read.map_err(|refused| match refused {
        Refused::Mismatch => error(
            "KeyPairMismatch",
            "Certificate Public Key doesn't match Certificate Private Key.",
        ),
        other => error("MalformedCertificate", other.to_string()),
    })?;
    let path = given.path.unwrap_or_else(|| "/".to_owned());
    let tags = read_tags(&given.tags, Tags::new())?;
    let certificate = ServerCertificate {
        id: format!("ASCA{}", tx.rng.hex(17).to_ascii_uppercase()),
        arn: arn(tx, &path, &name),
        name: name.clone(),
        path,
        uploaded: tx.request.now,
        bundle,
        facts,
    };
    let shown = metadata(&certificate);
    let arn = certificate.arn.clone();
    tx.home_mut()
        .server_certificates
        .insert(name, Arc::new(certificate));
    put_tags(tx.home_mut(), &arn, tags);
    Ok(json!({"ServerCertificateMetadata": shown, "Tags": tags_value(&tx.home(), &arn)}))
}

pub(crate) fn fetch(view: &View<'_>) -> Result<Value, ApiError> {
    let certificate = named(view, &view.input::<Given>()?.server_certificate_name)?;
    let mut value = json!({
        "ServerCertificateMetadata": metadata(&certificate),
        "CertificateBody": certificate.bundle.certificate,
        "Tags": tags_value(&view.home(), &certificate.arn),
    });
    if let Some(chain) = &certificate.bundle.chain {
        value["CertificateChain"] = json!(chain);
    }
    Ok(json!({"ServerCertificate": value}))
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let (prefix, marker) = (
        given.path_prefix.unwrap_or_else(|| "/".to_owned()),
        given.marker.unwrap_or_default(),
    );
    let home = view.home();
    let all = home
        .server_certificates
        .values()
        .filter(|certificate| certificate.path.starts_with(&prefix));
    let size = given.max_items.unwrap_or(PAGE_SIZE);
    let (page, next) = cut(all, |certificate| certificate.name.clone(), &marker, size);
    let shown: Vec<Value> = page.iter().map(|certificate| metadata(certificate)).collect();
    let mut answer = json!({"ServerCertificateMetadataList": shown, "IsTruncated": next.is_some()});
    if let Some(last) = next {
        answer["Marker"] = json!(last);
    }
    Ok(answer)
}

pub(crate) fn update(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let old = named(tx, &given.server_certificate_name)?;
    let mut new = (*old).clone();
    new.name = given.new_server_certificate_name.unwrap_or(new.name);
    new.path = given.new_path.unwrap_or(new.path);
    if new.name != old.name && tx.home().server_certificates.contains_key(&new.name) {
        return Err(exists(&new.name));
    }
    new.arn = arn(tx, &new.path, &new.name);
    let tags = stored_tags(&tx.home(), &old.arn);
    put_tags(tx.home_mut(), &old.arn, Tags::new());
    put_tags(tx.home_mut(), &new.arn, tags);
    // Listeners that use it keep using it.
    let regions: Vec<String> = tx.state.regions().map(|(name, _)| name.to_owned()).collect();
    for region in regions {
        rename(tx.region_named_mut(&region), &old.arn, &new.arn);
    }
    let home = tx.home_mut();
    home.server_certificates.remove(&old.name);
    home.server_certificates.insert(new.name.clone(), Arc::new(new));
    Ok(json!({}))
}

fn rename(region: &mut Region, old: &str, new: &str) {
    let users: Vec<Arc<Listener>> = region
        .listeners
        .values()
        .filter(|listener| uses(listener, old))
        .cloned()
        .collect();
    for mut listener in users {
        let changed = Arc::make_mut(&mut listener);
        for arn in changed.certificate.iter_mut().chain(&mut changed.certificates) {
            if arn == old {
                new.clone_into(arn);
            }
        }
        region.listeners.insert(changed.arn.clone(), listener);
    }
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let certificate = named(tx, &tx.input::<Given>()?.server_certificate_name)?;
    let used: Vec<String> = tx
        .state
        .regions()
        .flat_map(|(_, region)| users(region, &certificate.arn))
        .collect();
    if let Some(user) = used.first() {
        let text = format!(
            "Certificate: {} is currently in use by {user}. Please remove it first.",
            certificate.id
        );
        return Err(error("DeleteConflict", text).with_status(409));
    }
    put_tags(tx.home_mut(), &certificate.arn, Tags::new());
    tx.home_mut().server_certificates.remove(&certificate.name);
    Ok(json!({}))
}

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let certificate = named(tx, &given.server_certificate_name)?;
    let tags = read_tags(&given.tags, stored_tags(&tx.home(), &certificate.arn))?;
    put_tags(tx.home_mut(), &certificate.arn, tags);
    Ok(json!({}))
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let certificate = named(tx, &given.server_certificate_name)?;
    let mut tags = stored_tags(&tx.home(), &certificate.arn);
    tags.retain(|key, _| !given.tag_keys.contains(key));
    put_tags(tx.home_mut(), &certificate.arn, tags);
    Ok(json!({}))
}

pub(crate) fn list_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let certificate = named(view, &view.input::<Given>()?.server_certificate_name)?;
    Ok(json!({"Tags": tags_value(&view.home(), &certificate.arn), "IsTruncated": false}))
}
