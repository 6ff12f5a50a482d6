//! What the agent shows to who speaks TLS to it: files, or a certificate made at start.

use super::AgentArgs;
use anyhow::{Context as _, bail};
use forebay_agent::Identity;
use forebay_model::{CertificateBlueprint, KeyForm, KeyKind, PrivateKey, TlsBlueprint};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;
use std::sync::Arc;

/// The same certificate, for both addresses.
pub(crate) struct Shown {
    pub(crate) data: Arc<TlsBlueprint>,
    pub(crate) control: Identity,
}

pub(crate) fn load(args: &AgentArgs) -> anyhow::Result<Shown> {
    let (chain, key) = match (&args.tls_cert_path, &args.tls_key_path) {
        (Some(chain), Some(key)) => read(chain, key)?,
        _ => make()?,
    };
    let policy = args.tls_security_policy.as_str();
    if forebay_model::policy(policy).is_none() {
        bail!(
            "'{policy}' is no security policy (--tls-security-policy); ELBSecurityPolicy-TLS13-1-2-2021-06 is one"
        );
    }
    let (form, der) = match &key {
        PrivateKeyDer::Pkcs8(key) => (KeyForm::Pkcs8, key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => (KeyForm::Pkcs1, key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => (KeyForm::Sec1, key.secret_sec1_der()),
        _ => bail!("the key is in no form that is known here: use PKCS #8"),
    };
    let certificate = CertificateBlueprint {
        arn: "agent".to_owned(),
        chain: chain.iter().map(|part| part.to_vec()).collect(),
        key: PrivateKey {
            form,
            der: der.to_vec(),
        },
        // What follows is for choosing among several; there is one.
        names: Vec::new(),
        not_before: i64::MIN,
        not_after: i64::MAX,
        kind: KeyKind::Ecdsa,
        key_bits: 256,
        hash_bits: 256,
    };
    Ok(Shown {
        data: Arc::new(TlsBlueprint {
            policy: policy.to_owned(),
            certificates: vec![Arc::new(certificate)],
            has_default: true,
        }),
        control: Identity { chain, key },
    })
}

fn read(chain: &Path, key: &Path) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", chain.display()))?;
    if certificates.is_empty() {
        bail!("there is no certificate in {}", chain.display());
    }
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read the key {}", key.display()))?;
    Ok((certificates, key))
}

/// Load balancers take any certificate of a target.
fn make() -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let made = rcgen::generate_simple_self_signed(vec!["forebay-agent".to_owned()])
        .context("no certificate could be made")?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}
