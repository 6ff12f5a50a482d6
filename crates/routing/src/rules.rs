//! A listener's rules, compiled: the first whose conditions all hold wins; the default rule always does.

use crate::condition::Compiled;
use crate::error::CompileError;
use crate::facts::Facts;
use crate::lanes::{Lanes, Reading};
use crate::normal::normal_path;
use crate::redirect::RedirectTemplate;
use crate::transform::Transforms;
use forebay_model::{Action, FixedResponse, Priority, RuleBlueprint};

/// Seconds a client stays with its group, if the rule does not say. (ALB asks for a duration; a rule from elsewhere may
/// have none.)
const DEFAULT_STICKINESS: u32 = 3600;

/// What a rule's action comes to. `G` is what the caller knows a target group by.
#[derive(Debug)]
pub enum Route<G> {
    /// To one of these groups.
    Forward(Split<G>),
    /// Elsewhere.
    Redirect(RedirectTemplate),
    /// An answer from here.
    Fixed(FixedResponse),
    /// An action this node cannot carry out: nothing may pass.
    Unsupported(String),
}

/// Groups and their shares.
#[derive(Debug)]
pub struct Split<G> {
    /// Group and the sum of weights up to and with it.
    shares: Box<[(G, u64)]>,
    /// Seconds for which a client stays with its group; none if each request is a choice of its own.
    sticky: Option<u64>,
}

impl<G> Split<G> {
    /// The shares of these groups, by weight.
    pub fn new(groups: impl IntoIterator<Item = (G, u16)>) -> Split<G> {
        let mut sum = 0;
        let shares = groups.into_iter().map(|(group, weight)| {
            sum += u64::from(weight);
            (group, sum)
        });
        Split {
            shares: shares.collect(),
            sticky: None,
        }
    }

    /// The same, and a client stays with its group for this many seconds.
    #[must_use]
    pub fn sticky(self, seconds: Option<u64>) -> Split<G> {
        Split {
            sticky: seconds,
            ..self
        }
    }

    /// Seconds for which a client stays with its group, if it does.
    pub fn stickiness(&self) -> Option<u64> {
        self.sticky
    }

    /// The group for which `is` holds, unless its weight is 0.
    pub fn weighted(&self, is: impl Fn(&G) -> bool) -> Option<&G> {
        let mut before = 0;
        self.shares.iter().find_map(|(group, sum)| {
            let weight = sum - before;
            before = *sum;
            (weight > 0 && is(group)).then_some(group)
        })
    }

    /// The group that `draw` (uniform over all 64 bits) falls to; none if every weight is 0.
    pub fn pick(&self, draw: impl FnOnce() -> u64) -> Option<&G> {
        match &*self.shares {
            [] => None,
            [(group, weight)] => (*weight > 0).then_some(group),
            shares => {
                let total = shares.last().map_or(0, |last| last.1);
                let point = ((u128::from(draw()) * u128::from(total)) >> 64) as u64;
                shares.iter().find(|share| point < share.1).map(|share| &share.0)
            }
        }
    }

    /// All its groups.
    pub fn groups(&self) -> impl Iterator<Item = &G> {
        self.shares.iter().map(|share| &share.0)
    }
}

#[derive(Debug)]
struct Rule<G> {
    priority: Priority,
    conditions: Box<[Compiled]>,
    route: Route<G>,
    transforms: Option<Box<Transforms>>,
}

/// A listener's rules.
#[derive(Debug)]
pub struct Rules<G> {
    rules: Box<[Rule<G>]>,
    lanes: Lanes,
}

/// The rule that won.
pub struct Match<'a, G> {
    /// Where it stands.
    pub priority: Priority,
    /// What it says.
    pub route: &'a Route<G>,
    /// What it changes first.
    pub transforms: Option<&'a Transforms>,
    /// How many rules were looked at, the default rule excluded.
    pub evaluated: u32,
}

impl<G> Rules<G> {
    /// Compiles rules given in ascending order; `group` names a target group by its ARN. A rule with an expression that cannot be
    /// used (the API refuses those; one may be stored from before) lets nothing pass that meets its other conditions: perhaps it
    /// was to keep somebody out.
    pub fn compile(rules: &[RuleBlueprint], mut group: impl FnMut(&str) -> G) -> Rules<G> {
        let mut lanes = Lanes::default();
        let compiled = rules.iter().map(|rule| {
            let mut flaw = None;
            let conditions = rule.conditions.iter().filter_map(|condition| {
                let compiled = Compiled::new(condition, &mut lanes);
                compiled.map_err(|error| flaw = Some(error)).ok()
            });
            let mut conditions: Box<[Compiled]> = conditions.collect();
            conditions.sort_by_key(Compiled::cost);
            let route = match flaw {
                Some(flaw) => Route::Unsupported(flaw.to_string()),
                None => route(&rule.action, &mut group),
            };
            Rule {
                priority: rule.priority,
                conditions,
                route,
                transforms: Transforms::compile(&rule.transforms).map(Box::new),
            }
        });
        let rules = compiled.collect();
        Rules { rules, lanes }
    }

    /// The first rule whose conditions all hold; none only if there is no default rule.
    pub fn decide(&self, facts: &Facts<'_>) -> Option<Match<'_, G>> {
        let path = normal_path(facts.path);
        let mut reading = Reading::new(*facts, &path);
        let (at, rule) = self.rules.iter().enumerate().find(|(_, rule)| {
            let mut conditions = rule.conditions.iter();
            conditions.all(|condition| condition.holds(&mut reading, &self.lanes))
        })?;
        let evaluated = u32::try_from(at).unwrap_or(u32::MAX) + u32::from(rule.priority != Priority::Default);
        Some(Match {
            priority: rule.priority,
            route: &rule.route,
            transforms: rule.transforms.as_deref(),
            evaluated,
        })
    }

    /// What each rule says, in order.
    pub fn routes(&self) -> impl Iterator<Item = &Route<G>> {
        self.rules.iter().map(|rule| &rule.route)
    }
}

/// How many spots the expressions of a rule's conditions have that cannot be made into tables; or the one that cannot be used, because
/// it is none, or because some text would take too long.
pub fn check(rule: &RuleBlueprint) -> Result<usize, CompileError> {
    let mut lanes = Lanes::default();
    let conditions = rule
        .conditions
        .iter()
        .map(|condition| Compiled::new(condition, &mut lanes));
    conditions
        .map(|compiled| compiled.map(|compiled| compiled.spots()))
        .sum()
}

fn route<G>(action: &Action, group: &mut impl FnMut(&str) -> G) -> Route<G> {
    match action {
        Action::Forward(forward) => {
            let shares = forward.groups.iter();
            let stickiness = &forward.stickiness;
            let seconds = u64::from(stickiness.duration_seconds.unwrap_or(DEFAULT_STICKINESS));
            Route::Forward(
                Split::new(shares.map(|share| (group(&share.group_arn), share.weight)))
                    .sticky(stickiness.enabled.then_some(seconds)),
            )
        }
        Action::Redirect(redirect) => Route::Redirect(RedirectTemplate::new(redirect)),
        Action::FixedResponse(fixed) => Route::Fixed(fixed.clone()),
        Action::Unsupported { kind, .. } => Route::Unsupported(kind.clone()),
    }
}

#[cfg(test)]
mod tests;
