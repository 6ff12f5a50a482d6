//! Checks an operation's input against its shape (required, length, range, pattern and enum), with AWS's messages.

use crate::model::{Kind, Model, Shape, ShapeId, capitalised};
use crate::{ApiError, Protocol};
use serde_json::Value;

/// Members that an operation checks itself, because AWS answers with the operation's own message there: (operation, path
/// without list indexes).
const EXEMPT: &[(&str, &str)] = &[
    // "Protocol X is not supported" instead of the enum's text.
    ("ModifyListener", "protocol"),
    // The operation lists fewer protocols than the model does.
    ("CreateListener", "protocol"),
    // Under the moto dialect any text is accepted; otherwise `control` answers with the enum's message.
    ("CreateTargetGroup", "healthCheckProtocol"),
    ("CreateTargetGroup", "targetType"),
    (
        "CreateListener",
        "defaultActions.member.redirectConfig.statusCode",
    ),
    (
        "ModifyListener",
        "defaultActions.member.redirectConfig.statusCode",
    ),
    ("CreateRule", "actions.member.redirectConfig.statusCode"),
    ("ModifyRule", "actions.member.redirectConfig.statusCode"),
    (
        "CreateListener",
        "defaultActions.member.authenticateOidcConfig.onUnauthenticatedRequest",
    ),
    (
        "ModifyListener",
        "defaultActions.member.authenticateOidcConfig.onUnauthenticatedRequest",
    ),
    (
        "CreateRule",
        "actions.member.authenticateOidcConfig.onUnauthenticatedRequest",
    ),
    (
        "ModifyRule",
        "actions.member.authenticateOidcConfig.onUnauthenticatedRequest",
    ),
    // "The ContentType must be one of: ..." instead of the length's text.
    (
        "CreateListener",
        "defaultActions.member.fixedResponseConfig.contentType",
    ),
    (
        "ModifyListener",
        "defaultActions.member.fixedResponseConfig.contentType",
    ),
    ("CreateRule", "actions.member.fixedResponseConfig.contentType"),
    ("ModifyRule", "actions.member.fixedResponseConfig.contentType"),
];

/// Maximum number of violations listed in one answer.
const VIOLATION_LIMIT: usize = 10;
/// Maximum number of characters of a wrong value that an answer repeats.
const ECHO_LIMIT: usize = 1024;

/// Checks `input`, which has the types of `shape`, against the shape's constraints.
pub(crate) fn check(
    model: &Model,
    protocol: Protocol,
    operation: &str,
    shape: ShapeId,
    input: &Value,
) -> Result<(), ApiError> {
    let mut check = Check {
        model,
        protocol,
        operation,
        violations: Vec::new(),
    };
    check.value(shape, input, &Path::default());
    match (protocol, check.violations.len()) {
        (_, 0) => Ok(()),
        (_, _) if model.tells_missing && check.violations[0].value.is_none() => {
            Err(missing(&capitalised(&check.violations[0].path)))
        }
        (Protocol::Ec2, _) => {
            let Violation { value, path, rule } = &check.violations[0];
            Err(ec2_error(value.as_deref(), path, rule))
        }
        (_, count) => {
            let noun = if count == 1 { "error" } else { "errors" };
            let texts: Vec<String> = check.violations.iter().map(Violation::coral).collect();
            Err(ApiError::sender(
                if model.query_compatible {
                    Protocol::Query.broken_rule()
                } else {
                    protocol.broken_rule()
                },
                format!("{count} validation {noun} detected: {}", texts.join("; ")),
            ))
        }
    }
}

/// A violated rule: the value (`None` if it is missing), its path, and the rule.
struct Violation {
    value: Option<String>,
    path: String,
    rule: String,
}

impl Violation {
    fn coral(&self) -> String {
        let Violation { value, path, rule } = self;
        match value {
            Some(value) => format!("Value '{value}' at '{path}' failed to satisfy constraint: {rule}"),
            None => format!("Value null at '{path}' failed to satisfy constraint: {rule}"),
        }
    }
}

fn missing(path: &str) -> ApiError {
    ApiError::sender(
        "MissingParameter",
        format!("The request must contain the parameter {path}"),
    )
}

fn ec2_error(value: Option<&str>, path: &str, rule: &str) -> ApiError {
    match value {
        None => missing(path),
        Some(value) => ApiError::sender(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {path} is invalid. {rule}."),
        ),
    }
}

/// The present path in the input: as reported to the caller, and without indexes for [`EXEMPT`].
#[derive(Clone, Default)]
struct Path {
    told: String,
    plain: String,
}

impl Path {
    fn step(&self, told: &str, plain: &str) -> Path {
        let join = |path: &str, step: &str| {
            if path.is_empty() {
                step.to_owned()
            } else {
                format!("{path}.{step}")
            }
        };
        Path {
            told: join(&self.told, told),
            plain: join(&self.plain, plain),
        }
    }
}

struct Check<'a> {
    model: &'a Model,
    protocol: Protocol,
    operation: &'a str,
    violations: Vec<Violation>,
}

impl Check<'_> {
    fn value(&mut self, id: ShapeId, value: &Value, path: &Path) {
        let shape = self.model.shape(id);
        if self.violations.len() >= VIOLATION_LIMIT {
            return;
        }
        for rule in broken(shape, value) {
            self.add(Some(echo(value)), path, rule);
        }
        match (&shape.kind, value) {
            (Kind::Structure(members), Value::Object(given)) => {
                for member in members {
                    let name = match self.protocol {
                        Protocol::Ec2 => member.input.clone(),
                        _ => lower_camel(&member.name),
                    };
                    let path = path.step(&name, &name);
                    match given.get(&member.name) {
                        Some(below) => self.value(member.shape, below, &path),
                        None if member.required => {
                            self.add(None, &path, "Member must not be null".to_owned());
                        }
                        None => {}
                    }
                }
            }
            (Kind::List { item, .. }, Value::Array(items)) => self.items(*item, value, items, path),
            (Kind::Map { key, value: item, .. }, Value::Object(given)) => {
                for (name, below) in given {
                    let path = path.step(&format!("{name}.member"), "member");
                    self.value(*key, &Value::String(name.clone()), &path);
                    self.value(*item, below, &path);
                }
            }
            _ => {}
        }
    }

    /// A list of plain values is reported as one value, as in AWS; a list of structures item by item.
    fn items(&mut self, item: ShapeId, list: &Value, items: &[Value], path: &Path) {
        let shape = self.model.shape(item);
        if matches!(
            shape.kind,
            Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. }
        ) || self.protocol == Protocol::Ec2
        {
            for (index, below) in items.iter().enumerate() {
                let path = match self.protocol {
                    Protocol::Ec2 => path.step(&(index + 1).to_string(), "member"),
                    _ => path.step(&format!("{}.member", index + 1), "member"),
                };
                self.value(item, below, &path);
            }
        } else if items.iter().any(|below| !broken(shape, below).is_empty()) {
            let rules = rules(shape).join(", ");
            self.add(
                Some(echo(list)),
                path,
                format!("Member must satisfy constraint: [{rules}]"),
            );
        }
    }

    fn add(&mut self, value: Option<String>, path: &Path, rule: String) {
        let exempt = EXEMPT
            .iter()
            .any(|(operation, member)| *operation == self.operation && *member == path.plain);
        if !exempt && self.violations.len() < VIOLATION_LIMIT {
            self.violations.push(Violation {
                value,
                path: path.told.clone(),
                rule,
            });
        }
    }
}

/// The rules of `shape` that this value itself violates, without those of its members.
fn broken(shape: &Shape, value: &Value) -> Vec<String> {
    let measure = match (&shape.kind, value) {
        (Kind::Text | Kind::Blob, Value::String(text)) => Some(text.chars().count() as i64),
        (Kind::List { .. }, Value::Array(items)) => Some(items.len() as i64),
        (Kind::Map { .. }, Value::Object(entries)) => Some(entries.len() as i64),
        (Kind::Integer, number) => number.as_i64(),
        (Kind::Float, number) => number.as_f64().map(|float| float as i64),
        _ => None,
    };
    let mut broken = Vec::new();
    if let Some(measure) = measure {
        if shape.max.is_some_and(|max| measure > max) {
            broken.extend(rule_max(shape));
        }
        if shape.min.is_some_and(|min| measure < min) {
            broken.extend(rule_min(shape));
        }
    }
    if let Value::String(text) = value {
        if shape
            .pattern
            .as_ref()
            .is_some_and(|pattern| !pattern.matches(text))
        {
            broken.extend(rule_pattern(shape));
        }
        if !shape.choices.is_empty() && !shape.choices.contains(text) {
            broken.extend(rule_choices(shape));
        }
    }
    broken
}

/// All rules of a shape.
fn rules(shape: &Shape) -> Vec<String> {
    [
        rule_max(shape),
        rule_min(shape),
        rule_pattern(shape),
        rule_choices(shape),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn measured(shape: &Shape) -> &'static str {
    if matches!(shape.kind, Kind::Integer | Kind::Float) {
        "value"
    } else {
        "length"
    }
}

fn rule_max(shape: &Shape) -> Option<String> {
    shape
        .max
        .map(|max| format!("Member must have {} less than or equal to {max}", measured(shape)))
}

fn rule_min(shape: &Shape) -> Option<String> {
    shape.min.map(|min| {
        format!(
            "Member must have {} greater than or equal to {min}",
            measured(shape)
        )
    })
}

fn rule_pattern(shape: &Shape) -> Option<String> {
    let pattern = shape.pattern.as_ref()?;
    Some(format!(
        "Member must satisfy regular expression pattern: {}",
        pattern.source
    ))
}

fn rule_choices(shape: &Shape) -> Option<String> {
    if shape.choices.is_empty() {
        return None;
    }
    Some(format!(
        "Member must satisfy enum value set: [{}]",
        shape.choices.join(", ")
    ))
}

/// The value as AWS repeats it: plain texts, and lists in brackets.
fn echo(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        if out.len() > ECHO_LIMIT {
            return;
        }
        match value {
            Value::String(text) => out.push_str(text),
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    write(item, out);
                }
                out.push(']');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    if out.chars().count() > ECHO_LIMIT {
        out.chars().take(ECHO_LIMIT).collect()
    } else {
        out
    }
}

fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}
