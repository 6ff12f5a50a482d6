//! The state: everything that users have made, as one value.
//!
//! In the folder: `addresses` (the pools and their slices), `nodes` (the addresses of load balancer nodes), `zones`
//! (how many zones each region has).

use crate::ec2::defaults::default_region;
use crate::ec2::records::ZONES;
use crate::records::NodeAddresses;
use crate::rows::{RowChange, RowError, json};
use crate::tables::{Region, TABLES};
use forebay_model::Secret;
use forebay_model::limits::Quota;
use forebay_units::Rng;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

mod addresses;
pub(crate) mod nodes;
pub(crate) mod zones;

/// The table and key of the row that holds the state's settings.
const SETTINGS_TABLE: &str = "state";
const SETTINGS_KEY: &str = "settings";

/// The state's settings, which belong to no region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Increases with every change.
    pub generation: u64,
    /// The pool that subnets, nodes and instances take their IPv4 addresses from.
    pub pool: Ipv4Net,
    /// The pool that nodes take their IPv6 addresses from, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool6: Option<Ipv6Net>,
    /// The number of zones in each region.
    #[serde(default = "default_zones")]
    pub zones: u8,
    /// Addresses for nodes that are used instead of the pools'.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_addresses: NodeAddresses,
    /// The region of requests that name none, and of global services' resources.
    pub default_region: String,
    /// The dialect that answers follow.
    #[serde(default)]
    pub dialect: Dialect,
    /// Quotas that differ from the default, by the API's name.
    #[serde(default)]
    pub quotas: BTreeMap<String, u32>,
    /// The domain of load balancers' DNS names.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// The secret that the keys of sticky cookies are derived from; zeros until it is drawn.
    #[serde(default)]
    pub(crate) secret: [u8; 32],
}

/// The default domain of load balancers' DNS names.
pub const DEFAULT_DOMAIN: &str = "elb.localhost";

fn default_domain() -> String {
    DEFAULT_DOMAIN.to_owned()
}

fn default_zones() -> u8 {
    ZONES
}

/// Whose behavior answers follow where AWS and moto differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// AWS's behavior.
    #[default]
    Aws,
    /// The mock library moto's behavior, for test suites written against it. It accepts much that AWS refuses (a single
    /// zone, rules without conditions or actions, authentication without TLS, security groups and targets of other
    /// VPCs), describes conditions and actions as they were given, and deregisters an id without a port at every port.
    Moto,
}

/// Everything that users have made. Cloning costs O(1), so each operation works on a copy of its own, and one that fails is
/// simply dropped (docs/decisions/0001).
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    settings: Arc<Settings>,
    regions: imbl::OrdMap<String, Arc<Region>>,
    /// The pool's slices in use, by number. Derived from the subnets, and not stored.
    slices: imbl::OrdMap<u32, String>,
}

impl State {
    /// A state without any resources: the default region with its default VPC.
    pub fn new(default_region: &str, pool: Ipv4Net) -> State {
        let settings = Settings {
            generation: 1,
            pool,
            pool6: None,
            zones: ZONES,
            node_addresses: NodeAddresses::new(),
            default_region: default_region.to_owned(),
            dialect: Dialect::Aws,
            quotas: BTreeMap::new(),
            domain: default_domain(),
            secret: [0; 32],
        };
        State::with_settings(settings)
    }

    fn with_settings(settings: Settings) -> State {
        let default_region = settings.default_region.clone();
        let mut state = State {
            settings: Arc::new(settings),
            regions: imbl::OrdMap::new(),
            slices: imbl::OrdMap::new(),
        };
        state.region_mut(&default_region);
        state
    }

    /// This state without any resources. The generation continues, so that the new state counts as newer.
    pub fn reset(&self) -> State {
        State::with_settings(Settings {
            generation: self.settings.generation + 1,
            ..(*self.settings).clone()
        })
    }

    /// This state with another dialect and other quotas.
    pub fn configured(&self, dialect: Dialect, quotas: BTreeMap<String, u32>) -> State {
        let mut state = self.clone();
        if (self.settings.dialect, &self.settings.quotas) != (dialect, &quotas) {
            let settings = Arc::make_mut(&mut state.settings);
            *settings = Settings {
                dialect,
                quotas,
                generation: settings.generation + 1,
                ..settings.clone()
            };
        }
        state
    }

    /// This state with another domain for the names of future load balancers. Existing ones keep their names.
    pub fn in_domain(&self, domain: &str) -> State {
        let mut state = self.clone();
        if self.settings.domain != domain {
            let settings = Arc::make_mut(&mut state.settings);
            domain.clone_into(&mut settings.domain);
            settings.generation += 1;
        }
        state
    }

    /// This state with `drawn` (random) as the secret of sticky cookies, if it has none yet.
    pub fn secured(&self, drawn: [u8; 32]) -> State {
        let mut state = self.clone();
        if self.settings.secret == [0; 32] {
            let settings = Arc::make_mut(&mut state.settings);
            settings.secret = drawn;
            settings.generation += 1;
        }
        state
    }

    /// A number that stays the same as long as this state is kept, and differs between installations.
    pub(crate) fn stable_seed(&self) -> u64 {
        self.settings.secret.chunks(8).fold(0, |own: u64, chunk| {
            let word = chunk
                .iter()
                .fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
            own.rotate_left(7) ^ word
        })
    }

    /// Random numbers that are reproducible for this state, and differ for every other state and installation. Ids of
    /// instances must not collide with those of another Forebay on the same machine.
    pub(crate) fn drawn(&self, name: &str) -> Rng {
        Rng::named(
            self.stable_seed() ^ self.settings.generation.rotate_left(32),
            name,
        )
    }

    /// The secret that the keys of sticky cookies are derived from.
    pub fn secret(&self) -> Secret {
        Secret(self.settings.secret)
    }

    /// A quota's value.
    pub fn quota(&self, quota: Quota) -> usize {
        self.settings.quotas.get(quota.name).copied().unwrap_or(quota.max) as usize
    }

    /// A number that increases with every change.
    pub fn generation(&self) -> u64 {
        self.settings.generation
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn grow(&mut self) {
        Arc::make_mut(&mut self.settings).generation += 1;
    }

    /// A region. One that nobody has written to yet has its defaults.
    pub fn region(&self, name: &str) -> Arc<Region> {
        if let Some(region) = self.regions.get(name) {
            return Arc::clone(region);
        }
        Arc::new(default_region(name, &self.free_slices()))
    }

    /// A region that somebody has written to.
    pub fn existing_region(&self, name: &str) -> Option<&Region> {
        self.regions.get(name).map(|region| &**region)
    }

    /// All regions that somebody has written to, by name.
    pub fn regions(&self) -> impl Iterator<Item = (&str, &Region)> {
        self.regions
            .iter()
            .map(|(name, region)| (name.as_str(), &**region))
    }

    /// A region, for changes; created with its defaults on first use.
    pub fn region_mut(&mut self, name: &str) -> &mut Region {
        if !self.regions.contains_key(name) {
            let made = default_region(name, &self.free_slices());
            for subnet in made.subnets.values() {
                self.slices
                    .extend(subnet.slices.iter().map(|&slice| (slice, subnet.id.clone())));
            }
            self.regions.insert(name.to_owned(), Arc::new(made));
        }
        match self.regions.get_mut(name) {
            Some(region) => Arc::make_mut(region),
            None => unreachable!("the region was just made"),
        }
    }

    /// The rows that differ between `old` and `new`.
    pub fn rows_changed(old: &State, new: &State) -> Vec<RowChange> {
        let mut changes = Vec::new();
        if old.settings != new.settings {
            changes.push(settings_row(new));
        }
        let nothing = Region::default();
        for (name, region) in &new.regions {
            match old.regions.get(name) {
                // A region that is still the same object has not been written to, so its rows need not be
                // compared.
                Some(before) if Arc::ptr_eq(before, region) => {}
                before => region.changes_since(before.map_or(&nothing, |before| before), name, &mut changes),
            }
        }
        for (name, region) in &old.regions {
            if !new.regions.contains_key(name) {
                nothing.changes_since(region, name, &mut changes);
            }
        }
        changes
    }

    /// All rows, for a new store.
    pub fn rows(&self) -> Vec<RowChange> {
        let mut rows = vec![settings_row(self)];
        for (name, region) in &self.regions {
            region.changes_since(&Region::default(), name, &mut rows);
        }
        rows
    }

    /// Names of all tables of rows.
    pub fn tables() -> impl Iterator<Item = &'static str> {
        core::iter::once(SETTINGS_TABLE).chain(TABLES.iter().copied())
    }

    /// Rebuilds the state from its rows: table, key and JSON.
    pub fn from_rows<T, K, V>(rows: impl IntoIterator<Item = (T, K, V)>) -> Result<State, RowError>
    where
        T: AsRef<str>,
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut settings = None;
        let mut regions: BTreeMap<String, Region> = BTreeMap::new();
        for (table, key, value) in rows {
            let (table, key, value) = (table.as_ref(), key.as_ref(), value.as_ref());
            if table == SETTINGS_TABLE {
                settings = Some(serde_json::from_slice::<Settings>(value).map_err(|cause| {
                    RowError::Unreadable {
                        table: table.to_owned(),
                        key: key.to_owned(),
                        cause,
                    }
                })?);
                continue;
            }
            let Some((region, key)) = key.split_once('/') else {
                return Err(RowError::NoRegion {
                    table: table.to_owned(),
                    key: key.to_owned(),
                });
            };
            regions
                .entry(region.to_owned())
                .or_default()
                .take_row(table, key, value)?;
        }
        let settings = Arc::new(settings.ok_or(RowError::NoSettings)?);
        // Slices are derived rather than stored, so they cannot contradict the subnets.
        let slices = regions.values().flat_map(|region| region.subnets.values());
        let slices = slices
            .flat_map(|subnet| subnet.slices.iter().map(|&slice| (slice, subnet.id.clone())))
            .collect();
        let regions = regions
            .into_iter()
            .map(|(name, region)| (name, Arc::new(region)))
            .collect();
        Ok(State {
            settings,
            regions,
            slices,
        })
    }
}

fn settings_row(state: &State) -> RowChange {
    RowChange {
        table: SETTINGS_TABLE,
        key: SETTINGS_KEY.to_owned(),
        value: Some(json(&*state.settings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new("local-1", "127.64.0.0/10".parse().unwrap())
    }

    #[test]
    fn region_that_nobody_wrote_to_has_stable_defaults() {
        let state = state();
        let (first, second) = (state.region("us-east-1"), state.region("us-east-1"));
        assert_eq!(first, second);
        assert_eq!(first.subnets.len(), 3);
        assert!(state.existing_region("us-east-1").is_none());
        let mut written = state.clone();
        assert_eq!(*written.region_mut("us-east-1"), *first);
        // Each subnet has a slice of its own, in every region.
        let slices: Vec<u32> = written
            .regions()
            .flat_map(|(_, region)| region.subnets.values())
            .flat_map(|s| s.slices.clone())
            .collect();
        let unique: std::collections::BTreeSet<u32> = slices.iter().copied().collect();
        assert_eq!((slices.len(), unique.len()), (6, 6));
    }

    #[test]
    fn rows_make_the_same_state_and_changes_lead_from_one_to_the_next() {
        let old = state();
        let mut new = old.clone();
        new.region_mut("eu-west-1");
        new.grow();
        let mut rows: BTreeMap<(String, String), Vec<u8>> = BTreeMap::new();
        for row in old.rows().into_iter().chain(State::rows_changed(&old, &new)) {
            match row.value {
                Some(value) => rows.insert((row.table.to_owned(), row.key), value),
                None => rows.remove(&(row.table.to_owned(), row.key)),
            };
        }
        let back = State::from_rows(rows.iter().map(|((table, key), value)| (table, key, value))).unwrap();
        assert_eq!(back, new);
        assert!(State::rows_changed(&new, &new).is_empty());
    }

    #[test]
    fn wrong_rows_are_named() {
        let settings = state()
            .rows()
            .into_iter()
            .find(|row| row.table == SETTINGS_TABLE)
            .unwrap();
        let good = (SETTINGS_TABLE, settings.key, settings.value.unwrap());
        let wrong = |table: &'static str, key: &str, value: &str| {
            State::from_rows([good.clone(), (table, key.to_owned(), value.as_bytes().to_vec())]).unwrap_err()
        };
        assert_eq!(
            wrong("no.such", "local-1/a", "{}").to_string(),
            "table 'no.such' is unknown to this version: was the data written by a newer one?"
        );
        assert!(
            wrong("ec2.vpc", "local-1/vpc-1", "{")
                .to_string()
                .contains("'vpc-1'")
        );
        assert!(matches!(
            wrong("ec2.vpc", "vpc-1", "{}"),
            RowError::NoRegion { .. }
        ));
        assert!(matches!(
            State::from_rows([("ec2.vpc", "a/b", "{}")]),
            Err(RowError::Unreadable { .. })
        ));
    }

    #[test]
    fn reset_leaves_the_defaults_and_the_settings() {
        let mut state = state().configured(Dialect::Moto, BTreeMap::from([("rules".to_owned(), 7)]));
        state.region_mut("eu-west-1");
        let reset = state.reset();
        assert_eq!(reset.regions().count(), 1);
        assert_eq!(reset.settings().dialect, Dialect::Moto);
        assert!(reset.generation() > state.generation());
    }
}
