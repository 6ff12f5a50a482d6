//! Reads a form's tree by an operation's input shape, for AWS Query and EC2's dialect of it.

use crate::ApiError;
use crate::model::{Kind, Model, ShapeId};
use crate::tree::Node;
use base64::Engine as _;
use serde_json::{Map, Number, Value};

/// Maximum number of items in one list. The service models allow far fewer.
const LIST_LIMIT: usize = 10_000;

/// Top-level names of a form that belong to the protocol and not to the operation.
const PROTOCOL_NAMES: [&str; 9] = [
    "Action",
    "Version",
    "AWSAccessKeyId",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
    "Expires",
];

/// Reads the forms of one service.
pub(crate) struct Form {
    pub(crate) model: &'static Model,
    pub(crate) ec2: bool,
}

impl Form {
    /// The operation's input. Unknown names are ignored, as in AWS Query; EC2 refuses them.
    pub(crate) fn input(&self, shape: ShapeId, root: &Node) -> Result<Value, ApiError> {
        if self.ec2
            && let Kind::Structure(members) = &self.model.shape(shape).kind
        {
            let known = |name: &str| {
                PROTOCOL_NAMES.contains(&name)
                    || name.starts_with("X-Amz-")
                    || members.iter().any(|member| member.input == name)
            };
            if let Some(unknown) = root.below.keys().find(|name| !known(name)) {
                return Err(ApiError::sender(
                    "UnknownParameter",
                    format!("The parameter {unknown} is not recognized"),
                ));
            }
        }
        self.value(shape, root, "")
    }

    fn value(&self, shape: ShapeId, node: &Node, path: &str) -> Result<Value, ApiError> {
        match &self.model.shape(shape).kind {
            Kind::Structure(members) => {
                if node.text.as_ref().is_some_and(|text| !text.is_empty()) {
                    return Err(self.malformed(path, node, "a structure"));
                }
                let mut object = Map::new();
                for member in members {
                    let called = self.model.element(member.shape, &member.input);
                    if let Some(below) = node.below.get(called) {
                        let value = self.value(member.shape, below, &join(path, called))?;
                        object.insert(member.name.clone(), value);
                    } else if member.required && called != member.input {
                        // Its items take its place, so without any it is empty.
                        let empty = self.value(member.shape, &Node::default(), called)?;
                        object.insert(member.name.clone(), empty);
                    }
                }
                Ok(Value::Object(object))
            }
            Kind::List {
                item, repeated: true, ..
            } if node.below.is_empty() && node.text.is_some() => {
                // The only item, without a number.
                Ok(Value::Array(vec![self.value(*item, node, path)?]))
            }
            Kind::List {
                item,
                name,
                flattened,
                ..
            } => self.list(*item, name, *flattened, node, path),
            Kind::Map {
                key,
                value,
                entry,
                key_name,
                value_name,
            } => {
                let mut object = Map::new();
                let entries = if entry.is_some() && node.below.contains_key(key_name) {
                    // The only entry, without a number.
                    vec![(path.to_owned(), node)]
                } else if entry.is_some() {
                    self.indexed(Some(node), path)?
                } else {
                    self.indexed(node.below.get("entry"), &join(path, "entry"))?
                };
                for (path, entry) in entries {
                    let (Some(name), Some(below)) = (entry.below.get(key_name), entry.below.get(value_name))
                    else {
                        return Err(self.malformed(&path, entry, "a map entry"));
                    };
                    let Value::String(name) = self.value(*key, name, &join(&path, key_name))? else {
                        return Err(self.malformed(&path, entry, "a map key"));
                    };
                    object.insert(name, self.value(*value, below, &join(&path, value_name))?);
                }
                Ok(Value::Object(object))
            }
            kind => self.scalar(kind, node, path),
        }
    }

    fn list(
        &self,
        item: ShapeId,
        name: &str,
        flattened: bool,
        node: &Node,
        path: &str,
    ) -> Result<Value, ApiError> {
        if node.text.as_ref().is_some_and(|text| !text.is_empty()) {
            return Err(self.malformed(path, node, "a list"));
        }
        let entries = if flattened {
            self.indexed(Some(node), path)?
        } else {
            self.indexed(node.below.get(name), &join(path, name))?
        };
        let items: Result<Vec<Value>, ApiError> = entries
            .into_iter()
            .map(|(path, entry)| self.value(item, entry, &path))
            .collect();
        Ok(Value::Array(items?))
    }

    /// The numbered children in the order of their numbers; gaps are allowed.
    fn indexed<'n>(&self, node: Option<&'n Node>, path: &str) -> Result<Vec<(String, &'n Node)>, ApiError> {
        let Some(node) = node else { return Ok(Vec::new()) };
        let mut entries = Vec::with_capacity(node.below.len().min(LIST_LIMIT));
        for (key, entry) in &node.below {
            let Ok(index) = key.parse::<u32>() else {
                return Err(self.malformed(&join(path, key), entry, "a list index"));
            };
            entries.push((index, entry));
        }
        if entries.len() > LIST_LIMIT {
            return Err(ApiError::sender(
                "MalformedInput",
                format!("Too many items at {path}."),
            ));
        }
        entries.sort_by_key(|(index, _)| *index);
        Ok(entries
            .into_iter()
            .map(|(index, entry)| (join(path, &index.to_string()), entry))
            .collect())
    }

    fn scalar(&self, kind: &Kind, node: &Node, path: &str) -> Result<Value, ApiError> {
        let text = match &node.text {
            Some(text) if node.below.is_empty() => text.as_str(),
            _ => return Err(self.malformed(path, node, "a single value")),
        };
        let value =
            match kind {
                Kind::Integer => text.trim().parse::<i64>().ok().map(Value::from),
                // A number that is not finite stays text, because a value cannot represent it; operations then refuse it.
                Kind::Float => text.trim().parse::<f64>().ok().map(|float| {
                    Number::from_f64(float).map_or_else(|| Value::from(text.trim()), Value::Number)
                }),
                Kind::Boolean if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
                Kind::Boolean if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
                Kind::Boolean => None,
                Kind::Blob => {
                    let decoded = base64::engine::general_purpose::STANDARD.decode(text.trim());
                    decoded.ok().map(|_| Value::String(text.trim().to_owned()))
                }
                Kind::Timestamp => epoch_seconds(text),
                _ => Some(Value::String(text.to_owned())),
            };
        let expected = match kind {
            Kind::Integer => "an integer",
            Kind::Float => "a number",
            Kind::Boolean => "a boolean",
            Kind::Blob => "base64",
            _ => "a timestamp",
        };
        value.ok_or_else(|| self.malformed(path, node, expected))
    }

    fn malformed(&self, path: &str, node: &Node, expected: &str) -> ApiError {
        let given: String = node
            .text
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(256)
            .collect();
        if self.ec2 {
            let message = format!("Invalid value '{given}' for {path}. Must be {expected}.");
            return ApiError::sender("InvalidParameterValue", message);
        }
        ApiError::sender(
            "MalformedInput",
            format!("Unexpected value '{given}' at {path}: expected {expected}."),
        )
    }
}

/// Seconds since the epoch, from an ISO 8601 text or a plain number.
pub(crate) fn epoch_seconds(text: &str) -> Option<Value> {
    if let Ok(at) = text.trim().parse::<jiff::Timestamp>() {
        return Number::from_f64(at.as_microsecond() as f64 / 1e6).map(Value::Number);
    }
    text.trim()
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() {
        step.to_owned()
    } else {
        format!("{path}.{step}")
    }
}
