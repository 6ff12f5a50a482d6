//! The resource type that the prefix of an id stands for.

/// Resource types by the prefix of their ids.
const TYPES: [(&str, &str); 10] = [
    ("vpc-", "vpc"),
    ("subnet-", "subnet"),
    ("sgr-", "security-group-rule"),
    ("sg-", "security-group"),
    ("igw-", "internet-gateway"),
    ("rtb-", "route-table"),
    ("i-", "instance"),
    ("acl-", "network-acl"),
    ("eni-", "network-interface"),
    ("lt-", "launch-template"),
];

pub(crate) fn resource_type(id: &str) -> Option<&'static str> {
    TYPES
        .iter()
        .find(|(prefix, _)| id.starts_with(prefix))
        .map(|(_, name)| *name)
}
