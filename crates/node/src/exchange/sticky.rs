//! What cookies a request brought and its answer brings.

use forebay_balance::{COOKIE_LENGTH, Mark};

/// A cookie's value.
pub type CookieValue = [u8; COOKIE_LENGTH];

/// Cookies of the load balancer's own.
pub mod cookie {
    /// Names a target, and the same for requests from other sites; the second goes before the first.
    pub const TARGET: [&str; 2] = ["AWSALB", "AWSALBCORS"];
    /// Names a target, beside its application's own cookie. The value fits into the first of four.
    pub const APP: [&str; 4] = ["AWSALBAPP-0", "AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3"];
    /// Names a group, and the same for requests from other sites; the second goes before the first.
    pub const GROUP: [&str; 2] = ["AWSALBTG", "AWSALBTGCORS"];
}

/// Cookies an answer brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookies {
    /// For AWSALB and AWSALBCORS.
    pub target: Option<CookieValue>,
    /// For AWSALBAPP-0.
    pub app: Option<CookieValue>,
    /// For AWSALBTG and AWSALBTGCORS.
    pub group: Option<CookieValue>,
}

/// What stickiness has to do with a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Sticky {
    /// Its rule keeps clients with their group.
    pub(super) group: bool,
    /// Its group keeps clients with their target.
    pub(super) target: bool,
    /// Where its cookie wants it to go.
    pub(super) wanted: Option<Mark>,
    /// The client brought its application's cookie and ours.
    pub(super) app: bool,
}
