//! Opens a request's envelope: which service, which operation, which region; then reads the operation's input.

use crate::model::Model;
use crate::query::Form;
use crate::tree::Node;
use crate::{ApiError, HttpRequest, Protocol, Service, json, sigv4, validate};
use serde_json::{Map, Value};

/// A request whose envelope is open: we know what it asks for, not yet with which input.
#[derive(Debug)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// The operation, which AWS's model of the service has with its shapes.
    pub operation: String,
    /// The region that the credential scope names, if there is one.
    pub region: Option<String>,
    /// The access key id that the credential scope names. Not yet proven.
    pub access_key: Option<String>,
    /// How the answer must look.
    pub protocol: Protocol,
    form: Node,
}

/// A request that cannot be opened, and the protocol in which to say so.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The most likely protocol of the caller.
    pub protocol: Protocol,
    /// What was wrong.
    pub error: ApiError,
}

/// Opens the envelope. The service is told by the credential scope, then by the target header, then by action and version.
/// Needs no valid signature: that is [`sigv4::verify`]'s work.
pub fn open(request: &HttpRequest<'_>) -> Result<Call, Refusal> {
    let scope = sigv4::scope(request);
    let target = request
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let named = scope.as_ref().map(|scope| scope.service.as_str());
    let guess = match (named.and_then(Service::from_scope), target) {
        (Some(service), _) => service.protocol(),
        (None, Some(_)) => Protocol::Json,
        (None, None) => Protocol::Query,
    };
    let refuse = |protocol: Protocol| move |error: ApiError| Refusal { protocol, error };
    if let Some(name) = named
        && Service::from_scope(name).is_none()
    {
        let name: String = name.chars().take(64).collect();
        return Err(refuse(guess)(ApiError::sender(
            if guess == Protocol::Json {
                "UnknownOperationException"
            } else {
                "InvalidAction"
            },
            format!("The service {name} is not served by Forebay."),
        )));
    }
    let mut form = Node::default();
    let (service, operation) = if guess == Protocol::Json {
        by_target(named, target)
    } else {
        form = read_form(request).map_err(refuse(guess))?;
        by_action(named, &form)
    }
    .map_err(refuse(guess))?;
    let protocol = service.protocol();
    supported(service, &operation, &form).map_err(refuse(protocol))?;
    let (region, access_key) = scope.map(|scope| (scope.region, scope.access_key)).unzip();
    Ok(Call {
        service,
        operation,
        region,
        access_key,
        protocol,
        form,
    })
}

impl Call {
    /// The operation's input, checked against every constraint of the model.
    pub fn input(&self, request: &HttpRequest<'_>) -> Result<Value, ApiError> {
        let model = Model::of(self.service);
        let Some(shape) = model
            .operation(&self.operation)
            .and_then(|operation| operation.input)
        else {
            return Ok(Value::Object(Map::new()));
        };
        let input = match self.protocol {
            Protocol::Json => json::input(model, shape, request.body)?,
            protocol => Form {
                model,
                ec2: protocol == Protocol::Ec2,
            }
            .input(shape, &self.form)?,
        };
        validate::check(model, self.protocol, &self.operation, shape, &input)?;
        Ok(input)
    }
}

/// The query string's and the body's parameters in one tree.
fn read_form(request: &HttpRequest<'_>) -> Result<Node, ApiError> {
    let (mut form, mut nodes) = (Node::default(), 0);
    form.add_form(request.query.as_bytes(), &mut nodes)?;
    if request.method == "POST" {
        form.add_form(request.body, &mut nodes)?;
    }
    Ok(form)
}

fn by_target(named: Option<&str>, target: Option<&str>) -> Result<(Service, String), ApiError> {
    let unknown = |message: String| ApiError::sender("UnknownOperationException", message);
    let target = target.ok_or_else(|| unknown("The request has no X-Amz-Target header.".to_owned()))?;
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let found = Service::ALL.into_iter().find(|service| {
        service.protocol() == Protocol::Json
            && Model::of(*service).target == prefix
            && named.is_none_or(|named| named == service.scope())
    });
    match found {
        Some(service) => Ok((service, operation.to_owned())),
        None => Err(unknown(
            "The X-Amz-Target header names no service that Forebay serves.".to_owned(),
        )),
    }
}

fn by_action(named: Option<&str>, form: &Node) -> Result<(Service, String), ApiError> {
    let Some(action) = form.text_of("Action").filter(|action| !action.is_empty()) else {
        return Err(ApiError::sender(
            "MissingAction",
            "The request must contain the parameter Action.",
        ));
    };
    let version = form.text_of("Version");
    let service = named.and_then(Service::from_scope).or_else(|| {
        Service::ALL.into_iter().find(|service| {
            service.protocol() != Protocol::Json && version == Some(Model::of(*service).version.as_str())
        })
    });
    match service {
        Some(service) => Ok((service, action.to_owned())),
        None => Err(no_such_version(action, version)),
    }
}

/// Whether the model has the operation's shapes. EC2 accepts every version of its API, as AWS does.
fn supported(service: Service, operation: &str, form: &Node) -> Result<(), ApiError> {
    let model = Model::of(service);
    let version = form.text_of("Version");
    if service.protocol() == Protocol::Query && version != Some(model.version.as_str()) {
        return Err(no_such_version(operation, version));
    }
    if model.operation(operation).is_some() {
        return Ok(());
    }
    if model.knows(operation) {
        return Err(service.unsupported(operation));
    }
    let shown: String = operation.chars().take(128).collect();
    if service.protocol() == Protocol::Json {
        return Err(ApiError::sender(
            "UnknownOperationException",
            format!("Unknown operation {shown}."),
        ));
    }
    Err(ApiError::sender(
        "InvalidAction",
        format!("The action {shown} is not valid for this web service."),
    ))
}

fn no_such_version(action: &str, version: Option<&str>) -> ApiError {
    let action: String = action.chars().take(128).collect();
    let version: String = version
        .unwrap_or("NO_VERSION_SPECIFIED")
        .chars()
        .take(64)
        .collect();
    ApiError::sender(
        "InvalidAction",
        format!("Could not find operation {action} for version {version}"),
    )
}
