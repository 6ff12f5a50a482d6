//! Makes the TLS configurations that rustls serves from blueprints. This happens on the slow path when a snapshot is
//! published; the result is given to the workers with it. Unchanged parts stay the same object.

use super::choice::Choice;
use super::policy;
use super::tickets::Tickets;
use crate::clock::Clock;
use forebay_model::{CertificateBlueprint, KeyForm, PrivateKey, TlsBlueprint};
use forebay_node::{ListenerId, Snapshot};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sessions of clients without tickets (TLS 1.2 session ids) kept per listener.
const SESSIONS: usize = 4096;

/// The TLS configurations of all HTTPS listeners.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    by_id: BTreeMap<ListenerId, Arc<ListenerTls>>,
}

/// The TLS configuration of one listener.
#[derive(Debug)]
pub(crate) struct ListenerTls {
    blueprint: Arc<TlsBlueprint>,
    http2: bool,
    pub(crate) config: Arc<ServerConfig>,
    keys: Arc<Certificates>,
    sessions: Sessions,
}

/// The state that lets clients resume sessions. It lives as long as the listener: replacing a certificate costs no session,
/// and the policy in force decides anew whether a session's version and cipher are still allowed.
#[derive(Clone, Debug)]
struct Sessions {
    /// Shared by all workers.
    tickets: Arc<Tickets>,
    by_id: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    fn new(clock: Clock) -> Sessions {
        Sessions {
            tickets: Arc::new(Tickets::new(clock)),
            by_id: ServerSessionMemoryCache::new(SESSIONS),
        }
    }
}

impl Listeners {
    /// The configurations for this snapshot; unchanged ones are taken from `before`.
    pub(crate) fn of(snapshot: &Snapshot, before: &Listeners, clock: Clock) -> Listeners {
        let made = snapshot.listeners.iter().filter_map(|listener| {
            let blueprint = listener.blueprint.tls.as_ref()?;
            let http2 = listener.balancer.settings().http2;
            let known = before.by_id.get(&listener.id);
            if let Some(known) = known
                && known.http2 == http2
                && (Arc::ptr_eq(&known.blueprint, blueprint) || known.blueprint == *blueprint)
            {
                return Some((listener.id, Arc::clone(known)));
            }
            match ListenerTls::new(blueprint, http2, known.map(|known| &**known), clock) {
                Ok(made) => Some((listener.id, Arc::new(made))),
                Err(error) => {
                    tracing::error!(listener = listener.blueprint.arn, %error, "TLS cannot be served");
                    None
                }
            }
        });
        Listeners {
            by_id: made.collect(),
        }
    }

    /// A listener's keys of session tickets.
    pub(crate) fn tickets(&self, listener: ListenerId) -> Option<&Tickets> {
        Some(&self.by_id.get(&listener)?.sessions.tickets)
    }

    pub(crate) fn get(&self, listener: ListenerId) -> Option<&Arc<ListenerTls>> {
        self.by_id.get(&listener)
    }
}

impl ListenerTls {
    fn new(
        blueprint: &Arc<TlsBlueprint>,
        http2: bool,
        before: Option<&ListenerTls>,
        clock: Clock,
    ) -> Result<ListenerTls, rustls::Error> {
        let policy = forebay_model::policy(&blueprint.policy)
            .ok_or_else(|| rustls::Error::General(format!("policy {} is unknown", blueprint.policy)))?;
        let provider = policy::provider(policy);
        let sessions = before.map_or_else(|| Sessions::new(clock), |before| before.sessions.clone());
        let keys = Arc::new(Certificates::load(
            blueprint,
            &provider,
            before.map(|before| &*before.keys),
            clock,
        ));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&policy::versions(policy))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&keys) as Arc<dyn ResolvesServerCert>);
        config.ignore_client_order = true;
        config.session_storage = Arc::clone(&sessions.by_id);
        config.ticketer = Arc::clone(&sessions.tickets) as Arc<dyn ProducesTickets>;
        // No early data (0-RTT): anyone could replay what arrives before the handshake's end.
        config.max_early_data_size = 0;
        config.alpn_protocols = if http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        Ok(ListenerTls {
            blueprint: Arc::clone(blueprint),
            http2,
            config: Arc::new(config),
            keys,
            sessions,
        })
    }
}

/// The choice of a handshake's certificate.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    pub(super) sni: Option<Box<str>>,
    pub(super) arn: Option<Arc<str>>,
}

thread_local! {
    /// The choice just made on this thread. rustls asks for a certificate while it processes a ClientHello, and offers no
    /// way to return anything else with it.
    static CHOSEN: RefCell<Option<Chosen>> = const { RefCell::new(None) };
}

/// Takes the choice that was made since the last call.
pub(super) fn take_chosen() -> Option<Chosen> {
    CHOSEN.take()
}

/// A listener's certificates, with their keys ready to sign.
#[derive(Debug)]
struct Certificates {
    loaded: Vec<Loaded>,
    choice: Choice,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Loaded {
    blueprint: Arc<CertificateBlueprint>,
    key: Arc<CertifiedKey>,
    arn: Arc<str>,
}

impl Certificates {
    fn load(
        blueprint: &TlsBlueprint,
        provider: &CryptoProvider,
        before: Option<&Certificates>,
        clock: Clock,
    ) -> Certificates {
        let known = |wanted: &Arc<CertificateBlueprint>| {
            let loaded = &before?.loaded;
            loaded
                .iter()
                .find(|loaded| Arc::ptr_eq(&loaded.blueprint, wanted))
                .cloned()
        };
        let mut has_default = blueprint.has_default;
        let mut loaded = Vec::new();
        for (index, wanted) in blueprint.certificates.iter().enumerate() {
            match known(wanted).map_or_else(|| Loaded::new(wanted, provider), Ok) {
                Ok(one) => loaded.push(one),
                Err(error) => {
                    tracing::error!(certificate = wanted.arn, %error, "a certificate cannot be used");
                    has_default &= index > 0;
                }
            }
        }
        let all = loaded.iter().map(|one| Arc::clone(&one.blueprint)).collect();
        Certificates {
            choice: Choice::new(all, has_default),
            loaded,
            clock,
        }
    }
}

impl Loaded {
    fn new(
        blueprint: &Arc<CertificateBlueprint>,
        provider: &CryptoProvider,
    ) -> Result<Loaded, rustls::Error> {
        let key = provider
            .key_provider
            .load_private_key(private_key(&blueprint.key))?;
        let chain = blueprint
            .chain
            .iter()
            .map(|der| CertificateDer::from(der.clone()))
            .collect();
        Ok(Loaded {
            blueprint: Arc::clone(blueprint),
            key: Arc::new(CertifiedKey::new(chain, key)),
            arn: Arc::from(blueprint.arn.as_str()),
        })
    }
}

fn private_key(key: &PrivateKey) -> PrivateKeyDer<'static> {
    let der = key.der.clone();
    match key.form {
        KeyForm::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
        KeyForm::Pkcs1 => PrivatePkcs1KeyDer::from(der).into(),
        KeyForm::Sec1 => PrivateSec1KeyDer::from(der).into(),
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls has removed the schemes that match none of a TLS 1.2 client's ciphers.
        let checks = |index: usize| {
            let key = self.loaded.get(index).map(|one| &one.key.key);
            key.is_some_and(|key| key.choose_scheme(hello.signature_schemes()).is_some())
        };
        let name = hello.server_name();
        let now = self.clock.wall().seconds();
        let chosen = self
            .choice
            .of(name, now, checks)
            .and_then(|index| self.loaded.get(index));
        CHOSEN.set(Some(Chosen {
            sni: name.map(Box::from),
            arn: chosen.map(|one| Arc::clone(&one.arn)),
        }));
        chosen.map(|one| Arc::clone(&one.key))
    }
}
