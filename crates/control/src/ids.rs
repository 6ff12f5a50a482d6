//! Ids of new things, and of things that nobody made.

use forebay_units::Rng;

/// A new id: the prefix and 17 hexadecimal digits.
pub(crate) fn new_id(rng: &mut Rng, prefix: &str) -> String {
    format!("{prefix}-{}", rng.hex(17))
}

/// An id that is the same each time for the same thing, so that a region which nobody has written to can be described.
pub(crate) fn fixed_id(region: &str, prefix: &str, name: &str) -> String {
    let draw = Rng::named(0, &format!("{region}/{prefix}/{name}")).hex(17);
    format!("{prefix}-{draw}")
}
