//! The dotted names of a form as a tree: `Tags.member.1.Key=a` is four steps down.

use crate::ApiError;
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Maximum number of steps in one name. The deepest name of any operation has ten.
const DEPTH_LIMIT: usize = 24;
/// Maximum number of pairs in one form. The largest call (1,000 targets with three fields each) has about 3,000.
const PAIR_LIMIT: usize = 20_000;
/// Maximum number of steps of all names together, each counted once. A step takes some 800 bytes, and it is made before
/// the signature is checked. The largest call makes about 5,000.
const NODE_LIMIT: usize = 20_000;

/// A step: its value, and what is below it. Lists are sparse: an index costs one node, however large it is.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) text: Option<String>,
    pub(crate) below: BTreeMap<String, Node>,
}

impl Node {
    /// Adds a form to the tree; `nodes` counts the steps. The first value of a repeated name counts.
    pub(crate) fn add_form(&mut self, form: &[u8], nodes: &mut usize) -> Result<(), ApiError> {
        let pairs = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (count, pair) in pairs.enumerate() {
            if count >= PAIR_LIMIT {
                return Err(malformed("The request has too many parameters."));
            }
            let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let name = decode(&pair[..split])?;
            let value = decode(pair.get(split + 1..).unwrap_or_default())?;
            self.insert(&name, value, nodes)?;
        }
        Ok(())
    }

    /// The value of a top-level name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.below.get(name)?.text.as_deref()
    }

    fn insert(&mut self, name: &str, value: String, nodes: &mut usize) -> Result<(), ApiError> {
        let mut node = self;
        for (depth, step) in name.split('.').enumerate() {
            if depth >= DEPTH_LIMIT {
                return Err(malformed("A parameter name has too many parts."));
            }
            node = match node.below.entry(step.to_owned()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(_) if *nodes == NODE_LIMIT => {
                    return Err(malformed("The request has too many parameters."));
                }
                Entry::Vacant(place) => {
                    *nodes += 1;
                    place.insert(Node::default())
                }
            };
        }
        node.text.get_or_insert(value);
        Ok(())
    }
}

fn decode(raw: &[u8]) -> Result<String, ApiError> {
    let spaced: Cow<'_, [u8]> = if raw.contains(&b'+') {
        Cow::Owned(
            raw.iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect(),
        )
    } else {
        Cow::Borrowed(raw)
    };
    match percent_decode(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(malformed("The query string contains a syntax error.")),
    }
}

fn malformed(message: &str) -> ApiError {
    ApiError::sender("MalformedQueryString", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_steps() {
        let mut root = Node::default();
        root.add_form(
            b"Action=Do&Tags.member.1.Key=a+b&Tags.member.1.Key=second&Empty=",
            &mut 0,
        )
        .unwrap();
        assert_eq!(root.text_of("Action"), Some("Do"));
        assert_eq!(
            root.below["Tags"].below["member"].below["1"].text_of("Key"),
            Some("a b")
        );
        assert_eq!(root.text_of("Empty"), Some(""));
    }

    #[test]
    fn bad_forms_are_refused() {
        let refused = |form: &[u8]| Node::default().add_form(form, &mut 0).unwrap_err().code;
        assert_eq!(refused(b"Name=%ff"), "MalformedQueryString");
        assert_eq!(refused("a.".repeat(40).as_bytes()), "MalformedQueryString");
        assert_eq!(
            refused("a&".repeat(PAIR_LIMIT + 1).as_bytes()),
            "MalformedQueryString"
        );
        let deep = |pairs: usize| {
            (0..pairs)
                .map(|pair| format!("{pair}{}=&", ".a".repeat(20)))
                .collect::<String>()
        };
        assert!(Node::default().add_form(deep(900).as_bytes(), &mut 0).is_ok());
        assert_eq!(refused(deep(1_000).as_bytes()), "MalformedQueryString");
    }
}
