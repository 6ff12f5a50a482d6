//! The interface between a fleet and a launcher, which really starts and ends instances.

use core::fmt;
use core::time::Duration;
use forebay_control::fleet::{SeenInstance, Usage, WantedInstance};
use std::net::SocketAddr;
use std::sync::Arc;

/// The port on which an application is told to listen, unless its image sets another.
pub const PORT: u16 = 8000;

/// Called when something changed.
pub type Poke = Arc<dyn Fn() + Send + Sync>;

/// Changes single instances. Its calls may take a while; for each instance only one is in progress at a time.
pub trait Launcher: Send + Sync + 'static {
    /// The instances of which anything exists, whether they live or not.
    fn list(&self) -> Result<Vec<String>, String>;

    /// The current state of an instance. Run 0 if something of it exists that was never started; none if nothing exists.
    fn look(&self, id: &str) -> Option<SeenInstance>;

    /// Starts a run. It is visible from then on; after an error nothing of it runs.
    fn start(&self, wanted: &WantedInstance) -> Result<(), StartError>;

    /// Freezes the instance.
    fn pause(&self, id: &str) -> Result<(), String>;

    /// Lets the instance go on.
    fn resume(&self, id: &str) -> Result<(), String>;

    /// Asks the instance to end, without waiting for that.
    fn stop(&self, id: &str) -> Result<(), String>;

    /// Frees what only a living instance needs. Called after it has ended.
    fn release(&self, _id: &str) {}

    /// Removes all that is left of an instance that has ended.
    fn remove(&self, id: &str) -> Result<(), String>;

    /// Adopts an instance that was started before this launcher was made.
    fn adopt(&self, _wanted: &WantedInstance) {}

    /// Sets all wanted instances, for the metadata service.
    fn know(&self, _wanted: &[WantedInstance]) {}

    /// What an instance has used since it began.
    fn usage(&self, _id: &str) -> Usage {
        Usage::default()
    }

    /// Sets the function to call when an instance has ended. A launcher that ignores this is looked at often enough.
    fn tell(&self, _changed: Poke) {}

    /// How often `refresh` must be called; none if looking is cheap.
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Refreshes what `look` returns.
    fn refresh(&self) {}
}

/// Why a run was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// It cannot be started; the text is for people.
    Failed(String),
    /// Something of the instance is alive that was not seen yet, such as a run that a killed Forebay had just started. It
    /// must be looked at again.
    Busy(String),
}

impl From<String> for StartError {
    fn from(why: String) -> StartError {
        StartError::Failed(why)
    }
}

/// Keys for calls of the AWS APIs.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeys {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Returns the keys of an instance profile's role, by the profile's name.
pub type FactsSource = Arc<dyn Fn(&str) -> Result<AccessKeys, String> + Send + Sync>;

/// What instances are told about this Forebay.
#[derive(Clone)]
pub struct Facts {
    /// Address of the AWS APIs.
    pub api: SocketAddr,
    /// The account id.
    pub account: String,
    /// The pool of load balancers' and instances' addresses, as a prefix.
    pub pool: String,
    /// The source of roles' keys.
    pub keys: FactsSource,
}

impl Facts {
    /// The address at which programs on this machine reach the API.
    pub(crate) fn local_api(&self) -> SocketAddr {
        let mut api = self.api;
        if api.ip().is_unspecified() {
            api.set_ip(match api {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        api
    }
}
