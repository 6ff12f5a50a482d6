//! Opens a request's envelope (service, operation, region), and then reads the operation's input.

use crate::model::Model;
use crate::query::Form;
use crate::tree::Node;
use crate::{ApiError, HttpRequest, Protocol, Service, cbor, json, rest, sigv4, validate};
use serde_json::{Map, Value};

/// A request whose envelope is open: the operation is known, its input is not yet read.
#[derive(Debug)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// The operation; AWS's model of the service has its shapes.
    pub operation: String,
    /// The region in the credential scope, if there is one.
    pub region: Option<String>,
    /// The access key id in the credential scope. Not verified yet.
    pub access_key: Option<String>,
    /// The protocol of the answer.
    pub protocol: Protocol,
    form: Node,
}

/// A request whose envelope cannot be opened, and the protocol of the error.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The caller's most likely protocol.
    pub protocol: Protocol,
    /// The error.
    pub error: ApiError,
}

/// The service that a request's head names, by its credential scope or its target.
pub fn named(head: &HttpRequest<'_>) -> Option<Service> {
    if let Some(scope) = sigv4::scope(head) {
        return Service::from_scope(&scope.service);
    }
    if let Some(target) = head.headers.get("x-amz-target") {
        let (prefix, _) = target.to_str().ok()?.split_once('.')?;
        return with_target(prefix, None, Protocol::Json11);
    }
    rest::service(head)
}

/// The protocol in which to answer a request, if its head names a service.
pub fn answered_in(head: &HttpRequest<'_>) -> Option<Protocol> {
    let service = match sigv4::scope(head) {
        Some(scope) => Service::from_scope(&scope.service)?,
        None if Protocol::shown(head.headers) == Protocol::Query => rest::service(head)?,
        None => return None,
    };
    Some(service.understands(Protocol::shown(head.headers)))
}

/// Opens the envelope. The service follows from the credential scope; otherwise from the path, the target header, or
/// action and version, depending on the protocol. The protocol follows from the request's head, as far as the service
/// speaks it. No valid signature is required: that is checked by [`sigv4::verify`].
pub fn open(request: &HttpRequest<'_>) -> Result<Call, Refusal> {
    let scope = sigv4::scope(request);
    let named = scope.as_ref().map(|scope| scope.service.as_str());
    let guess = answered_in(request).unwrap_or_else(|| Protocol::shown(request.headers));
    let refuse = |protocol: Protocol| move |error: ApiError| Refusal { protocol, error };
    if let Some(name) = named
        && Service::from_scope(name).is_none()
    {
        let name: String = name.chars().take(64).collect();
        return Err(refuse(guess)(ApiError::sender(
            guess.unknown_operation(),
            format!("The service {name} is not served by Forebay."),
        )));
    }
    let mut form = Node::default();
    let (service, operation) = match guess {
        Protocol::Cbor => by_path(named, request.path),
        Protocol::Json10 | Protocol::Json11 => by_target(named, request),
        Protocol::Query | Protocol::Ec2 => {
            form = read_form(request).map_err(refuse(guess))?;
            by_action(named, &form)
        }
        Protocol::RestJson => by_route(named, request),
    }
    .map_err(refuse(guess))?;
    if service == Service::Sqs && request.path.len() > 1 {
        // Older clients send the request to the queue's own path and do not name it again (developer guide, "Making Query
        // API requests").
        let queue = form.below.entry("QueueUrl".to_owned()).or_default();
        queue.text.get_or_insert_with(|| request.path.to_owned());
    }
    let protocol = service.understands(guess);
    supported(service, protocol, &operation, &form).map_err(refuse(protocol))?;
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
    /// The operation's input, checked against all constraints of the model.
    pub fn input(&self, request: &HttpRequest<'_>) -> Result<Value, ApiError> {
        let model = Model::of(self.service);
        let Some(shape) = model
            .operation(&self.operation)
            .and_then(|operation| operation.input)
        else {
            return Ok(Value::Object(Map::new()));
        };
        let input = match self.protocol {
            Protocol::Json10 | Protocol::Json11 => json::input(model, shape, request.body)?,
            Protocol::Cbor => cbor::input(model, shape, request.body)?,
            Protocol::RestJson => rest::input(model, &self.operation, shape, request)?,
            protocol @ (Protocol::Query | Protocol::Ec2) => Form {
                model,
                ec2: protocol == Protocol::Ec2,
            }
            .input(shape, &self.form)?,
        };
        validate::check(model, self.protocol, &self.operation, shape, &input)?;
        Ok(input)
    }
}

/// An operation's input from a document whose members have their own names, as in AWS's SDKs, checked against all
/// constraints of the model. Unknown members are refused.
pub fn input_of(service: Service, operation: &str, document: &Value) -> Result<Value, ApiError> {
    let model = Model::of(service);
    let protocol = service.protocols()[0];
    let shape = model.operation(operation).and_then(|operation| operation.input);
    let Some(shape) = shape else {
        return Ok(Value::Object(Map::new()));
    };
    let input = json::named_input(model, shape, document.clone())?;
    validate::check(model, protocol, operation, shape, &input)?;
    Ok(input)
}

/// The parameters of query string and body in one tree.
fn read_form(request: &HttpRequest<'_>) -> Result<Node, ApiError> {
    let (mut form, mut nodes) = (Node::default(), 0);
    form.add_form(request.query.as_bytes(), &mut nodes)?;
    if request.method == "POST" {
        form.add_form(request.body, &mut nodes)?;
    }
    Ok(form)
}

fn by_target(named: Option<&str>, request: &HttpRequest<'_>) -> Result<(Service, String), ApiError> {
    let target = request
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| unknown("The request has no X-Amz-Target header."))?;
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let found = with_target(prefix, named, Protocol::Json11);
    let found =
        found.ok_or_else(|| unknown("The X-Amz-Target header names no service that Forebay serves."))?;
    Ok((found, operation.to_owned()))
}

/// Whatever precedes `/service/` belongs to the endpoint.
fn by_path(named: Option<&str>, path: &str) -> Result<(Service, String), ApiError> {
    let call = path.rsplit_once("/service/").map(|(_, call)| call);
    let (name, operation) = call
        .and_then(|call| call.split_once("/operation/"))
        .ok_or_else(|| unknown("The path is not /service/NAME/operation/NAME."))?;
    let found = with_target(name, named, Protocol::Cbor);
    let found = found.ok_or_else(|| unknown("The path names no service that Forebay serves."))?;
    Ok((found, operation.to_owned()))
}

fn by_route(named: Option<&str>, request: &HttpRequest<'_>) -> Result<(Service, String), ApiError> {
    let service = named
        .and_then(Service::from_scope)
        .or_else(|| rest::service(request));
    let found = service.and_then(|service| Some((service, rest::operation(Model::of(service), request)?)));
    found.ok_or_else(|| {
        unknown("The method and the path name no operation that Forebay serves.").with_status(404)
    })
}

/// The service with this name in headers and paths, if it is the one of the scope and speaks such a protocol.
fn with_target(name: &str, named: Option<&str>, protocol: Protocol) -> Option<Service> {
    Service::ALL.into_iter().find(|service| {
        service.understands(protocol).resembles(protocol)
            && Model::of(*service).target == name
            && named.is_none_or(|named| named == service.scope())
    })
}

fn unknown(message: &str) -> ApiError {
    ApiError::sender("UnknownOperationException", message)
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
            service.understands(Protocol::Query).is_form()
                && version == Some(Model::of(*service).version.as_str())
        })
    });
    match service {
        Some(service) => Ok((service, action.to_owned())),
        None => Err(no_such_version(action, version)),
    }
}

/// Checks that the model has the operation's shapes. EC2 accepts every version of its API, as in AWS.
fn supported(service: Service, protocol: Protocol, operation: &str, form: &Node) -> Result<(), ApiError> {
    let model = Model::of(service);
    let version = form.text_of("Version");
    if protocol == Protocol::Query && version != Some(model.version.as_str()) {
        return Err(no_such_version(operation, version));
    }
    if model.operation(operation).is_some() {
        return Ok(());
    }
    if model.knows(operation) {
        return Err(service.unsupported(protocol, operation));
    }
    let shown: String = operation.chars().take(128).collect();
    if !protocol.is_form() {
        return Err(unknown(&format!("Unknown operation {shown}.")));
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
