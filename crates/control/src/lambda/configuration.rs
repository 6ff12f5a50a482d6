//! The configuration of functions: read, validated and described.

use super::errors::invalid;
use super::lookup::LATEST;
use super::records::Function;
use super::upload::told;
use crate::api::context::View;
use crate::iam::may_be_assumed_by;
use forebay_awswire::ApiError;
use forebay_functions::Runtime;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most bytes of all environment variables (AWS's quota).
const ENVIRONMENT: usize = 4096;
/// The longest timeout, in seconds.
const TIMEOUT: i64 = 900;
/// The most memory in MiB.
const MEMORY: i64 = 10_240;

/// Environment variables that Lambda itself sets.
const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// The runtime with that name.
pub(super) fn runtime(name: &str) -> Option<Runtime> {
    if name.starts_with("python3") {
        Some(Runtime::Python)
    } else if name.starts_with("nodejs") {
        Some(Runtime::Node)
    } else {
        name.starts_with("provided").then_some(Runtime::Provided)
    }
}

/// Applies the input's members. A new function has been given its defaults before.
pub(super) fn set(view: &View<'_>, function: &mut Function) -> Result<(), ApiError> {
    let input = &view.request.input;
    refuse_what_is_not_built(input)?;
    let text = |name: &str| input[name].as_str().map(str::to_owned);
    if let Some(name) = text("Runtime") {
        if runtime(&name).is_none() {
            return Err(invalid(format!(
                "Forebay runs python3.x, nodejs and provided.* functions, and no {name}. Any program that speaks the Lambda Runtime API \
                 runs as provided.al2023 with an executable file 'bootstrap'."
            )));
        }
        function.runtime = name;
    }
    if let Some(role) = text("Role") {
        let home = view.home();
        let known = home.roles.values().find(|known| known.arn == role);
        if !known.is_some_and(|known| may_be_assumed_by(known, "lambda.amazonaws.com")) {
            return Err(invalid(
                "The role defined for the function cannot be assumed by Lambda.",
            ));
        }
        function.role = role;
    }
    function.handler = text("Handler").unwrap_or_else(|| function.handler.clone());
    function.description = text("Description").unwrap_or_else(|| function.description.clone());
    function.timeout_s = number(input, "Timeout", TIMEOUT)?.unwrap_or(function.timeout_s);
    function.memory_mib = number(input, "MemorySize", MEMORY)?.unwrap_or(function.memory_mib);
    if let Some(size) = input["EphemeralStorage"]["Size"].as_u64() {
        function.ephemeral_mib = u32::try_from(size).unwrap_or(u32::MAX);
    }
    if let Some(given) = input["Environment"].as_object() {
        function.environment = environment(given.get("Variables").unwrap_or(&Value::Null))?;
    }
    if let Some(mode) = input["TracingConfig"]["Mode"].as_str() {
        mode.clone_into(&mut function.tracing);
    }
    if !input["DeadLetterConfig"].is_null() {
        function.dead_letter = dead_letter(view)?;
    }
    if let Some(logging) = input["LoggingConfig"].as_object() {
        function.logging = Some(Value::Object(logging.clone()));
    }
    let runs_bootstrap = runtime(&function.runtime) == Some(Runtime::Provided);
    if function.runtime.is_empty() || function.handler.is_empty() && !runs_bootstrap {
        return Err(invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    Ok(())
}

fn refuse_what_is_not_built(input: &Value) -> Result<(), ApiError> {
    let is_there = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    let refused = [
        ("Layers", is_there(&input["Layers"])),
        ("FileSystemConfigs", is_there(&input["FileSystemConfigs"])),
        ("VpcConfig", is_there(&input["VpcConfig"]["SubnetIds"])),
        ("PackageType Image", input["PackageType"] == "Image"),
        ("CodeSigningConfigArn", is_there(&input["CodeSigningConfigArn"])),
        ("KMSKeyArn", is_there(&input["KMSKeyArn"])),
        ("TenancyConfig", is_there(&input["TenancyConfig"])),
        (
            "CapacityProviderConfig",
            is_there(&input["CapacityProviderConfig"]),
        ),
        ("DurableConfig", is_there(&input["DurableConfig"])),
        ("AcceleratorConfig", is_there(&input["AcceleratorConfig"])),
        ("SnapStart", input["SnapStart"]["ApplyOn"] == "PublishedVersions"),
        ("Publish", input["Publish"] == true),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(invalid(format!(
            "{name} is not supported by Forebay: leave it out."
        ))),
        None => Ok(()),
    }
}

fn number(input: &Value, name: &str, most: i64) -> Result<Option<u32>, ApiError> {
    match input[name].as_i64() {
        None => Ok(None),
        Some(number) if number <= most => Ok(u32::try_from(number).ok()),
        Some(number) => Err(invalid(format!(
            "'{name}' value failed to satisfy constraint: {number} is more than {most}."
        ))),
    }
}

fn environment(given: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let given = given.as_object().into_iter().flatten();
    let variables: BTreeMap<String, String> = given
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let reserved: Vec<&str> = RESERVED
        .into_iter()
        .filter(|name| variables.contains_key(*name))
        .collect();
    if !reserved.is_empty() {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided contains \
             reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    if let Some(name) = variables
        .keys()
        .find(|name| name.contains('\0') || variables[*name].contains('\0'))
    {
        return Err(invalid(format!(
            "The environment variable {name} has a zero byte."
        )));
    }
    if variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        > ENVIRONMENT
    {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the \
             {ENVIRONMENT} bytes limit."
        )));
    }
    Ok(variables)
}

fn dead_letter(view: &View<'_>) -> Result<Option<String>, ApiError> {
    let arn = view.request.input["DeadLetterConfig"]["TargetArn"]
        .as_str()
        .unwrap_or_default();
    if arn.is_empty() {
        return Ok(None);
    }
    match view.region().queues.values().find(|queue| queue.arn == arn) {
        None => Err(invalid(format!(
            "The dead-letter queue {arn} does not exist: only queues of SQS are served."
        ))),
        Some(queue) if queue.fifo() => Err(invalid(format!(
            "The dead-letter queue {arn} is a FIFO queue, which a function cannot have: give a standard queue."
        ))),
        Some(_) => Ok(Some(arn.to_owned())),
    }
}

/// A function as answers show it.
pub(super) fn shown(function: &Function, qualified: bool) -> Value {
    let arn = if qualified {
        format!("{}:{LATEST}", function.arn)
    } else {
        function.arn.clone()
    };
    let mut shown = json!({
        "FunctionName": function.name,
        "FunctionArn": arn,
        "Runtime": function.runtime,
        "Role": function.role,
        "Handler": function.handler,
        "CodeSize": function.code_size,
        "Description": function.description,
        "Timeout": function.timeout_s,
        "MemorySize": function.memory_mib,
        "LastModified": stamp(function.modified),
        "CodeSha256": told(&function.code_sha256),
        "Version": LATEST,
        "TracingConfig": {"Mode": function.tracing},
        "RevisionId": function.revision,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": [function.architecture],
        "EphemeralStorage": {"Size": function.ephemeral_mib},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    });
    if !function.environment.is_empty() {
        shown["Environment"] = json!({"Variables": function.environment});
    }
    if let Some(arn) = &function.dead_letter {
        shown["DeadLetterConfig"] = json!({"TargetArn": arn});
    }
    let group = format!("/aws/lambda/{}", function.name);
    let mut logging = function.logging.clone().unwrap_or_else(|| json!({}));
    if logging["LogFormat"].is_null() {
        logging["LogFormat"] = json!("Text");
    }
    if logging["LogGroup"].is_null() {
        logging["LogGroup"] = json!(group);
    }
    shown["LoggingConfig"] = logging;
    shown
}

/// A time in Lambda's format.
fn stamp(at: Wall) -> String {
    let written = forebay_awswire::timestamp(at.seconds() as f64);
    written.replace('Z', "+0000")
}
