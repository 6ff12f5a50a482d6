//! A setting: one row of a table.

use crate::settings::holder::Holder;
use crate::settings::values::{Given, Values};

/// The part of a setting that is documented and validated.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The attribute's or tag's key. A key that ends with a slash is followed by an id.
    pub key: &'static str,
    /// The resources that have it.
    pub holders: &'static [Holder],
    /// The values that it accepts.
    pub values: Values,
    /// An attribute's default value; for a tag, a description of what applies without it.
    pub default: &'static str,
    /// What it is for, in one line.
    pub meaning: &'static str,
    /// Whether it takes effect. If not, it is only stored and described.
    pub is_built: bool,
}

/// Writes a value into a configuration. `None` if the value does not have the form that the setting requires.
type Set<T> = fn(&mut T, Given<'_>) -> Option<()>;

/// A setting of the configuration `T`.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    row: Row,
    set: Set<T>,
}

impl<T> Setting<T> {
    /// A setting whose value changes the configuration.
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

    /// A setting that does not change the configuration: an operation reads it.
    pub(crate) const fn read_elsewhere(
        key: &'static str,
        holders: &'static [Holder],
        values: (Values, &'static str),
        meaning: &'static str,
    ) -> Setting<T> {
        Setting::new(key, holders, values, meaning, |_, _| Some(()))
    }

    /// A setting that is stored and described but has no effect yet.
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

    /// Its documented part.
    pub const fn row(&self) -> &Row {
        &self.row
    }

    /// Writes a value into the configuration. Returns `None`, and changes nothing, if the setting does not accept the
    /// value.
    pub(crate) fn apply(&self, configuration: &mut T, value: &str) -> Option<()> {
        (self.set)(configuration, self.row.values.read(value)?)
    }
}

/// Applies the values that `value_of` returns, in the order of the table. A value that the setting does not accept is
/// skipped: values are checked when they are set, but one stored before a check existed must not disable the others.
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

/// For setters: stores a value that could be parsed.
pub(crate) fn put<V>(place: &mut V, value: Option<V>) -> Option<()> {
    *place = value?;
    Some(())
}

/// How many settings of a table `holder` has.
#[cfg(test)]
pub(crate) fn count_of<T>(table: &[Setting<T>], holder: Holder) -> usize {
    let of_holder = |setting: &&Setting<T>| setting.row.holders.contains(&holder);
    table.iter().filter(of_holder).count()
}
