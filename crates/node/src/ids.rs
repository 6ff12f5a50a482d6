//! What things are called for as long as they exist.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    )*};
}

ids! {
    /// A listener, for as long as it exists; never used again.
    ListenerId,
    /// A target group, for as long as it exists; never used again.
    GroupId,
    /// A target of a group, for as long as it is registered; never used again.
    TargetId,
    /// A zone.
    ZoneId
}
