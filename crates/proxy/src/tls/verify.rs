//! How targets' certificates are verified.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, LazyLock};

/// Accepts any certificate, as ALB does: self-signed, expired, for another name. An attacker in the target's place can show
/// one of its own, so its signature proves nothing either and is not checked.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// Classical groups only: the larger ClientHello of a post-quantum group does not fit one segment, and some servers fail on
/// it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    })
}

type Config = LazyLock<Option<Arc<ClientConfig>>>;

fn config(
    verifier: impl FnOnce(Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String>,
) -> Option<Arc<ClientConfig>> {
    let provider = provider();
    let built = verifier(Arc::clone(&provider)).and_then(|verifier| {
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    });
    built
        .inspect_err(|error| tracing::error!(error, "TLS connections to targets will fail"))
        .ok()
}

static TRUSTING: Config = LazyLock::new(|| {
    config(|provider| {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        Ok(Arc::new(Anybody(schemes)))
    })
});

static VERIFYING: Config = LazyLock::new(|| {
    config(|provider| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of the machine's trusted certificate authorities cannot be read");
        }
        let mut roots = RootCertStore::empty();
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            return Err(
                "this machine trusts no certificate authority; set SSL_CERT_FILE to a file with some"
                    .to_owned(),
            );
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(verifier.map_err(|error| error.to_string())?)
    })
});

/// For targets without verification.
pub(super) fn trusting() -> Option<Arc<ClientConfig>> {
    TRUSTING.clone()
}

/// For targets whose certificate must lead to an authority that the machine trusts; none if it trusts none. Reading them
/// takes some milliseconds, once.
pub(super) fn verifying() -> Option<Arc<ClientConfig>> {
    VERIFYING.clone()
}
