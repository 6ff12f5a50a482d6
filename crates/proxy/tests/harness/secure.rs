//! TLS for tests: certificates, clients, targets.

use super::*;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

/// A self-signed certificate for these names.
pub(crate) fn certificate(arn: &str, names: &[&str], kind: KeyKind) -> Arc<CertificateBlueprint> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = match kind {
        KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
    };
    let made = CertificateParams::new(names.clone())
        .unwrap()
        .self_signed(&key)
        .unwrap();
    Arc::new(CertificateBlueprint {
        arn: arn.to_owned(),
        chain: vec![made.der().to_vec()],
        key: PrivateKey {
            form: KeyForm::Pkcs8,
            der: key.serialize_der(),
        },
        names,
        not_before: 0,
        not_after: i64::MAX,
        kind,
        key_bits: if kind == KeyKind::Rsa { 2048 } else { 256 },
        hash_bits: 256,
    })
}

pub(crate) fn tls(policy: &str, certificates: &[&Arc<CertificateBlueprint>]) -> Option<Arc<TlsBlueprint>> {
    Some(Arc::new(TlsBlueprint {
        policy: format!("ELBSecurityPolicy-{policy}"),
        certificates: certificates.iter().map(|&one| Arc::clone(one)).collect(),
        has_default: !certificates.is_empty(),
    }))
}

impl Balancer {
    /// Makes the listener speak TLS.
    pub(crate) fn secure(&self, policy: &str, certificates: &[&Arc<CertificateBlueprint>]) {
        let tls = tls(policy, certificates);
        self.edit_listener(|listener| {
            listener.protocol = Protocol::Https;
            listener.tls = tls;
        });
    }

    pub(crate) fn edit_listener(&self, edit: impl FnOnce(&mut ListenerBlueprint)) {
        self.edit(|blueprint| {
            let mut balancer = (*blueprint.balancers[0]).clone();
            let mut listener = (*balancer.listeners[0]).clone();
            edit(&mut listener);
            balancer.listeners[0] = Arc::new(listener);
            blueprint.balancers[0] = Arc::new(balancer);
        });
    }

    /// Handshakes that succeeded, that resumed a session, and that failed.
    pub(crate) fn handshakes(&self) -> (u64, u64, u64) {
        self.plane.with_node(|node| {
            let stats: Vec<_> = node.listeners().flat_map(|listener| listener.1.iter()).collect();
            let sum =
                |read: fn(&forebay_node::ListenerStats) -> u64| stats.iter().map(|&shard| read(shard)).sum();
            (
                sum(|shard| shard.handshakes.load(Relaxed)),
                sum(|shard| shard.resumed.load(Relaxed)),
                sum(|shard| shard.handshake_failures.load(Relaxed)),
            )
        })
    }

    /// A TLS connection after its handshake.
    pub(crate) fn shake(&self, config: &Arc<ClientConfig>, name: &str) -> Result<Client, String> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut stream = self.connect();
        while client.is_handshaking() {
            client
                .complete_io(&mut stream)
                .map_err(|error| error.to_string())?;
        }
        Ok(StreamOwned::new(client, stream))
    }
}

/// The certificate that a client was shown last.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) leaf: Mutex<Vec<u8>>,
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.leaf.lock().unwrap() = leaf.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// A client that accepts any certificate, and what it saw. `checks` are the kinds of key it can verify.
pub(crate) fn client(
    versions: &[&'static SupportedProtocolVersion],
    checks: &[KeyKind],
) -> (Arc<ClientConfig>, Arc<Seen>) {
    let provider = default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let schemes = schemes.into_iter().filter(|scheme| {
        let name = format!("{scheme:?}");
        checks.iter().any(|kind| match kind {
            KeyKind::Rsa => name.starts_with("RSA"),
            KeyKind::Ecdsa => name.starts_with("ECDSA"),
        })
    });
    let seen = Arc::new(Seen {
        leaf: Mutex::default(),
        schemes: schemes.collect(),
    });
    (client_with(provider, versions, Arc::clone(&seen)), seen)
}

pub(crate) fn client_with(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    seen: Arc<Seen>,
) -> Arc<ClientConfig> {
    Arc::new(
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(seen)
            .with_no_client_auth(),
    )
}

pub(crate) const BOTH: &[KeyKind] = &[KeyKind::Rsa, KeyKind::Ecdsa];

/// The certificate and options of TLS targets.
pub(crate) fn server_config(certificate: &CertificateBlueprint) -> Arc<ServerConfig> {
    let chain = certificate
        .chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let key = PrivatePkcs8KeyDer::from(certificate.key.der.clone());
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

/// What a TLS target saw of a connection: the server name, and whether a session was resumed.
pub(crate) type Asked = Arc<Mutex<Vec<(Option<String>, bool)>>>;

/// A target that speaks TLS, answers each request with `answer(head)` and keeps the connection. Probes get 200.
pub(crate) fn secure_target(
    config: Arc<ServerConfig>,
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (Target, Asked) {
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    let target = target(move |mut stream, heads| {
        let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
        while server.is_handshaking() {
            if server.complete_io(&mut stream).is_err() {
                return;
            }
        }
        let resumed = server.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let name = server.server_name().map(str::to_owned);
        let mut reader = BufReader::new(StreamOwned::new(server, stream));
        let mut first = true;
        while let Some(head) = read_head(&mut reader) {
            if head.contains("ELB-HealthChecker") {
                let _ = reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            if first {
                shared.lock().unwrap().push((name.clone(), resumed));
                first = false;
            }
            let bytes = answer(&head);
            heads.lock().unwrap().push(head);
            if bytes.is_empty() || reader.get_mut().write_all(&bytes).is_err() {
                return;
            }
            if bytes.windows(17).any(|window| window == b"Connection: close") {
                reader.get_mut().conn.send_close_notify();
                let _ = reader.get_mut().flush();
                return;
            }
        }
    });
    (target, asked)
}

fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}
