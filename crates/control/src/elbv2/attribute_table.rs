//! The list of attributes, asked by holder and by key.

use crate::elbv2::attribute::{Attribute, Holder};
use crate::elbv2::attribute_data::ATTRIBUTES;

/// The attributes that `holder` has, in order.
pub fn attributes_of(holder: Holder) -> impl Iterator<Item = &'static Attribute> {
    ATTRIBUTES
        .iter()
        .filter(move |attribute| attribute.holders.contains(&holder))
}

/// What has an attribute of that key.
pub(crate) fn holders_of(key: &str) -> Vec<Holder> {
    let named = ATTRIBUTES.iter().filter(|attribute| attribute.key == key);
    named.flat_map(|attribute| attribute.holders).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::Holder::{Application, Gateway, HttpGroup, Listener, Network, PlainListener, SecureListener};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_holder_has_each_key_once() {
        for holder in [
            Application,
            Network,
            Gateway,
            Listener,
            SecureListener,
            PlainListener,
        ] {
            let keys: Vec<&str> = attributes_of(holder).map(|attribute| attribute.key).collect();
            let unique: BTreeSet<&str> = keys.iter().copied().collect();
            assert_eq!(keys.len(), unique.len(), "{holder:?}");
        }
    }

    #[test]
    fn all_keys_of_the_reference_are_there() {
        let count = |holder| attributes_of(holder).count();
        // Sections 2.1 (9 of them the parts of the three logs), 2.2 and 2.3.
        assert_eq!(count(Application), 23);
        // Without waf.http2.traffic_inspection_behavior, whose default AWS has not published.
        assert_eq!(count(HttpGroup), 14);
        assert_eq!(count(SecureListener), 8 + 11);
        assert_eq!(count(Listener), 11);
    }
}
