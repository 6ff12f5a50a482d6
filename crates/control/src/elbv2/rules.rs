//! Rules: create, modify, delete and describe them; set priorities.

use crate::api::context::{Tx, View};
use crate::api::errors::{listener_missing, not_permitted, rule_missing, validation};
use crate::api::paging::{PageInput, answer, page};
use crate::api::tagging::put_tags;
use crate::elbv2::actions::{Setting, action_value, read_actions};
use crate::elbv2::arns::{balancer_of, new_rule_arn};
use crate::elbv2::blueprint::rule_blueprint;
use crate::elbv2::conditions::{ConditionInput, condition_value, read_conditions};
use crate::elbv2::group_fit::check_forwards;
use crate::elbv2::records::{BalancerKind, Listener, Rule, StatedAction};
use crate::elbv2::tags::{TagInput, read_tags};
use crate::elbv2::transforms::{TransformInput, read_transforms, transform_value};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{Priority, limits};
use forebay_routing::check;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Default page size of DescribeRules.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RuleInput {
    #[serde(default)]
    listener_arn: String,
    #[serde(default)]
    rule_arn: String,
    conditions: Option<Vec<ConditionInput>>,
    priority: Option<i64>,
    actions: Option<Vec<Value>>,
    transforms: Option<Vec<TransformInput>>,
    #[serde(default)]
    reset_transforms: bool,
    #[serde(default)]
    tags: Vec<TagInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PriorityPair {
    #[serde(default)]
    rule_arn: String,
    priority: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrioritiesInput {
    rule_priorities: Vec<PriorityPair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    listener_arn: Option<String>,
    rule_arns: Option<Vec<String>>,
    #[serde(flatten)]
    page: PageInput,
}

pub(crate) fn create_rule(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: RuleInput = tx.input()?;
    check_balancer(tx, &input.listener_arn, listener_missing)?;
    let transforms = read_transforms(input.transforms.unwrap_or_default())?;
    let listener = Arc::clone(tx.region().listener(&input.listener_arn)?);
    let balancer = Arc::clone(tx.region().balancer(&listener.balancer_arn)?);
    if balancer.kind != BalancerKind::Application {
        return Err(ApiError::sender(
            "UnsupportedProtocol",
            "Rules can be created only for listeners of application load balancers",
        ));
    }
    let priority = read_priority(input.priority)?;
    let conditions = read_conditions(input.conditions.unwrap_or_default(), tx.dialect())?;
    let rules = tx.region().rules_of(&listener.arn);
    if rules.iter().any(|rule| rule.priority == priority) {
        return Err(priority_in_use());
    }
    let actions = read_actions(&input.actions.unwrap_or_default(), &setting(tx, &listener, &[]))?;
    check_forwards(tx, &balancer, listener.protocol.as_deref(), &actions, None)?;
    let of_balancer = tx.region().rules_of_balancer(&balancer.arn);
    let count = of_balancer
        .filter(|rule| rule.priority != Priority::Default)
        .count();
    if count >= tx.state.quota(limits::RULES_PER_BALANCER) {
        let text = "The maximum number of rules for this load balancer has been reached";
        return Err(ApiError::sender("TooManyRules", text));
    }
    let tags = read_tags(input.tags)?;
    let rule = Rule {
        arn: new_rule_arn(tx, &listener.arn),
        listener_arn: listener.arn.clone(),
        priority,
        conditions,
        actions,
        transforms,
    };
    check_compiles(tx, &rule)?;
    let answer = json!({"Rules": [rule_value(&rule, tx.dialect(), Told::Whole)]});
    let region = tx.region_mut();
    put_tags(region, &rule.arn, tags);
    region.rules.insert(rule.arn.clone(), Arc::new(rule));
    Ok(answer)
}

fn priority_in_use() -> ApiError {
    ApiError::sender("PriorityInUse", "The specified priority is in use.")
}

fn read_priority(given: Option<i64>) -> Result<Priority, ApiError> {
    let number = given.ok_or_else(|| validation("A rule priority must be specified"))?;
    Priority::at(number).ok_or_else(|| {
        validation(format!(
            "Rule priority '{number}' must be between 1 and 50000, inclusive"
        ))
    })
}

/// Refuses an ARN whose load balancer does not exist. This comes before all other checks; the listener or rule itself
/// is looked up after the transforms are read.
fn check_balancer(view: &View<'_>, arn: &str, missing: fn() -> ApiError) -> Result<(), ApiError> {
    let balancer = balancer_of(arn).ok_or_else(missing)?;
    view.region()
        .balancer(&balancer)
        .map(|_| ())
        .map_err(|_| missing())
}

/// Refuses conditions that the data plane could not evaluate in bounded time. (Transforms that would take too long are
/// stored, as on AWS, and answered with 500.)
fn check_compiles(view: &View<'_>, rule: &Rule) -> Result<(), ApiError> {
    let blueprint = rule_blueprint(rule);
    let own = check(&blueprint).map_err(|error| validation(error.to_string()))?;
    if own == 0 {
        return Ok(());
    }
    let rules = view.region().rules_of(&rule.listener_arn);
    let others = rules.into_iter().filter(|other| other.arn != rule.arn);
    // Rules that were stored before there was a limit do not count: they are not compiled.
    let others: usize = others
        .map(|other| check(&rule_blueprint(other)).unwrap_or(0))
        .sum();
    if own + others > limits::SPOTS_PER_LISTENER {
        return Err(validation(
            "The regular expressions in the conditions of this listener's rules are too complex together",
        ));
    }
    Ok(())
}

fn setting<'a>(view: &View<'_>, listener: &'a Listener, before: &'a [StatedAction]) -> Setting<'a> {
    let protocol = listener.protocol.as_deref();
    Setting {
        kind: BalancerKind::Application,
        protocol,
        dialect: view.dialect(),
        before,
        list: "actions",
    }
}

pub(crate) fn modify_rule(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: RuleInput = tx.input()?;
    if input.transforms.is_some() && input.reset_transforms {
        return Err(validation(
            "Transforms cannot be provided when resetting transforms",
        ));
    }
    // An empty list changes nothing.
    let conditions = input.conditions.filter(|given| !given.is_empty());
    let actions = input.actions.filter(|given| !given.is_empty());
    let transforms = input.transforms.filter(|given| !given.is_empty());
    let only_actions = conditions.is_none() && transforms.is_none() && !input.reset_transforms;
    if only_actions && actions.is_none() {
        return Err(nothing_given(tx));
    }
    check_balancer(tx, &input.rule_arn, rule_missing)?;
    let transforms = transforms.map(read_transforms).transpose()?;
    let before = tx.region().rules.get(&input.rule_arn).ok_or_else(rule_missing)?;
    let mut rule = (**before).clone();
    let is_default = rule.priority == Priority::Default;
    if is_default && !(only_actions && tx.dialect() == Dialect::Moto) {
        let text = format!("Default rule '{}' cannot be modified", rule.arn);
        return Err(not_permitted(text));
    }
    let listener = Arc::clone(tx.region().listener(&rule.listener_arn)?);
    let balancer = Arc::clone(tx.region().balancer(&listener.balancer_arn)?);
    if let Some(given) = conditions {
        rule.conditions = read_conditions(given, tx.dialect())?;
    }
    if let Some(given) = actions {
        rule.actions = read_actions(&given, &setting(tx, &listener, &rule.actions))?;
        check_forwards(
            tx,
            &balancer,
            listener.protocol.as_deref(),
            &rule.actions,
            Some(&rule.arn),
        )?;
    }
    if let Some(transforms) = transforms {
        rule.transforms = transforms;
    }
    if input.reset_transforms {
        rule.transforms = Vec::new();
    }
    check_compiles(tx, &rule)?;
    let answer = json!({"Rules": [rule_value(&rule, tx.dialect(), Told::Whole)]});
    tx.region_mut().rules.insert(rule.arn.clone(), Arc::new(rule));
    Ok(answer)
}

fn nothing_given(view: &View<'_>) -> ApiError {
    validation(match view.dialect() {
        Dialect::Aws => "You must provide either conditions, actions, or transforms",
        Dialect::Moto => "Either conditions or actions must be specified",
    })
}

pub(crate) fn delete_rule(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: RuleInput = tx.input()?;
    let rule = tx.region().rules.get(&input.rule_arn).ok_or_else(rule_missing)?;
    if rule.priority == Priority::Default {
        return Err(not_permitted(format!(
            "Default rule '{}' cannot be deleted",
            rule.arn
        )));
    }
    let region = tx.region_mut();
    region.rules.remove(&input.rule_arn);
    region.tags.remove(&input.rule_arn);
    Ok(json!({}))
}

pub(crate) fn set_rule_priorities(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: PrioritiesInput = tx.input()?;
    let mut wanted: Vec<Rule> = Vec::new();
    let mut listeners = BTreeSet::new();
    for pair in &input.rule_priorities {
        let priority = read_priority(pair.priority)?;
        if wanted.iter().any(|rule| rule.priority == priority) {
            return Err(validation(format!(
                "Priority '{priority}' was provided multiple times"
            )));
        }
        let rule = tx.region().rules.get(&pair.rule_arn).ok_or_else(rule_missing)?;
        if rule.priority == Priority::Default {
            return Err(not_permitted("The priority of a default rule cannot be changed"));
        }
        if wanted.iter().any(|other| other.arn == rule.arn) {
            return Err(validation(format!(
                "Rule '{}' was provided multiple times",
                rule.arn
            )));
        }
        listeners.insert(rule.listener_arn.clone());
        wanted.push(Rule {
            priority,
            ..(**rule).clone()
        });
    }
    if listeners.len() > 1 {
        return Err(validation("All rules must belong to the same listener"));
    }
    for listener in &listeners {
        // Rules in the call may exchange priorities, so only the others can be in conflict with them.
        for other in tx.region().rules_of(listener) {
            let listed = wanted.iter().any(|rule| rule.arn == other.arn);
            if !listed && wanted.iter().any(|rule| rule.priority == other.priority) {
                return Err(priority_in_use());
            }
        }
    }
    let values: Vec<Value> = wanted
        .iter()
        .map(|rule| rule_value(rule, tx.dialect(), Told::WithoutTransforms))
        .collect();
    let region = tx.region_mut();
    for rule in wanted {
        region.rules.insert(rule.arn.clone(), Arc::new(rule));
    }
    Ok(json!({"Rules": values}))
}

pub(crate) fn describe_rules(view: &View<'_>) -> Result<Value, ApiError> {
    let input: DescribeInput = view.input()?;
    let region = view.region();
    let arns = input.rule_arns.unwrap_or_default();
    let mut rules: Vec<&Arc<Rule>> = match (&input.listener_arn, &arns[..]) {
        (None, []) => {
            return Err(validation(
                "You must specify either listener rule ARNs or a listener ARN",
            ));
        }
        (Some(_), [_, ..]) => {
            return Err(validation(
                "Listener rule ARNs and a listener ARN cannot be specified at the same time",
            ));
        }
        (Some(listener), []) => {
            region.listener(listener)?;
            region.rules_of(listener)
        }
        (None, arns) => arns
            .iter()
            .map(|arn| region.rules.get(arn).ok_or_else(rule_missing))
            .collect::<Result<_, _>>()?,
    };
    rules.sort_by_key(|rule| page_key(rule));
    let (held, next) = page(view, rules, |rule| page_key(rule), &input.page, PAGE)?;
    let values = held
        .into_iter()
        .map(|rule| rule_value(rule, view.dialect(), Told::Whole))
        .collect();
    Ok(answer("Rules", values, next))
}

/// Sorts rules by priority; the ARN orders rules of different listeners.
fn page_key(rule: &Rule) -> String {
    match rule.priority {
        Priority::At(number) => format!("{number:05}/{}", rule.arn),
        Priority::Default => format!("default/{}", rule.arn),
    }
}

/// How much of a rule is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Whole,
    /// As SetRulePriorities shows rules.
    WithoutTransforms,
}

/// A rule in the API's form. AWS also shows an empty list of transforms; moto does not.
fn rule_value(rule: &Rule, dialect: Dialect, told: Told) -> Value {
    let conditions: Vec<Value> = rule
        .conditions
        .iter()
        .map(|condition| condition_value(condition, dialect))
        .collect();
    let actions: Vec<Value> = rule
        .actions
        .iter()
        .map(|stated| action_value(stated, dialect))
        .collect();
    let mut value = json!({
        "RuleArn": rule.arn,
        "Priority": rule.priority.to_string(),
        "Conditions": conditions,
        "Actions": actions,
        "IsDefault": rule.priority == Priority::Default,
    });
    let empty = rule.transforms.is_empty() && dialect == Dialect::Moto;
    if told == Told::Whole && !empty {
        value["Transforms"] = rule.transforms.iter().map(transform_value).collect();
    }
    value
}
