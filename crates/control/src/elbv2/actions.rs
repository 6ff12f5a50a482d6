//! Actions of rules: conversion from the API's form to the model's, and back.

use crate::api::errors::{configuration, not_in, validation};
use crate::elbv2::records::{BalancerKind, StatedAction};
use crate::elbv2::redirects::check_redirect;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{Action, FixedResponse, Forward, ForwardStickiness, Redirect, WeightedGroup, limits};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const CONTENT_TYPES: [&str; 5] = [
    "text/html",
    "application/json",
    "application/javascript",
    "text/css",
    "text/plain",
];
/// The most characters of a fixed response's body.
const BODY_CHARS: usize = 1024;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WeightInput {
    #[serde(default)]
    target_group_arn: String,
    weight: Option<i64>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StickinessInput {
    enabled: bool,
    duration_seconds: Option<i64>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ForwardInput {
    target_groups: Vec<WeightInput>,
    target_group_stickiness_config: Option<StickinessInput>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RedirectInput {
    protocol: Option<String>,
    port: Option<String>,
    host: Option<String>,
    path: Option<String>,
    query: Option<String>,
    status_code: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FixedInput {
    message_body: Option<String>,
    status_code: String,
    content_type: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ActionInput {
    r#type: String,
    order: Option<u32>,
    target_group_arn: Option<String>,
    forward_config: Option<ForwardInput>,
    redirect_config: Option<RedirectInput>,
    fixed_response_config: Option<FixedInput>,
}

/// The listener and the call whose actions are read.
pub(crate) struct Setting<'a> {
    pub(crate) kind: BalancerKind,
    pub(crate) protocol: Option<&'a str>,
    pub(crate) dialect: Dialect,
    /// The actions that are replaced, whose client secret may be kept; empty for a new rule.
    pub(crate) before: &'a [StatedAction],
    /// The call's name for the list of actions.
    pub(crate) list: &'static str,
}

/// Reads a rule's actions. The caller checks that the target groups exist and fit.
pub(crate) fn read_actions(given: &[Value], setting: &Setting<'_>) -> Result<Vec<StatedAction>, ApiError> {
    if given.is_empty() && setting.dialect == Dialect::Aws {
        return Err(validation("An action must be specified"));
    }
    let read = |(value, place)| read_action(value, &format!("{}.{place}.member", setting.list), setting);
    let mut actions = given.iter().zip(1..).map(read).collect::<Result<Vec<_>, _>>()?;
    actions.sort_by_key(|stated| stated.order.unwrap_or(0));
    if setting.dialect == Dialect::Aws {
        check_sequence(&actions)?;
    }
    Ok(actions)
}

fn routes(action: &Action) -> bool {
    !matches!(action, Action::Unsupported { .. })
}

/// There must be exactly one forward, redirect or fixed response, in the last place, and at most one authentication
/// before it.
fn check_sequence(actions: &[StatedAction]) -> Result<(), ApiError> {
    let refuse = |code: &'static str, text: &'static str| Err(ApiError::sender(code, text));
    match actions.iter().filter(|stated| routes(&stated.action)).count() {
        1 => {}
        0 => {
            let text = "An action list must end with a forward, redirect or fixed-response action";
            return refuse("InvalidLoadBalancerAction", text);
        }
        _ => {
            return refuse(
                "TooManyActions",
                "Only one forward, redirect or fixed-response action can be specified",
            );
        }
    }
    if !actions.last().is_some_and(|stated| routes(&stated.action)) {
        let text = "The forward, redirect or fixed-response action must be performed last";
        return refuse("InvalidLoadBalancerAction", text);
    }
    if actions.len() > 2 {
        return refuse(
            "TooManyActions",
            "Only one authentication action can be specified",
        );
    }
    if actions.len() > 1 {
        let orders: Vec<Option<u32>> = actions.iter().map(|stated| stated.order).collect();
        if orders.iter().any(Option::is_none) {
            return refuse(
                "ValidationError",
                "An action order must be specified for each of several actions",
            );
        }
        if orders[0] == orders[1] {
            return refuse("ValidationError", "Action orders must be unique");
        }
    }
    Ok(())
}

fn read_action(value: &Value, path: &str, setting: &Setting<'_>) -> Result<StatedAction, ApiError> {
    let given: ActionInput = serde_json::from_value(value.clone())
        .map_err(|error| validation(format!("An action cannot be read: {error}")))?;
    let mut plain = false;
    if setting.kind != BalancerKind::Application && given.r#type != "forward" {
        let text = format!(
            "Action type '{}' is not supported by this load balancer type",
            given.r#type
        );
        return Err(ApiError::sender("InvalidLoadBalancerAction", text));
    }
    let action = match given.r#type.as_str() {
        "forward" => Action::Forward(read_forward(&given, &mut plain, setting.dialect)?),
        "redirect" => read_redirect(value, path, given.redirect_config, setting)?,
        "fixed-response" => Action::FixedResponse(read_fixed(path, given.fixed_response_config)?),
        "authenticate-oidc" => read_authentication(value, path, "AuthenticateOidcConfig", setting)?,
        "authenticate-cognito" => read_authentication(value, path, "AuthenticateCognitoConfig", setting)?,
        "jwt-validation" => read_authentication(value, path, "JwtValidationConfig", setting)?,
        other => return Err(validation(format!("Action type '{other}' is not known"))),
    };
    Ok(StatedAction {
        order: given.order,
        action,
        plain,
    })
}

fn read_forward(given: &ActionInput, plain: &mut bool, dialect: Dialect) -> Result<Forward, ApiError> {
    let config = given
        .forward_config
        .clone()
        .filter(|config| !config.target_groups.is_empty());
    let (groups, stickiness) = match (&given.target_group_arn, config) {
        (None, None) => {
            return Err(validation("A target group ARN must be specified"));
        }
        (Some(arn), None) => {
            *plain = true;
            (
                vec![WeightInput {
                    target_group_arn: arn.clone(),
                    weight: None,
                }],
                None,
            )
        }
        (Some(arn), Some(config)) => {
            if config.target_groups.len() != 1 || config.target_groups[0].target_group_arn != *arn {
                return Err(validation(
                    "You can specify both a target group ARN and a forward config only if they name the same single target group",
                ));
            }
            (config.target_groups, config.target_group_stickiness_config)
        }
        (None, Some(config)) => (config.target_groups, config.target_group_stickiness_config),
    };
    if groups.len() > limits::GROUPS_PER_ACTION.max as usize {
        let text = format!(
            "An action can forward to up to {} target groups",
            limits::GROUPS_PER_ACTION.max
        );
        return Err(ApiError::sender("TooManyTargetGroups", text));
    }
    let read = |group: WeightInput| {
        let weight = u16::try_from(group.weight.unwrap_or(1))
            .ok()
            .filter(|weight| *weight <= 999);
        let wrong = || validation("The weight for each target group must be between 0 and 999, inclusive");
        Ok(WeightedGroup {
            group_arn: group.target_group_arn,
            weight: weight.ok_or_else(wrong)?,
        })
    };
    let groups = groups
        .into_iter()
        .map(read)
        .collect::<Result<Vec<_>, ApiError>>()?;
    Ok(Forward {
        groups,
        stickiness: read_stickiness(stickiness.unwrap_or_default(), dialect)?,
    })
}

/// Stickiness that is enabled needs a duration, except under the moto dialect.
fn read_stickiness(given: StickinessInput, dialect: Dialect) -> Result<ForwardStickiness, ApiError> {
    let wrong = || validation("Target group stickiness duration must be between 1 and 604800 seconds");
    let duration_seconds = match given.duration_seconds {
        None if given.enabled && dialect == Dialect::Aws => return Err(wrong()),
        None => None,
        Some(seconds) => match u32::try_from(seconds) {
            Ok(seconds @ 1..=604_800) => Some(seconds),
            _ => return Err(wrong()),
        },
    };
    Ok(ForwardStickiness {
        enabled: given.enabled,
        duration_seconds,
    })
}

fn read_redirect(
    value: &Value,
    path: &str,
    config: Option<RedirectInput>,
    setting: &Setting<'_>,
) -> Result<Action, ApiError> {
    let Some(given) = config else {
        return Err(validation(
            "A redirect config must be specified with a redirect action",
        ));
    };
    let status = match given.status_code.as_str() {
        "HTTP_301" => 301,
        "HTTP_302" => 302,
        // moto accepts any text. Such a rule is stored, and its requests are answered with an error.
        _ if setting.dialect == Dialect::Moto => return unsupported("redirect", value),
        other => {
            return Err(not_in(
                other,
                &format!("{path}.redirectConfig.statusCode"),
                &["HTTP_301", "HTTP_302"],
            ));
        }
    };
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    let redirect = Redirect {
        protocol: or(given.protocol, "#{protocol}"),
        port: or(given.port, "#{port}"),
        host: or(given.host, "#{host}"),
        path: or(given.path, "/#{path}"),
        query: or(given.query, "#{query}"),
        status,
    };
    if let Err(error) = check_redirect(&redirect, setting.protocol) {
        if setting.dialect == Dialect::Moto {
            return unsupported("redirect", value);
        }
        return Err(error);
    }
    Ok(Action::Redirect(redirect))
}

fn read_fixed(path: &str, config: Option<FixedInput>) -> Result<FixedResponse, ApiError> {
    let Some(given) = config else {
        return Err(validation(
            "A fixed response config must be specified with a fixed-response action",
        ));
    };
    let status = given.status_code.parse::<u16>().ok();
    let Some(status) = status.filter(|status| matches!(status, 200..=299 | 400..=599)) else {
        return Err(validation(format!(
            "1 validation error detected: Value '{}' at '{path}.fixedResponseConfig.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$",
            given.status_code
        )));
    };
    if let Some(kind) = &given.content_type
        && !CONTENT_TYPES.contains(&kind.as_str())
    {
        let list: Vec<String> = CONTENT_TYPES.iter().map(|kind| format!("'{kind}'")).collect();
        let text = format!("The ContentType must be one of:{}", list.join(", "));
        return Err(ApiError::sender("InvalidLoadBalancerAction", text));
    }
    if given
        .message_body
        .as_ref()
        .is_some_and(|body| body.chars().count() > BODY_CHARS)
    {
        return Err(validation(format!(
            "The MessageBody must not have more than {BODY_CHARS} characters"
        )));
    }
    Ok(FixedResponse {
        status,
        content_type: given.content_type,
        body: given.message_body,
    })
}

/// Authentication is stored and described. Until it is implemented, nodes answer requests of such a rule with 500 and
/// forward none.
fn read_authentication(
    value: &Value,
    path: &str,
    config: &str,
    setting: &Setting<'_>,
) -> Result<Action, ApiError> {
    let kind = value["Type"].as_str().unwrap_or_default();
    if value.get(config).is_none_or(|config| !config.is_object()) {
        return Err(validation(format!(
            "A '{config}' must be specified with a '{kind}' action"
        )));
    }
    if setting.dialect == Dialect::Aws {
        let behaviour = value[config]["OnUnauthenticatedRequest"].as_str();
        let known = ["deny", "allow", "authenticate"];
        if let Some(other) = behaviour.filter(|behaviour| !known.contains(behaviour)) {
            let member = config[..1].to_lowercase() + &config[1..];
            return Err(not_in(
                other,
                &format!("{path}.{member}.onUnauthenticatedRequest"),
                &known,
            ));
        }
        if setting.protocol != Some("HTTPS") {
            let text = format!("Actions of type '{kind}' are supported only on HTTPS listeners");
            return Err(ApiError::sender("InvalidLoadBalancerAction", text));
        }
        let endpoints = [
            "AuthorizationEndpoint",
            "TokenEndpoint",
            "UserInfoEndpoint",
            "Issuer",
            "JwksEndpoint",
        ];
        let endpoints = if kind == "jwt-validation" {
            &endpoints[4..]
        } else {
            &endpoints[..4]
        };
        for name in endpoints {
            if let Some(url) = value[config][name].as_str()
                && !url.starts_with("https://")
            {
                return Err(configuration(format!(
                    "The {name} '{url}' must be a full URL beginning with https://"
                )));
            }
        }
        if kind == "authenticate-oidc" {
            return unsupported(kind, &with_secret(value, setting.before)?);
        }
    }
    unsupported(kind, value)
}

/// An action with its client secret: the one in the call, or the stored one if the call says to keep it.
fn with_secret(value: &Value, before: &[StatedAction]) -> Result<Value, ApiError> {
    let mut value = value.clone();
    let config = &mut value["AuthenticateOidcConfig"];
    if config["UseExistingClientSecret"] == true {
        config["ClientSecret"] = before.iter().find_map(|stated| secret(&stated.action)).into();
    }
    if config["ClientSecret"].as_str().is_none_or(str::is_empty) {
        let text = "A 'ClientSecret' must be specified with an 'authenticate-oidc' action";
        return Err(validation(text));
    }
    Ok(value)
}

fn secret(action: &Action) -> Option<String> {
    let Action::Unsupported { raw, .. } = action else {
        return None;
    };
    let raw: Value = serde_json::from_str(raw).ok()?;
    Some(raw["AuthenticateOidcConfig"]["ClientSecret"].as_str()?.to_owned())
}

fn unsupported(kind: &str, value: &Value) -> Result<Action, ApiError> {
    let mut raw = value.clone();
    if let Some(members) = raw.as_object_mut() {
        members.remove("Order");
    }
    Ok(Action::Unsupported {
        kind: kind.to_owned(),
        raw: raw.to_string(),
    })
}

/// An action in the API's form. AWS describes a single group both by its ARN and in a forward config; moto describes it
/// as it was given.
pub(crate) fn action_value(stated: &StatedAction, dialect: Dialect) -> Value {
    let mut value = match &stated.action {
        Action::Forward(forward) => forward_value(forward, stated.plain, dialect),
        Action::Redirect(redirect) => json!({"Type": "redirect", "RedirectConfig": {
            "Protocol": redirect.protocol, "Port": redirect.port, "Host": redirect.host, "Path": redirect.path,
            "Query": redirect.query, "StatusCode": format!("HTTP_{}", redirect.status)}}),
        Action::FixedResponse(fixed) => {
            let mut config = json!({"StatusCode": fixed.status.to_string()});
            if let Some(kind) = &fixed.content_type {
                config["ContentType"] = json!(kind);
            }
            if let Some(body) = &fixed.body {
                config["MessageBody"] = json!(body);
            }
            json!({"Type": "fixed-response", "FixedResponseConfig": config})
        }
        Action::Unsupported { raw, .. } => {
            let mut value: Value = serde_json::from_str(raw).unwrap_or_else(|_| Value::Object(Map::new()));
            if dialect == Dialect::Aws {
                tell_authentication(&mut value);
            }
            value
        }
    };
    if let Some(order) = stated.order {
        value["Order"] = json!(order);
    }
    value
}

/// Shows authentication as AWS does: with its defaults, and without the client secret or the request to keep it.
fn tell_authentication(action: &mut Value) {
    for config in ["AuthenticateOidcConfig", "AuthenticateCognitoConfig"] {
        let Some(config) = action.get_mut(config).and_then(Value::as_object_mut) else {
            continue;
        };
        config.remove("ClientSecret");
        config.remove("UseExistingClientSecret");
        for (name, default) in [
            ("OnUnauthenticatedRequest", json!("authenticate")),
            ("Scope", json!("openid")),
            ("SessionCookieName", json!("AWSELBAuthSessionCookie")),
            ("SessionTimeout", json!(604_800)),
        ] {
            config.entry(name).or_insert(default);
        }
    }
}

fn forward_value(forward: &Forward, plain: bool, dialect: Dialect) -> Value {
    let mut value = json!({"Type": "forward"});
    if let [only] = &forward.groups[..]
        && (dialect == Dialect::Aws || plain)
    {
        value["TargetGroupArn"] = json!(only.group_arn);
    }
    if dialect == Dialect::Aws || !plain {
        let groups: Vec<Value> = forward
            .groups
            .iter()
            .map(|group| json!({"TargetGroupArn": group.group_arn, "Weight": group.weight}))
            .collect();
        let mut stickiness = json!({"Enabled": forward.stickiness.enabled});
        if let Some(seconds) = forward.stickiness.duration_seconds {
            stickiness["DurationSeconds"] = json!(seconds);
        }
        value["ForwardConfig"] = json!({"TargetGroups": groups, "TargetGroupStickinessConfig": stickiness});
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: Value) -> Result<Vec<StatedAction>, ApiError> {
        let setting = Setting {
            kind: BalancerKind::Application,
            protocol: Some("HTTP"),
            dialect: Dialect::Aws,
            before: &[],
            list: "actions",
        };
        read_actions(given.as_array().unwrap(), &setting)
    }

    #[test]
    fn forward_is_echoed_in_both_forms() {
        let actions = read(json!([{"Type": "forward", "TargetGroupArn": "g"}])).unwrap();
        let echo = action_value(&actions[0], Dialect::Aws);
        assert_eq!(
            echo,
            json!({"Type": "forward", "TargetGroupArn": "g", "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": "g", "Weight": 1}],
                "TargetGroupStickinessConfig": {"Enabled": false}}})
        );
    }

    #[test]
    fn redirect_fills_placeholders_and_refuses_loops() {
        let actions = read(
            json!([{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}}]),
        );
        let echo = action_value(&actions.unwrap()[0], Dialect::Aws);
        assert_eq!(echo["RedirectConfig"]["Path"], "/#{path}");
        let same =
            json!([{"Type": "redirect", "RedirectConfig": {"Query": "a=b", "StatusCode": "HTTP_301"}}]);
        assert_eq!(read(same).unwrap_err().code, "InvalidLoadBalancerAction");
        let wrong = json!([{"Type": "redirect", "RedirectConfig":
            {"Host": "#{port}.x", "StatusCode": "HTTP_301"}}]);
        assert_eq!(read(wrong).unwrap_err().code, "ValidationError");
    }

    /// Regression: stickiness could be enabled without a duration, and was then described without one.
    #[test]
    fn group_stickiness_says_for_how_long() {
        let sticky = |config: Value| {
            read(
                json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "g"}],
                "TargetGroupStickinessConfig": config}}]),
            )
        };
        for wrong in [
            json!({"Enabled": true}),
            json!({"Enabled": true, "DurationSeconds": 0}),
            json!({"Enabled": false, "DurationSeconds": 604_801}),
        ] {
            let error = sticky(wrong).unwrap_err();
            let text = "Target group stickiness duration must be between 1 and 604800 seconds";
            assert_eq!((&*error.code, &*error.message), ("ValidationError", text));
        }
        assert!(sticky(json!({"Enabled": false})).is_ok());
        assert!(sticky(json!({"Enabled": true, "DurationSeconds": 604_800})).is_ok());
    }

    #[test]
    fn weights_have_bounds_and_authentication_needs_tls() {
        let heavy = json!([{"Type": "forward", "ForwardConfig":
            {"TargetGroups": [{"TargetGroupArn": "g", "Weight": 1000}]}}]);
        assert!(read(heavy).unwrap_err().message.contains("between 0 and 999"));
        let login = json!([{"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": {}},
            {"Type": "forward", "TargetGroupArn": "g", "Order": 2}]);
        assert_eq!(read(login).unwrap_err().code, "InvalidLoadBalancerAction");
    }

    #[test]
    fn oidc_secret_is_never_told() {
        let setting = Setting {
            kind: BalancerKind::Application,
            protocol: Some("HTTPS"),
            dialect: Dialect::Aws,
            before: &[],
            list: "actions",
        };
        let given = json!([{"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig":
            {"ClientId": "me", "ClientSecret": "s3cret"}}, {"Type": "forward", "TargetGroupArn": "g", "Order": 2}]);
        let actions = read_actions(given.as_array().unwrap(), &setting).unwrap();
        let echo = action_value(&actions[0], Dialect::Aws);
        let told = echo["AuthenticateOidcConfig"].as_object().unwrap();
        assert!(
            told.contains_key("ClientId") && !told.contains_key("ClientSecret"),
            "{told:?}"
        );
        assert!(
            matches!(&actions[0].action, Action::Unsupported { kind, .. } if kind == "authenticate-oidc")
        );
    }

    /// Regression: defaults were left out, so Ansible changed the rule on every run, and a missing secret was not
    /// reported.
    #[test]
    fn authentication_has_defaults_and_wants_a_secret() {
        let read = |before: &[StatedAction], kind: &str, config: &str, members: Value| {
            let setting = Setting {
                kind: BalancerKind::Application,
                protocol: Some("HTTPS"),
                dialect: Dialect::Aws,
                before,
                list: "actions",
            };
            let given = json!([{"Type": kind, "Order": 1, config: members},
                {"Type": "forward", "TargetGroupArn": "g", "Order": 2}]);
            read_actions(given.as_array().unwrap(), &setting)
        };
        let told =
            |actions: &[StatedAction], config: &str| action_value(&actions[0], Dialect::Aws)[config].take();
        let oidc = |before: &[StatedAction], members: Value| {
            read(before, "authenticate-oidc", "AuthenticateOidcConfig", members)
        };
        let first = oidc(&[], json!({"ClientId": "me", "ClientSecret": "s3cret"})).unwrap();
        let expected = json!({"ClientId": "me", "OnUnauthenticatedRequest": "authenticate", "Scope": "openid",
            "SessionCookieName": "AWSELBAuthSessionCookie", "SessionTimeout": 604_800});
        assert_eq!(told(&first, "AuthenticateOidcConfig"), expected);
        let cognito = |members: Value| {
            let actions = read(&[], "authenticate-cognito", "AuthenticateCognitoConfig", members).unwrap();
            told(&actions, "AuthenticateCognitoConfig")
        };
        let set = json!({"OnUnauthenticatedRequest": "deny", "Scope": "openid email",
            "SessionCookieName": "mine", "SessionTimeout": 5});
        assert_eq!(cognito(set.clone()), set);
        assert_eq!(cognito(json!({}))["Scope"], "openid");
        let keep = json!({"ClientId": "me", "UseExistingClientSecret": true});
        for (before, members) in [
            (&first[..0], json!({"ClientId": "me"})),
            (&first[..0], keep.clone()),
            (&first[..], json!({"ClientId": "me"})),
        ] {
            assert_eq!(oidc(before, members).unwrap_err().code, "ValidationError");
        }
        // The secret is kept through two changes.
        let second = oidc(&first, keep.clone()).unwrap();
        let third = oidc(&second, keep).unwrap();
        assert_eq!(secret(&third[0].action).as_deref(), Some("s3cret"));
        assert_eq!(told(&third, "AuthenticateOidcConfig"), expected);
    }
}
