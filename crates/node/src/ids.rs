//! Numbers that identify things while they exist.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    )*};
}

ids! {
    /// A listener while it exists; never reused.
    ListenerId,
    /// A target group while it exists; never reused.
    GroupId,
    /// A target of a group while it is registered; never reused.
    TargetId,
    /// A zone.
    ZoneId
}
