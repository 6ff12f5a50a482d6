//! The cookies that a request carries and that its answer sets.

use forebay_balance::{COOKIE_LENGTH, Mark};

/// A cookie's value.
pub type CookieValue = [u8; COOKIE_LENGTH];

/// The names of the load balancer's cookies.
pub mod cookie {
    /// Name a target; the second is for cross-site requests and takes precedence.
    pub const TARGET: [&str; 2] = ["AWSALB", "AWSALBCORS"];
    /// Name a target, beside the application's own cookie. The value fits into the first of the four.
    pub const APP: [&str; 4] = ["AWSALBAPP-0", "AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3"];
    /// Name a group; the second is for cross-site requests and takes precedence.
    pub const GROUP: [&str; 2] = ["AWSALBTG", "AWSALBTGCORS"];
}

/// Cookies that an answer sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookies {
    /// For AWSALB and AWSALBCORS.
    pub target: Option<CookieValue>,
    /// For AWSALBAPP-0.
    pub app: Option<CookieValue>,
    /// For AWSALBTG and AWSALBTGCORS.
    pub group: Option<CookieValue>,
}

/// The sticky sessions that apply to a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Sticky {
    /// The rule keeps clients with their group.
    pub(super) group: bool,
    /// The group keeps clients with their target.
    pub(super) target: bool,
    /// The target named by the client's cookie.
    pub(super) wanted: Option<Mark>,
    /// The client sent both its application's cookie and the load balancer's.
    pub(super) app: bool,
}
