//! Certificate Manager's operations.

use crate::acm::lookup::users;
use crate::acm::pem;
use crate::acm::records::{Bundle, Certificate, Facts};
use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::paging::cut;
use crate::api::tagging::{put_tags, stored_tags, tags_value};
use crate::records::Tags;
use base64::Engine as _;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most tags of a certificate (AWS's quota).
const TAG_LIMIT: usize = 50;
/// The default page size.
const PAGE_SIZE: usize = 1000;

fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ArnInput {
    certificate_arn: String,
}

fn certificate(view: &View<'_>, arn: &str) -> Result<Arc<Certificate>, ApiError> {
    view.region().certificates.get(arn).cloned().ok_or_else(|| {
        let account = view.request.account;
        error(
            "ResourceNotFoundException",
            format!("Could not find certificate {arn} in account {account}."),
        )
    })
}

fn new_arn(tx: &mut Tx<'_>) -> String {
    let digits = tx.rng.hex(32);
    let id = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-");
    own_arn(tx, "acm", &format!("certificate/{id}"))
}

fn read_tags(given: &Value, mut tags: Tags) -> Result<Tags, ApiError> {
    for tag in given.as_array().into_iter().flatten() {
        let key = tag["Key"].as_str().unwrap_or_default();
        if key.starts_with("aws:") {
            return Err(validation(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
        tags.insert(
            key.to_owned(),
            tag["Value"].as_str().unwrap_or_default().to_owned(),
        );
    }
    if tags.len() > TAG_LIMIT {
        return Err(error(
            "TooManyTagsException",
            "A certificate can have at most 50 tags.",
        ));
    }
    Ok(tags)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImportInput {
    certificate_arn: Option<String>,
    certificate: String,
    private_key: String,
    certificate_chain: Option<String>,
    #[serde(default)]
    tags: Value,
}

pub(crate) fn import(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: ImportInput = tx.input()?;
    let text = |blob: &str| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(blob).ok()?;
        String::from_utf8(bytes).ok()
    };
    let chain = given
        .certificate_chain
        .as_deref()
        .filter(|chain| !chain.is_empty());
    let chain = chain
        .map(|chain| text(chain).ok_or_else(|| validation(pem::Refused::Chain.to_string())))
        .transpose()?;
    let (body, key) = (text(&given.certificate), text(&given.private_key));
    let (bundle, facts) = match (body, key) {
        (Some(body), Some(key)) => {
            pem::read(&body, &key, chain.as_deref()).map_err(|refused| validation(refused.to_string()))?
        }
        (None, _) => return Err(validation(pem::Refused::Certificate.to_string())),
        (_, None) => return Err(validation(pem::Refused::Key.to_string())),
    };
    if facts.not_after < tx.request.now.seconds() {
        return Err(validation("The certificate has expired."));
    }
    if facts.not_before > tx.request.now.seconds() {
        return Err(validation("The certificate is not valid yet."));
    }
    let now = tx.request.now;
    let (arn, created) = match &given.certificate_arn {
        Some(arn) => {
            let old = certificate(tx, arn)?;
            if old.imported.is_none() {
                return Err(validation("Only imported certificates can be imported again."));
            }
            if given.tags.as_array().is_some_and(|tags| !tags.is_empty()) {
                return Err(validation("Tagging is not permitted on re-import."));
            }
            (arn.clone(), old.created)
        }
        None => (new_arn(tx), now),
    };
    let tags = read_tags(&given.tags, stored_tags(tx.region(), &arn))?;
    let record = Certificate {
        arn: arn.clone(),
        domain: facts.domain.clone(),
        names: facts.names.clone(),
        created,
        imported: Some(now),
        issued: Some((bundle, facts)),
        validation: None,
        key_algorithm: None,
        token: None,
        logged: false,
    };
    tx.region_mut().certificates.insert(arn.clone(), Arc::new(record));
    put_tags(tx.region_mut(), &arn, tags);
    Ok(json!({"CertificateArn": arn}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RequestInput {
    domain_name: String,
    #[serde(default)]
    subject_alternative_names: Vec<String>,
    validation_method: Option<String>,
    idempotency_token: Option<String>,
    key_algorithm: Option<String>,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    tags: Value,
}

/// The model's own pattern needs look-ahead, which Forebay's engine lacks, so names are checked here.
fn check_domain(name: &str) -> Result<(), ApiError> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if bare.contains('.') && name.len() <= 253 && bare.split('.').all(label) {
        return Ok(());
    }
    Err(validation(format!(
        "1 validation error detected: Value '{name}' at 'domainName' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: (\\*\\.)?(((?!-)[A-Za-z0-9-]{{0,62}}[A-Za-z0-9])\\.)+((?!-)[A-Za-z0-9-]{{1,62}}[A-Za-z0-9])"
    )))
}

pub(crate) fn request(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: RequestInput = tx.input()?;
    let mut names = vec![given.domain_name.clone()];
    for name in &given.subject_alternative_names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.iter().try_for_each(|name| check_domain(name))?;
    let again = tx.region().certificates.values().find(|other| {
        given.idempotency_token.is_some() && other.token == given.idempotency_token && other.names == names
    });
    if let Some(same) = again {
        return Ok(json!({"CertificateArn": same.arn}));
    }
    let tags = read_tags(&given.tags, Tags::new())?;
    let arn = new_arn(tx);
    let record = Certificate {
        arn: arn.clone(),
        domain: given.domain_name,
        names,
        created: tx.request.now,
        imported: None,
        issued: None,
        validation: Some(given.validation_method.unwrap_or_else(|| "EMAIL".to_owned())),
        key_algorithm: Some(given.key_algorithm.unwrap_or_else(|| "RSA_2048".to_owned())),
        token: given.idempotency_token,
        logged: given.options["CertificateTransparencyLoggingPreference"] != "DISABLED",
    };
    tx.region_mut().certificates.insert(arn.clone(), Arc::new(record));
    put_tags(tx.region_mut(), &arn, tags);
    Ok(json!({"CertificateArn": arn}))
}

fn status(view: &View<'_>, certificate: &Certificate) -> &'static str {
    match &certificate.issued {
        None => "PENDING_VALIDATION",
        Some((_, facts)) if facts.not_after < view.request.now.seconds() => "EXPIRED",
        Some(_) => "ISSUED",
    }
}

fn seconds(at: forebay_units::Wall) -> Value {
    json!(at.0 as f64 / 1e6)
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let arn = view.input::<ArnInput>()?.certificate_arn;
    let certificate = certificate(view, &arn)?;
    let mut detail = json!({
        "CertificateArn": arn,
        "DomainName": certificate.domain,
        "SubjectAlternativeNames": certificate.names,
        "CreatedAt": seconds(certificate.created),
        "Status": status(view, &certificate),
        "InUseBy": users(view.region(), &arn),
        "Options": {
            "CertificateTransparencyLoggingPreference": if certificate.logged { "ENABLED" } else { "DISABLED" },
        },
        "RenewalEligibility": "INELIGIBLE",
    });
    match &certificate.issued {
        Some((_, facts)) => add_facts(&mut detail, &certificate, facts),
        None => add_request(&mut detail, &certificate),
    }
    Ok(json!({"Certificate": detail}))
}

fn add_facts(detail: &mut Value, certificate: &Certificate, facts: &Facts) {
    detail["Type"] = json!("IMPORTED");
    detail["ImportedAt"] = certificate.imported.map_or(Value::Null, seconds);
    detail["Serial"] = json!(facts.serial);
    detail["Subject"] = json!(facts.subject);
    detail["Issuer"] = json!(facts.issuer);
    detail["NotBefore"] = json!(facts.not_before);
    detail["NotAfter"] = json!(facts.not_after);
    detail["KeyAlgorithm"] = json!(facts.key_algorithm);
    detail["SignatureAlgorithm"] = json!(facts.signature_algorithm);
}

fn add_request(detail: &mut Value, certificate: &Certificate) {
    detail["Type"] = json!("AMAZON_ISSUED");
    detail["KeyAlgorithm"] = json!(certificate.key_algorithm);
    let method = certificate.validation.as_deref().unwrap_or("EMAIL");
    let options = certificate.names.iter().map(|name| {
        let mut option = json!({
            "DomainName": name, "ValidationDomain": name, "ValidationStatus": "PENDING_VALIDATION", "ValidationMethod": method,
        });
        if method == "DNS" {
            // The DNS record that would validate the domain, always the same for a certificate.
            let bare = name.strip_prefix("*.").unwrap_or(name);
            let token = forebay_units::Rng::named(0, &format!("{}/{bare}", certificate.arn)).hex(64);
            option["ResourceRecord"] = json!({
                "Name": format!("_{}.{bare}.", &token[..32]),
                "Type": "CNAME",
                "Value": format!("_{}.acm-validations.aws.", &token[32..]),
            });
        }
        option
    });
    detail["DomainValidationOptions"] = options.collect();
}

pub(crate) fn fetch(view: &View<'_>) -> Result<Value, ApiError> {
    let arn = view.input::<ArnInput>()?.certificate_arn;
    let certificate = certificate(view, &arn)?;
    let Some((
        Bundle {
            certificate, chain, ..
        },
        _,
    )) = &certificate.issued
    else {
        let text = format!("The certificate {arn} has not been issued yet.");
        return Err(error("RequestInProgressException", text));
    };
    // Without a chain, AWS returns the certificate itself as its chain.
    let chain = chain.as_ref().unwrap_or(certificate);
    Ok(json!({"Certificate": certificate, "CertificateChain": chain}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    #[serde(default)]
    certificate_statuses: Vec<String>,
    #[serde(default)]
    includes: Value,
    max_items: Option<usize>,
    next_token: Option<String>,
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let given: ListInput = view.input()?;
    let key_types = given.includes["keyTypes"].as_array();
    let algorithm = |certificate: &Certificate| match &certificate.issued {
        Some((_, facts)) => Some(facts.key_algorithm.clone()),
        None => certificate.key_algorithm.clone(),
    };
    // As on AWS, only RSA keys of up to 2048 bits are listed by default.
    let wanted = |certificate: &Certificate| {
        let algorithm = algorithm(certificate).unwrap_or_default();
        let kind = match key_types {
            Some(types) => types.iter().any(|kind| *kind == algorithm),
            None => ["RSA_1024", "RSA_2048"].contains(&algorithm.as_str()),
        };
        kind && (given.certificate_statuses.is_empty()
            || given
                .certificate_statuses
                .iter()
                .any(|wanted| wanted == status(view, certificate)))
    };
    let token = given.next_token.unwrap_or_default();
    let all = view.region().certificates.values();
    let all = all.filter(|certificate| wanted(certificate));
    let size = given.max_items.unwrap_or(PAGE_SIZE);
    let (page, next) = cut(all, |certificate| certificate.arn.clone(), &token, size);
    let summary = |certificate: &&Arc<Certificate>| {
        let mut value = json!({
            "CertificateArn": certificate.arn,
            "DomainName": certificate.domain,
            "SubjectAlternativeNameSummaries": certificate.names,
            "Status": status(view, certificate),
            "Type": if certificate.imported.is_some() { "IMPORTED" } else { "AMAZON_ISSUED" },
            "KeyAlgorithm": algorithm(certificate),
            "InUse": !users(view.region(), &certificate.arn).is_empty(),
            "RenewalEligibility": "INELIGIBLE",
            "CreatedAt": seconds(certificate.created),
        });
        if let (Some((_, facts)), Some(at)) = (&certificate.issued, certificate.imported) {
            value["ImportedAt"] = seconds(at);
            value["NotBefore"] = json!(facts.not_before);
            value["NotAfter"] = json!(facts.not_after);
        }
        value
    };
    let shown: Vec<Value> = page.iter().map(summary).collect();
    let mut answer = json!({"CertificateSummaryList": shown});
    if let Some(last) = next {
        answer["NextToken"] = json!(last);
    }
    Ok(answer)
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let arn = tx.input::<ArnInput>()?.certificate_arn;
    certificate(tx, &arn)?;
    if !users(tx.region(), &arn).is_empty() {
        return Err(error(
            "ResourceInUseException",
            format!("Certificate {arn} is in use."),
        ));
    }
    tx.region_mut().certificates.remove(&arn);
    put_tags(tx.region_mut(), &arn, Tags::new());
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsInput {
    certificate_arn: String,
    #[serde(default)]
    tags: Value,
}

pub(crate) fn add_tags(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TagsInput = tx.input()?;
    certificate(tx, &given.certificate_arn)?;
    let tags = read_tags(&given.tags, stored_tags(tx.region(), &given.certificate_arn))?;
    put_tags(tx.region_mut(), &given.certificate_arn, tags);
    Ok(json!({}))
}

/// A tag with a value is removed only if it has that value.
pub(crate) fn remove_tags(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TagsInput = tx.input()?;
    certificate(tx, &given.certificate_arn)?;
    let mut tags = stored_tags(tx.region(), &given.certificate_arn);
    for tag in given.tags.as_array().into_iter().flatten() {
        let key = tag["Key"].as_str().unwrap_or_default();
        if tag["Value"]
            .as_str()
            .is_none_or(|value| tags.get(key).is_some_and(|held| held == value))
        {
            tags.remove(key);
        }
    }
    put_tags(tx.region_mut(), &given.certificate_arn, tags);
    Ok(json!({}))
}

pub(crate) fn list_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let arn = view.input::<ArnInput>()?.certificate_arn;
    certificate(view, &arn)?;
    Ok(json!({"Tags": tags_value(view.region(), &arn)}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OptionsInput {
    certificate_arn: String,
    options: Value,
}

pub(crate) fn update_options(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: OptionsInput = tx.input()?;
    let mut kept = certificate(tx, &given.certificate_arn)?;
    if kept.imported.is_some() {
        return Err(error(
            "InvalidStateException",
            "Options of imported certificates cannot be changed.",
        ));
    }
    if let Some(preference) = given.options["CertificateTransparencyLoggingPreference"].as_str() {
        Arc::make_mut(&mut kept).logged = preference != "DISABLED";
    }
    tx.region_mut().certificates.insert(given.certificate_arn, kept);
    Ok(json!({}))
}
