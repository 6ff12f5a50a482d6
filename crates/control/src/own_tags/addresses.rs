//! Tags that set the address at which an instance is reached. The operations that need an address read them.

use crate::settings::holder::Holder;
use crate::settings::setting::Setting;
use crate::settings::values::Values::Form;

/// On an instance: the address at which it is reached, in place of its own.
pub(crate) const OF_INSTANCE: &str = "forebay:address";
/// On a target group, followed by an instance's id: the address of an instance that was not launched here.
pub(crate) const OF_TARGET: &str = "forebay:address/";

/// The tags of instances and of target groups.
pub(crate) const TAGS: &[Setting<()>] = &[
    Setting::read_elsewhere(
        OF_INSTANCE,
        &[Holder::Instance],
        (Form("an IP address"), "its own address"),
        "the address at which the instance is reached",
    ),
    Setting::read_elsewhere(
        OF_TARGET,
        &[Holder::HttpGroup],
        (Form("an IP address"), "none"),
        "followed by an instance's id: the address of an instance that was not launched here",
    ),
];
