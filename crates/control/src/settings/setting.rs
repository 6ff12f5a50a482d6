//! A setting: one row of a table.

use crate::settings::holder::Holder;
use crate::settings::values::{Given, Values};

/// What is documented and checked of a setting.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The attribute's or the tag's key. One that ends with a slash is followed by an id.
    pub key: &'static str,
    /// What may have it.
    pub holders: &'static [Holder],
    /// The values that it takes.
    pub values: Values,
    /// An attribute's value until it is set; of a tag, in words, what holds without it.
    pub default: &'static str,
    /// What it is for, one line.
    pub meaning: &'static str,
    /// Whether it already does what it says. If not, it is only stored and described.
    pub is_built: bool,
}

/// How a value gets into a configuration. None if the value is not of the form that the setting takes.
type Set<T> = fn(&mut T, Given<'_>) -> Option<()>;

/// A setting of the configuration `T`.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    row: Row,
    set: Set<T>,
}

impl<T> Setting<T> {
    /// One whose values change the configuration.
    pub(crate) const fn new(
        key: &'static str,
        holders: &'static [Holder],
        (values, default): (Values, &'static str),
        meaning: &'static str,
        set: Set<T>,
    ) -> Setting<T> {
        Setting {
            row: Row {
                key,
                holders,
                values,
                default,
                meaning,
                is_built: true,
            },
            set,
        }
    }

    /// One that changes nothing in the configuration: some operation reads it.
    pub(crate) const fn read_elsewhere(
        key: &'static str,
        holders: &'static [Holder],
        values: (Values, &'static str),
        meaning: &'static str,
    ) -> Setting<T> {
        Setting::new(key, holders, values, meaning, |_, _| Some(()))
    }

    /// One that is stored and described, and does nothing yet.
    pub(crate) const fn stored(
        key: &'static str,
        holders: &'static [Holder],
        values: (Values, &'static str),
        meaning: &'static str,
    ) -> Setting<T> {
        let mut setting = Setting::read_elsewhere(key, holders, values, meaning);
        setting.row.is_built = false;
        setting
    }

    /// What is documented and checked of it.
    pub const fn row(&self) -> &Row {
        &self.row
    }

    /// Puts a value into the configuration. None, and nothing is changed, if it is not one that the setting takes.
    pub(crate) fn apply(&self, configuration: &mut T, value: &str) -> Option<()> {
        (self.set)(configuration, self.row.values.read(value)?)
    }
}

/// Applies what `value_of` has for each setting, in the order of the table. A value that the setting does not take changes nothing:
/// values are checked when they are set, and one from before a check was there must not take down the rest.
pub(crate) fn apply_all<'v, T>(
    table: &[Setting<T>],
    configuration: &mut T,
    value_of: impl Fn(&str) -> Option<&'v str>,
) {
    for setting in table {
        if let Some(value) = value_of(setting.row.key) {
            setting.apply(configuration, value);
        }
    }
}

/// For setters: puts a value that was understood into its place.
pub(crate) fn put<V>(place: &mut V, value: Option<V>) -> Option<()> {
    *place = value?;
    Some(())
}
