//! Identifiers: random ones for new resources, and fixed ones for defaults that nobody created.

use forebay_units::Rng;

/// A new id: the prefix and 17 hexadecimal digits.
pub(crate) fn new_id(rng: &mut Rng, prefix: &str) -> String {
    format!("{prefix}-{}", rng.hex(17))
}

/// A random UUID of version 4.
pub(crate) fn uuid(rng: &mut Rng) -> String {
    let (high, low) = (rng.next_u64(), rng.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// An id derived from its arguments, so that it is always the same: a region that nobody has written to can be
/// described before it is stored.
pub(crate) fn fixed_id(region: &str, prefix: &str, name: &str) -> String {
    let draw = Rng::named(0, &format!("{region}/{prefix}/{name}")).hex(17);
    format!("{prefix}-{draw}")
}
