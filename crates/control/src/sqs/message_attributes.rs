//! Attributes of messages: which names, types and values are valid, and which of them a receive returns.

use super::content::value_of;
use super::errors::invalid;
use forebay_awswire::ApiError;
use serde_json::{Map, Value};

/// The most attributes of a message.
const MOST: usize = 10;
/// The most characters of a name, and of a type.
const NAME: usize = 256;

/// The valid attributes of a message that is being sent, reduced to the members that matter.
pub(super) fn checked(given: &Value) -> Result<Map<String, Value>, ApiError> {
    let Some(given) = given.as_object() else {
        return Ok(Map::new());
    };
    if given.len() > MOST {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MOST}].",
            given.len()
        )));
    }
    for (name, attribute) in given {
        check_name(name)?;
        check_type(name, attribute["DataType"].as_str().unwrap_or_default())?;
        check_value(name, attribute)?;
    }
    Ok(given.clone())
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let lower = name.to_ascii_lowercase();
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > NAME {
        return Err(invalid(format!(
            "Message attribute name must have 1 to {NAME} characters."
        )));
    }
    if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        return Err(invalid(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use.",
        ));
    }
    if !name.bytes().all(letters) || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(invalid(format!(
            "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and \
             period (.) characters."
        )));
    }
    Ok(())
}

fn check_type(name: &str, kind: &str) -> Result<(), ApiError> {
    if kind.is_empty() {
        return Err(invalid(format!(
            "The message attribute '{name}' must contain a non-empty message attribute type."
        )));
    }
    if kind.len() > NAME {
        return Err(invalid(format!(
            "The type of message attribute '{name}' has more than {NAME} characters."
        )));
    }
    let base = kind.split('.').next().unwrap_or_default();
    if !["String", "Number", "Binary"].contains(&base) {
        return Err(invalid(format!(
            "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, \
             and String."
        )));
    }
    Ok(())
}

fn check_value(name: &str, attribute: &Value) -> Result<(), ApiError> {
    let kind = attribute["DataType"].as_str().unwrap_or_default();
    let field = if kind.starts_with("Binary") {
        "BinaryValue"
    } else {
        "StringValue"
    };
    let lists = ["StringListValues", "BinaryListValues"];
    if lists.iter().any(|list| {
        attribute[*list]
            .as_array()
            .is_some_and(|values| !values.is_empty())
    }) {
        return Err(invalid(format!(
            "Message attribute list values in SendMessage operation are not supported: '{name}'."
        )));
    }
    let (_, value) = value_of(attribute);
    if attribute[field].is_null() || value.is_empty() {
        return Err(invalid(format!(
            "The message attribute '{name}' must contain a non-empty message attribute value for message attribute type '{kind}'."
        )));
    }
    let text = attribute["StringValue"].as_str().unwrap_or_default();
    if let Some(letter) = text.chars().find(|letter| !is_allowed(*letter)) {
        return Err(invalid(format!(
            "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to \
             #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
            u32::from(letter)
        )));
    }
    if kind.starts_with("Number") && text.trim().parse::<f64>().is_err() {
        return Err(invalid(format!(
            "Can't cast the value of message attribute '{name}' to a number."
        )));
    }
    Ok(())
}

/// Whether a character is allowed in a message: those of XML 1.0.
pub(super) fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// How many bytes attributes count for.
pub(super) fn size(attributes: &Map<String, Value>) -> usize {
    let sizes = attributes.iter().map(|(name, attribute)| {
        let kind = attribute["DataType"].as_str().unwrap_or_default();
        name.len() + kind.len() + value_of(attribute).1.len()
    });
    sizes.sum()
}

/// The attributes that a receive asks for: by name, by prefix (`app.*`), or all.
pub(super) fn chosen(attributes: &Map<String, Value>, asked: &[String]) -> Map<String, Value> {
    let is_asked = |name: &str| {
        asked.iter().any(|pattern| match pattern.as_str() {
            "All" | ".*" => true,
            pattern => match pattern.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => pattern == name,
            },
        })
    };
    let chosen = attributes.iter().filter(|(name, _)| is_asked(name));
    chosen
        .map(|(name, attribute)| (name.clone(), attribute.clone()))
        .collect()
}
