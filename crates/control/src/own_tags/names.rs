//! All of Forebay's own tags. A misspelt tag would be stored and do nothing, so it is refused.

use crate::own_tags::{addresses, backlogs, balancers, groups, interruptions, planners, queues};
use crate::settings::nearest::nearest;
use crate::settings::setting::{Row, Setting};

/// The prefix of every key.
const PREFIX: &str = "forebay:";

fn rows<T>(table: &'static [Setting<T>]) -> impl Iterator<Item = &'static Row> {
    table.iter().map(Setting::row)
}

/// All of Forebay's own tags.
pub fn own_tags() -> impl Iterator<Item = &'static Row> {
    rows(groups::TAGS)
        .chain(rows(queues::TAGS))
        .chain(rows(queues::RULE_TAGS))
        .chain(rows(balancers::TAGS))
        .chain(rows(planners::TAGS))
        .chain(rows(backlogs::TAGS))
        .chain(rows(interruptions::TAGS))
        .chain(rows(addresses::TAGS))
}

/// What is wrong with a tag's key, if it looks like one of Forebay's own and is unknown. The resource does not matter:
/// Terraform's default tags are put on every resource.
pub(crate) fn wrong_name(key: &str) -> Option<String> {
    let is_own = key
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let of_target = key
        .strip_prefix(addresses::OF_TARGET)
        .is_some_and(|id| !id.is_empty());
    let exact = |row: &Row| row.key == key && !row.key.ends_with('/');
    if !is_own || of_target || own_tags().any(exact) {
        return None;
    }
    let word = key.split_inclusive('/').next().unwrap_or(key);
    let nearest = nearest(word, own_tags().map(|row| row.key)).unwrap_or(PREFIX);
    Some(format!("Tag '{key}' is not known: did you mean '{nearest}'?"))
}

/// What the tag's value should be, if the tag is in this table and its value is invalid.
fn wanted<T: Default>(table: &[Setting<T>], key: &str, value: &str) -> Option<String> {
    let setting = table.iter().find(|setting| setting.row().key == key)?;
    let is_taken = setting.apply(&mut T::default(), value).is_some();
    (!is_taken).then(|| setting.row().values.wanted())
}

/// What is wrong with a tag, if it is one of Forebay's own or looks like one: an unknown key or an invalid value. An
/// error at the call is better than a setting that silently does nothing.
pub(crate) fn wrong_tag(key: &str, value: &str) -> Option<String> {
    wrong_name(key).or_else(|| {
        let wanted = wanted(groups::TAGS, key, value)
            .or_else(|| wanted(queues::TAGS, key, value))
            .or_else(|| wanted(queues::RULE_TAGS, key, value))
            .or_else(|| wanted(balancers::TAGS, key, value))
            .or_else(|| wanted(planners::TAGS, key, value))
            .or_else(|| wanted(backlogs::TAGS, key, value))
            .or_else(|| wanted(interruptions::TAGS, key, value))?;
        Some(format!("Tag '{key}' value '{value}' must be {wanted}"))
    })
}

#[cfg(test)]
mod tests {
    use crate::own_tags::names::{own_tags, wrong_name, wrong_tag};
    use crate::settings::values::Values;
    use crate::testing::Caller;
    use forebay_awswire::Service;
    use serde_json::json;

    #[test]
    fn names_and_the_nearest() {
        for key in [
            "team",
            "forebay",
            "é:forebay:x",
            "forebay:queue-class",
            "forebay:queue-class-header",
            "forebay:check-host",
            "forebay:algorithm",
            "forebay:address",
            "forebay:address/i-0123456789abcdef0",
        ] {
            assert_eq!(wrong_name(key), None, "{key}");
        }
        for (key, nearest) in [
            ("forebay:queue-lenght", "forebay:queue-length"),
            ("forebay:retry", "forebay:retries"),
            ("forebay:Slow-Start", "forebay:slow-start"),
            ("Forebay:retries", "forebay:retries"),
            ("forebay:address/", "forebay:address/"),
            ("forebay:adress", "forebay:address"),
            ("forebay:adress/i-0123456789abcdef0", "forebay:address/"),
        ] {
            let text = format!("Tag '{key}' is not known: did you mean '{nearest}'?");
            assert_eq!(wrong_name(key), Some(text));
        }
    }

    /// A tag accepts what its page says it accepts, and nothing else.
    #[test]
    fn bounds_are_taken_and_what_is_beyond_is_not() {
        for row in own_tags() {
            let (good, bad) = match row.values {
                Values::Whole(_, low, high) => (
                    vec![low.to_string(), high.to_string()],
                    vec!["-1".to_owned(), (u64::from(high) + 1).to_string()],
                ),
                Values::AutoOr(low, high) => (
                    vec![low.to_string(), high.to_string(), "auto".to_owned()],
                    vec![(high + 1).to_string()],
                ),
                Values::Number(_, low, high) => (
                    vec![low.to_string(), high.to_string()],
                    vec!["-1".to_owned(), (high + 1.0).to_string(), "NaN".to_owned()],
                ),
                Values::Switch => (vec!["on".to_owned(), "off".to_owned()], vec!["true".to_owned()]),
                Values::OneOf(words) => (
                    words.iter().map(|&word| word.to_owned()).collect(),
                    vec!["nonsense".to_owned()],
                ),
                _ => continue,
            };
            for value in good {
                assert_eq!(wrong_tag(row.key, &value), None, "{}", row.key);
            }
            for value in bad {
                let text = wrong_tag(row.key, &value).unwrap_or_default();
                assert!(text.ends_with(&row.values.wanted()), "{}: {text}", row.key);
            }
        }
    }

    /// Regression: a misspelt tag was stored and had no effect.
    #[test]
    fn misspelt_tags_are_refused_at_creation_and_later() {
        let mut caller = Caller::new();
        let (group, vpc) = (caller.group("g"), caller.vpc());
        let tags = json!([{"Key": "forebay:queue-lenght", "Value": "5"}]);
        let text = "Tag 'forebay:queue-lenght' is not known: did you mean 'forebay:queue-length'?";
        let create = json!({"Name": "h", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "Tags": tags});
        for (operation, input) in [
            ("CreateTargetGroup", create),
            ("AddTags", json!({"ResourceArns": [group], "Tags": tags})),
        ] {
            let refused = caller.fails(operation, input);
            assert_eq!(
                refused,
                ("ValidationError".to_owned(), text.to_owned()),
                "{operation}"
            );
        }
        let specification = json!([{"ResourceType": "vpc", "Tags": tags}]);
        for (operation, input) in [
            (
                "CreateVpc",
                json!({"CidrBlock": "10.9.0.0/16", "TagSpecifications": specification}),
            ),
            ("CreateTags", json!({"Resources": [vpc], "Tags": tags})),
        ] {
            let error = caller.call_of(Service::Ec2, operation, input).unwrap_err();
            assert_eq!(
                (&*error.code, &*error.message),
                ("InvalidParameterValue", text),
                "{operation}"
            );
        }
    }
}
