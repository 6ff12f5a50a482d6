//! Conditions of rules: conversion from the API's form to the model's, and back.

use crate::api::errors::validation;
use crate::elbv2::records::StatedCondition;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{Condition, QueryMatch, TextMatch, limits};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

const FIELDS: [&str; 6] = [
    "path-pattern",
    "host-header",
    "http-header",
    "http-request-method",
    "query-string",
    "source-ip",
];
/// The most characters of a condition's value (user guide for Application Load Balancers, "Rule condition types").
const VALUE_CHARS: usize = 128;
/// The most characters of a header's name or a method.
const NAME_CHARS: usize = 40;

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ValuesConfig {
    values: Option<Vec<String>>,
    regex_values: Option<Vec<String>>,
    http_header_name: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PairInput {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct QueryConfig {
    values: Vec<PairInput>,
}

/// A condition as calls give it.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ConditionInput {
    field: Option<String>,
    values: Option<Vec<String>>,
    regex_values: Option<Vec<String>>,
    host_header_config: Option<ValuesConfig>,
    path_pattern_config: Option<ValuesConfig>,
    http_header_config: Option<ValuesConfig>,
    query_string_config: Option<QueryConfig>,
    http_request_method_config: Option<ValuesConfig>,
    source_ip_config: Option<ValuesConfig>,
}

/// Reads a rule's conditions.
pub(crate) fn read_conditions(
    given: Vec<ConditionInput>,
    dialect: Dialect,
) -> Result<Vec<StatedCondition>, ApiError> {
    if given.is_empty() && dialect == Dialect::Aws {
        return Err(validation("A condition must be specified"));
    }
    let conditions = given
        .into_iter()
        .map(read_condition)
        .collect::<Result<Vec<_>, _>>()?;
    check_rule(&conditions, dialect)?;
    Ok(conditions)
}

/// Checks the conditions of a rule together.
fn check_rule(conditions: &[StatedCondition], dialect: Dialect) -> Result<(), ApiError> {
    let values: usize = conditions
        .iter()
        .map(|stated| value_count(&stated.condition))
        .sum();
    let limit = limits::CONDITION_VALUES_PER_RULE.max as usize;
    if values > limit {
        return Err(validation(format!(
            "A rule can only have '{limit}' condition values"
        )));
    }
    let wildcards: usize = conditions
        .iter()
        .map(|stated| wildcard_count(&stated.condition))
        .sum();
    let limit = limits::WILDCARDS_PER_RULE.max as usize;
    if wildcards > limit {
        return Err(validation(format!(
            "A rule can only have '{limit}' condition wildcards"
        )));
    }
    if dialect == Dialect::Moto {
        return Ok(());
    }
    for field in ["host-header", "path-pattern", "http-request-method", "source-ip"] {
        if conditions
            .iter()
            .filter(|stated| field_of(&stated.condition) == field)
            .count()
            > 1
        {
            return Err(validation(format!(
                "A rule can only have one '{field}' condition"
            )));
        }
    }
    Ok(())
}

/// The field must be known, and have values only where it takes them.
fn check_field(field: &str, given: &ConditionInput) -> Result<(), ApiError> {
    if !FIELDS.contains(&field) {
        let text = format!(
            "Condition field '{field}' must be one of '[{}]'",
            FIELDS.join(",")
        );
        return Err(validation(text));
    }
    let takes_plain = matches!(field, "host-header" | "path-pattern");
    if !takes_plain && given.values.as_ref().is_some_and(|values| !values.is_empty()) {
        return Err(validation(format!(
            "The 'Values' field is not compatible with '{field}'"
        )));
    }
    let takes_regexes = takes_plain || field == "http-header";
    if !takes_regexes
        && given
            .regex_values
            .as_ref()
            .is_some_and(|values| !values.is_empty())
    {
        return Err(validation(format!(
            "The 'RegexValues' field is not compatible with '{field}'"
        )));
    }
    Ok(())
}

fn read_condition(given: ConditionInput) -> Result<StatedCondition, ApiError> {
    let Some(field) = given.field.as_deref() else {
        return Err(validation("A condition field must be specified"));
    };
    check_field(field, &given)?;
    let wanted = |config: &str| validation(format!("A '{config}' must be specified with '{field}'"));
    let mut plain = false;
    let condition = match field {
        "host-header" => {
            let text = read_text(
                field,
                "HostHeaderConfig",
                &given,
                given.host_header_config.clone(),
                &mut plain,
            )?;
            check_patterns(&text, check_host)?;
            Condition::HostHeader(text)
        }
        "path-pattern" => {
            let text = read_text(
                field,
                "PathPatternConfig",
                &given,
                given.path_pattern_config.clone(),
                &mut plain,
            )?;
            check_patterns(&text, check_path)?;
            Condition::PathPattern(text)
        }
        "http-header" => {
            let config = given
                .http_header_config
                .clone()
                .ok_or_else(|| wanted("HttpHeaderConfig"))?;
            read_header(&given, config)?
        }
        "http-request-method" => {
            let config = given
                .http_request_method_config
                .clone()
                .ok_or_else(|| wanted("HttpRequestMethodConfig"))?;
            Condition::Method(read_methods(config)?)
        }
        "query-string" => {
            let config = given
                .query_string_config
                .clone()
                .ok_or_else(|| wanted("QueryStringConfig"))?;
            Condition::QueryString(read_query(config)?)
        }
        _ => {
            let config = given
                .source_ip_config
                .clone()
                .ok_or_else(|| wanted("SourceIpConfig"))?;
            Condition::SourceIp(read_networks(config)?)
        }
    };
    Ok(StatedCondition { condition, plain })
}

/// The values of host-header and path-pattern, which may be given in two places.
fn read_text(
    field: &str,
    config_name: &str,
    given: &ConditionInput,
    config: Option<ValuesConfig>,
    plain: &mut bool,
) -> Result<TextMatch, ApiError> {
    let given_values = given.values.clone().filter(|values| !values.is_empty());
    let regexes = given.regex_values.clone().filter(|values| !values.is_empty());
    if let (Some(values), Some(config)) = (&given_values, &config)
        && config.values.as_ref() != Some(values)
    {
        let text =
            format!("You cannot provide both Values and '{config_name}' for a condition of type '{field}'");
        return Err(validation(text));
    }
    let config = match (config, given_values) {
        (Some(config), _) => config,
        (None, Some(values)) => {
            if values.len() > 1 {
                let text = format!("The '{field}' field contains too many values; the limit is '1'");
                return Err(validation(text));
            }
            *plain = true;
            ValuesConfig {
                values: Some(values),
                ..ValuesConfig::default()
            }
        }
        (None, None) => ValuesConfig::default(),
    };
    text_match(field, config, regexes)
}

fn text_match(
    field: &str,
    config: ValuesConfig,
    regexes: Option<Vec<String>>,
) -> Result<TextMatch, ApiError> {
    let values = config.values.filter(|values| !values.is_empty());
    let regexes = config
        .regex_values
        .filter(|values| !values.is_empty())
        .or(regexes);
    let matches = match (values, regexes) {
        (Some(_), Some(_)) => {
            let text =
                format!("You cannot provide both Values and RegexValues for a condition of type '{field}'");
            return Err(validation(text));
        }
        (Some(values), None) => TextMatch::Wildcards(values),
        (None, Some(regexes)) => TextMatch::Regexes(regexes),
        (None, None) => return Err(validation("A condition value must be specified")),
    };
    let (TextMatch::Wildcards(texts) | TextMatch::Regexes(texts)) = &matches;
    for text in texts {
        check_length(field, text, VALUE_CHARS)?;
        if text.is_empty() {
            return Err(validation("A condition value must be specified"));
        }
    }
    Ok(matches)
}

fn check_length(name: &str, text: &str, limit: usize) -> Result<(), ApiError> {
    if text.chars().count() <= limit {
        return Ok(());
    }
    Err(validation(format!(
        "The '{name}' value is too long; the limit is '{limit}'"
    )))
}

fn check_patterns(text: &TextMatch, check: fn(&str) -> bool) -> Result<(), ApiError> {
    let TextMatch::Wildcards(patterns) = text else {
        return Ok(());
    };
    match patterns.iter().find(|pattern| !check(pattern)) {
        None => Ok(()),
        Some(wrong) => Err(validation(format!(
            "Condition value '{wrong}' contains a character that is not valid"
        ))),
    }
}

/// A host may have letters, digits and `-.*?`, and needs a dot, after whose last occurrence only letters or wildcards
/// follow.
fn check_host(host: &str) -> bool {
    let known = |char: char| char.is_ascii_alphanumeric() || "-.*?".contains(char);
    let last = host.rsplit_once('.').map(|(_, last)| last);
    host.chars().all(known)
        && last.is_some_and(|last| {
            !last.is_empty()
                && last
                    .chars()
                    .all(|char| char.is_ascii_alphabetic() || "*?".contains(char))
        })
}

fn check_path(path: &str) -> bool {
    path.chars()
        .all(|char| char.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(char))
}

fn read_header(given: &ConditionInput, config: ValuesConfig) -> Result<Condition, ApiError> {
    let name = config.http_header_name.clone().unwrap_or_default();
    if name.is_empty() {
        return Err(validation(
            "A 'HttpHeaderName' must be specified in 'HttpHeaderConfig'",
        ));
    }
    check_length("HttpHeaderName", &name, NAME_CHARS)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"*?-!#$%&'+.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        return Err(validation(format!(
            "The 'HttpHeaderName' value '{name}' is not a header name"
        )));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(validation(
            "Use a 'host-header' condition to match the Host header",
        ));
    }
    let values = text_match("http-header", config, given.regex_values.clone())?;
    Ok(Condition::HttpHeader { name, values })
}

fn read_methods(config: ValuesConfig) -> Result<Vec<String>, ApiError> {
    let methods = config.values.unwrap_or_default();
    if methods.is_empty() {
        return Err(validation("A 'http-request-method' value must be specified"));
    }
    for method in &methods {
        check_length("http-request-method", method, NAME_CHARS)?;
        if method.is_empty()
            || !method
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
        {
            return Err(validation(
                "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen and underscore",
            ));
        }
    }
    Ok(methods)
}

fn read_query(config: QueryConfig) -> Result<Vec<QueryMatch>, ApiError> {
    if config.values.is_empty() {
        return Err(validation("A 'query-string' value must be specified"));
    }
    let read = |pair: PairInput| {
        let Some(value) = pair.value else {
            return Err(validation(
                "A 'Value' must be specified in 'QueryStringKeyValuePair'",
            ));
        };
        if let Some(key) = &pair.key {
            check_length("Key", key, VALUE_CHARS)?;
        }
        check_length("Value", &value, VALUE_CHARS)?;
        Ok(QueryMatch {
            key: pair.key.filter(|key| !key.is_empty()),
            value,
        })
    };
    config.values.into_iter().map(read).collect()
}

fn read_networks(config: ValuesConfig) -> Result<Vec<IpNet>, ApiError> {
    let values = config.values.unwrap_or_default();
    if values.is_empty() {
        return Err(validation("A 'source-ip' value must be specified"));
    }
    let read = |text: &String| match text.parse::<IpNet>() {
        Ok(network) if text != "255.255.255.255/32" => Ok(network),
        _ => Err(validation(format!(
            "The 'source-ip' value '{text}' must be a valid CIDR block"
        ))),
    };
    values.iter().map(read).collect()
}

fn field_of(condition: &Condition) -> &'static str {
    match condition {
        Condition::HostHeader(_) => "host-header",
        Condition::PathPattern(_) => "path-pattern",
        Condition::HttpHeader { .. } => "http-header",
        Condition::Method(_) => "http-request-method",
        Condition::QueryString(_) => "query-string",
        Condition::SourceIp(_) => "source-ip",
    }
}

fn value_count(condition: &Condition) -> usize {
    match condition {
        Condition::HostHeader(text)
        | Condition::PathPattern(text)
        | Condition::HttpHeader { values: text, .. } => {
            let (TextMatch::Wildcards(values) | TextMatch::Regexes(values)) = text;
            values.len()
        }
        Condition::Method(values) => values.len(),
        Condition::QueryString(values) => values.len(),
        Condition::SourceIp(values) => values.len(),
    }
}

fn wildcard_count(condition: &Condition) -> usize {
    let count = |text: &str| text.bytes().filter(|byte| b"*?".contains(byte)).count();
    // A backslash makes a wildcard literal in query strings only.
    let unescaped = |text: &str| {
        let mut escaped = false;
        let wild = |char: char| {
            let counts = !escaped && "*?".contains(char);
            escaped = !escaped && char == '\\';
            counts
        };
        text.chars().map(wild).filter(|&counts| counts).count()
    };
    match condition {
        Condition::HostHeader(text)
        | Condition::PathPattern(text)
        | Condition::HttpHeader { values: text, .. } => match text {
            TextMatch::Wildcards(values) => values.iter().map(|value| count(value)).sum(),
            TextMatch::Regexes(_) => 0,
        },
        Condition::QueryString(pairs) => pairs
            .iter()
            .map(|pair| unescaped(&pair.value) + pair.key.as_deref().map_or(0, unescaped))
            .sum(),
        Condition::Method(_) | Condition::SourceIp(_) => 0,
    }
}

/// A condition in the API's form. AWS shows a host's or path's values twice; moto shows them as they were given.
pub(crate) fn condition_value(stated: &StatedCondition, dialect: Dialect) -> Value {
    let field = field_of(&stated.condition);
    let text_value = |text: &TextMatch| match text {
        TextMatch::Wildcards(values) => json!({"Values": values}),
        TextMatch::Regexes(values) => json!({"RegexValues": values}),
    };
    let twice = |config: &str, text: &TextMatch| {
        let mut value = json!({"Field": field});
        if dialect == Dialect::Aws || !stated.plain {
            value[config] = text_value(text);
        }
        if dialect == Dialect::Aws || stated.plain {
            match text {
                TextMatch::Wildcards(values) => value["Values"] = json!(values),
                TextMatch::Regexes(values) => value["RegexValues"] = json!(values),
            }
        }
        value
    };
    match &stated.condition {
        Condition::HostHeader(text) => twice("HostHeaderConfig", text),
        Condition::PathPattern(text) => twice("PathPatternConfig", text),
        Condition::HttpHeader { name, values } => {
            let mut config = text_value(values);
            config["HttpHeaderName"] = json!(name);
            json!({"Field": field, "HttpHeaderConfig": config})
        }
        Condition::Method(values) => json!({"Field": field, "HttpRequestMethodConfig": {"Values": values}}),
        Condition::QueryString(pairs) => {
            let pair_value = |pair: &QueryMatch| match &pair.key {
                Some(key) => json!({"Key": key, "Value": pair.value}),
                None => json!({"Value": pair.value}),
            };
            let values: Vec<Value> = pairs.iter().map(pair_value).collect();
            json!({"Field": field, "QueryStringConfig": {"Values": values}})
        }
        Condition::SourceIp(networks) => {
            let values: Vec<String> = networks.iter().map(IpNet::to_string).collect();
            json!({"Field": field, "SourceIpConfig": {"Values": values}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: Value) -> Result<Vec<StatedCondition>, ApiError> {
        read_conditions(serde_json::from_value(given).unwrap(), Dialect::Aws)
    }

    #[test]
    fn host_and_path_values_are_echoed_in_both_places() {
        let conditions = read(json!([{"Field": "path-pattern", "Values": ["/img/*"]}])).unwrap();
        let echo = condition_value(&conditions[0], Dialect::Aws);
        assert_eq!(echo["Values"], json!(["/img/*"]));
        assert_eq!(echo["PathPatternConfig"]["Values"], json!(["/img/*"]));
    }

    #[test]
    fn five_values_per_rule_and_six_wildcards() {
        let six: Vec<String> = (0..6).map(|n| format!("/{n}")).collect();
        let error =
            read(json!([{"Field": "path-pattern", "PathPatternConfig": {"Values": six}}])).unwrap_err();
        assert_eq!(error.message, "A rule can only have '5' condition values");
        let error = read(json!([{"Field": "path-pattern", "Values": ["*******"]}])).unwrap_err();
        assert!(error.message.contains("wildcards"), "{error}");
        assert!(read(json!([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": r"\*\*\*\*\*\*\*"}]}}])).is_ok());
    }

    #[test]
    fn hosts_need_a_dot_and_letters_after_it() {
        for (host, right) in [
            ("example.com", true),
            ("*.example.com", true),
            ("example", false),
            ("a.b.1", false),
            ("a_b.com", false),
        ] {
            let given = json!([{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}]);
            assert_eq!(read(given).is_ok(), right, "{host}");
        }
    }

    #[test]
    fn values_and_regexes_exclude_each_other() {
        let given = json!([{"Field": "http-header", "HttpHeaderConfig":
            {"HttpHeaderName": "x", "Values": ["a"], "RegexValues": ["b"]}}]);
        assert!(read(given).is_err());
    }
}
