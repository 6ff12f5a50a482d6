//! The context of API calls.

use crate::decode::Bodies;
use crate::{Beside, Credentials, Hosts, Writer};
use forebay_units::Rng;
use forebay_units::lock::lock;
use std::sync::Mutex;
use tokio::sync::watch;

/// Options of API calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiOptions {
    /// The account of every caller, twelve digits.
    pub account: String,
    /// The region of a call that names none (only possible without signatures).
    pub region: String,
    /// Whether signatures are checked. If not, anyone who reaches the port may do anything.
    pub check_signatures: bool,
    /// The host names under which calls without signatures are accepted.
    pub hosts: Hosts,
    /// Whether `POST /moto-api/reset` deletes the state.
    pub allow_reset: bool,
}

/// State that all stages share.
pub struct ApiContext {
    pub(crate) options: ApiOptions,
    pub(crate) credentials: Credentials,
    pub(crate) writer: Writer,
    pub(crate) bodies: Bodies,
    /// Bodies with archives of functions. They have room of their own, so that they displace no others.
    pub(crate) archives: Bodies,
    pub(crate) beside: Beside,
    /// Whether the process is stopping; waiting calls are answered then.
    pub(crate) stopping: watch::Sender<bool>,
    ids: Mutex<Rng>,
}

impl ApiContext {
    /// A context for these callers; `seed` starts the stream of request ids.
    pub fn new(
        options: ApiOptions,
        credentials: Credentials,
        writer: Writer,
        beside: Beside,
        seed: u64,
    ) -> ApiContext {
        ApiContext {
            options,
            credentials,
            writer,
            bodies: Bodies::default(),
            archives: Bodies::of_archives(),
            beside,
            stopping: watch::channel(false).0,
            ids: Mutex::new(Rng::named(seed, "request-ids")),
        }
    }

    /// The writer, for changes that are not API calls.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Makes the next call read the credentials again, even if their file looks unchanged.
    pub fn read_again(&self) {
        self.credentials.forget();
    }

    /// Random numbers for the ids of what one call creates.
    pub(crate) fn drawn(&self) -> Rng {
        let mut ids = lock(&self.ids);
        Rng::named(ids.next_u64(), "message-ids")
    }

    /// A request id in the form of a version 4 UUID.
    pub(crate) fn request_id(&self) -> String {
        let mut ids = lock(&self.ids);
        let random = u128::from(ids.next_u64()) << 64 | u128::from(ids.next_u64());
        uuid::Builder::from_random_bytes(random.to_be_bytes())
            .into_uuid()
            .to_string()
    }
}
