//! The names of all tags of ours. One that is misspelt would be stored and do nothing, so it is refused.

use crate::own_tags::{addresses, backlogs, balancers, groups, interruptions, planners, queues};

/// What the names of our tags begin with.
const PREFIX: &str = "forebay:";

fn names() -> impl Iterator<Item = &'static str> {
    let tables = [
        groups::NAMES,
        queues::NAMES,
        balancers::NAMES,
        planners::NAMES,
        backlogs::NAMES,
        interruptions::NAMES,
    ];
    tables
        .into_iter()
        .flatten()
        .copied()
        .chain([addresses::OF_INSTANCE, addresses::OF_TARGET])
}

/// What is wrong with a tag's name, if it looks like one of ours and is none. On which resource it stands does not matter:
/// Terraform's default tags go to all.
pub(crate) fn wrong_name(key: &str) -> Option<String> {
    let ours = key
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let of_target = key
        .strip_prefix(addresses::OF_TARGET)
        .is_some_and(|id| !id.is_empty());
    let exact = |name: &str| name == key && !name.ends_with('/');
    if !ours || of_target || names().any(exact) {
        return None;
    }
    let word = key.split_inclusive('/').next().unwrap_or(key);
    let nearest = names().min_by_key(|name| distance(name, word)).unwrap_or(PREFIX);
    Some(format!("Tag '{key}' is not known: did you mean '{nearest}'?"))
}

/// What is wrong with a tag, if it is one of ours or looks like one: its name is none, or its value says nothing. Better at the call
/// than never noticed.
pub(crate) fn wrong_tag(key: &str, value: &str) -> Option<String> {
    wrong_name(key).or_else(|| {
        let wanted = groups::wanted(key, value)
            .or_else(|| balancers::wanted(key, value).map(Into::into))
            .or_else(|| queues::wanted(key, value).map(Into::into))
            .or_else(|| planners::wanted(key, value))
            .or_else(|| interruptions::wanted(key, value).map(Into::into))
            .or_else(|| backlogs::wanted(key, value))?;
        Some(format!("Tag '{key}' value '{value}' must be {wanted}"))
    })
}

/// How many letters must be put in, left out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (line, right) in other.bytes().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (place, left) in one.bytes().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[place + 1];
            row[place + 1] = change.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[one.len()]
}

#[cfg(test)]
mod tests {
    use crate::own_tags::names::{distance, wrong_name};
    use crate::testing::Caller;
    use forebay_awswire::Service;
    use serde_json::json;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

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

    /// A misspelt tag was stored, and nobody noticed that it did nothing.
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
