//! What a fleet asks of whoever really starts and ends instances.

use core::fmt;
use core::time::Duration;
use forebay_control::fleet::{SeenInstance, Usage, WantedInstance};
use std::net::SocketAddr;
use std::sync::Arc;

/// Where an application is told to listen, unless its image says otherwise.
pub const PORT: u16 = 8000;

/// Called when something changed.
pub type Poke = Arc<dyn Fn() + Send + Sync>;

/// Makes single instances so. Its calls may take a while; of one instance, only one is under way at a time.
pub trait Launcher: Send + Sync + 'static {
    /// The instances that there is something of, whether they live or not.
    fn list(&self) -> Result<Vec<String>, String>;

    /// What is seen of an instance, at once. Run 0 if there is something of it that was never started; none if there is nothing.
    fn look(&self, id: &str) -> Option<SeenInstance>;

    /// Starts a run. It is seen from then on; on an error nothing of it runs.
    fn start(&self, wanted: &WantedInstance) -> Result<(), StartError>;

    /// Has it stand still.
    fn pause(&self, id: &str) -> Result<(), String>;

    /// Has it go on.
    fn resume(&self, id: &str) -> Result<(), String>;

    /// Has it end in peace, without waiting for that.
    fn stop(&self, id: &str) -> Result<(), String>;

    /// Frees what only one that lives needs. Called once it has ended.
    fn release(&self, _id: &str) {}

    /// Removes all that is left of one that has ended.
    fn remove(&self, id: &str) -> Result<(), String>;

    /// Takes up one that lives since before this launcher was made.
    fn adopt(&self, _wanted: &WantedInstance) {}

    /// All instances as they are wanted now: what the metadata service tells.
    fn know(&self, _wanted: &[WantedInstance]) {}

    /// What an instance has used since it began.
    fn usage(&self, _id: &str) -> Usage {
        Usage::default()
    }

    /// Whom to call when one has ended. Whoever does not is looked at often enough.
    fn tell(&self, _changed: Poke) {}

    /// How often what is seen has to be asked for (`refresh`); none if looking is cheap.
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Asks anew what there is to see.
    fn refresh(&self) {}
}

/// Why a run was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// It cannot be: the text is for people.
    Failed(String),
    /// Something of the instance is alive that was not seen yet, such as a run whose start a killed Forebay had just ordered. It must be
    /// looked at again.
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

/// The keys of an instance profile's role, by the profile's name.
pub type FactsSource = Arc<dyn Fn(&str) -> Result<AccessKeys, String> + Send + Sync>;

/// What instances are told of this Forebay.
#[derive(Clone)]
pub struct Facts {
    /// Where the AWS APIs are served.
    pub api: SocketAddr,
    /// The account.
    pub account: String,
    /// The addresses of load balancers and instances, as a prefix.
    pub pool: String,
    /// Keys of roles.
    pub keys: FactsSource,
}

impl Facts {
    /// The API as programs on this machine reach it.
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
