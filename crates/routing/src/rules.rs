//! A listener's rules, compiled. The first rule whose conditions all hold wins; the default rule always matches.

use crate::condition::Compiled;
use crate::error::CompileError;
use crate::facts::Facts;
use crate::lanes::{Lanes, Reading};
use crate::normal::normal_path;
use crate::redirect::RedirectTemplate;
use crate::transform::Transforms;
use forebay_model::{Action, FixedResponse, Priority, RuleBlueprint};

/// Seconds that a client stays with its group if the rule has no duration. ALB requires one, but a stored rule may lack
/// it.
const DEFAULT_STICKINESS: u32 = 3600;

/// A rule's action, compiled. `G` is the caller's name for a target group.
#[derive(Debug)]
pub enum Route<G> {
    /// Forward to one of these groups.
    Forward(Split<G>),
    /// Redirect the client.
    Redirect(RedirectTemplate),
    /// Answer from here.
    Fixed(FixedResponse),
    /// An action that this node cannot carry out: nothing may be forwarded.
    Unsupported(String),
}

/// Target groups and their weights.
#[derive(Debug)]
pub struct Split<G> {
    /// Each group with the sum of weights up to and including its own.
    shares: Box<[(G, u64)]>,
    /// Seconds that a client stays with its group; `None` without group stickiness.
    sticky: Option<u64>,
}

impl<G> Split<G> {
    /// A split over these groups by weight.
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

    /// Sets how long a client stays with its group, in seconds.
    #[must_use]
    pub fn sticky(self, seconds: Option<u64>) -> Split<G> {
        Split {
            sticky: seconds,
            ..self
        }
    }

    /// Seconds that a client stays with its group, if it does.
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

    /// The group at `draw`, a number uniform over 64 bits; `None` if all weights are 0.
    pub fn pick(&self, draw: impl FnOnce() -> u64) -> Option<&G> {
        match &*self.shares {
            [] => None,
            // The usual case, without a draw.
            [(group, weight)] => (*weight > 0).then_some(group),
            shares => {
                let total = shares.last().map_or(0, |last| last.1);
                let point = ((u128::from(draw()) * u128::from(total)) >> 64) as u64;
                shares.iter().find(|share| point < share.1).map(|share| &share.0)
            }
        }
    }

    /// All groups, those of weight 0 included.
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

/// The rule that matched.
pub struct Match<'a, G> {
    /// Its priority.
    pub priority: Priority,
    /// Its action.
    pub route: &'a Route<G>,
    /// Its transforms, which are applied first.
    pub transforms: Option<&'a Transforms>,
    /// Number of rules that were evaluated, without the default rule.
    pub evaluated: u32,
}

impl<G> Rules<G> {
    /// Compiles rules in ascending order; `group` names a target group by its ARN. A rule with an unusable expression
    /// forwards nothing that meets its other conditions, because it may have been made to block requests. The API
    /// refuses such rules, but one may be stored from before.
    pub fn compile(rules: &[RuleBlueprint], mut group: impl FnMut(&str) -> G) -> Rules<G> {
        let mut lanes = Lanes::default();
        let compiled = rules.iter().map(|rule| {
            let mut flaw = None;
            let conditions = rule.conditions.iter().filter_map(|condition| {
                let compiled = Compiled::new(condition, &mut lanes);
                compiled.map_err(|error| flaw = Some(error)).ok()
            });
            let mut conditions: Box<[Compiled]> = conditions.collect();
            // Stable, so that equally cheap conditions keep the order in which they were given.
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

    /// The first rule whose conditions all hold; `None` only if there is no default rule.
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

    /// The action of each rule, in order.
    pub fn routes(&self) -> impl Iterator<Item = &Route<G>> {
        self.rules.iter().map(|rule| &rule.route)
    }
}

/// The number of positions in the expressions of a rule's conditions that cannot be made into tables. An error names an
/// expression that cannot be used: it is malformed, or some text would take too long.
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
