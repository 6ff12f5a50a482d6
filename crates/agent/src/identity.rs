//! The certificate that the agent shows at both addresses: from files, or made at start.

use anyhow::{Context as _, bail};
use forebay_control_channel::Identity;
use forebay_model::{CertificateBlueprint, KeyForm, KeyKind, PrivateKey, TlsBlueprint};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use std::path::PathBuf;
use std::sync::Arc;

/// A chain of certificates, and the private key of the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) form: KeyForm,
    pub(super) key: Vec<u8>,
}

/// The files of a chain and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// Reads the files, or makes a certificate: load balancers accept any certificate of a target.
pub(super) fn load(policy: &str, files: Option<&Files>) -> anyhow::Result<Pair> {
    if forebay_model::policy(policy).is_none() {
        bail!(
            "'{policy}' is not a security policy (--tls-security-policy), such as ELBSecurityPolicy-TLS13-1-2-2021-06"
        );
    }
    let Some(files) = files else {
        let made = rcgen::generate_simple_self_signed(vec!["forebay-agent".to_owned()])
            .context("cannot make a certificate")?;
        return Ok(Pair {
            chain: vec![made.cert.der().to_vec()],
            form: KeyForm::Pkcs8,
            key: made.signing_key.serialize_der(),
        });
    };
    read(files)
}

/// Reads both files.
pub(super) fn read(Files { chain, key }: &Files) -> anyhow::Result<Pair> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", chain.display()))?;
    if certificates.is_empty() {
        bail!("there is no certificate in {}", chain.display());
    }
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read the key {}", key.display()))?;
    let form = match &key {
        PrivateKeyDer::Pkcs8(_) => KeyForm::Pkcs8,
        PrivateKeyDer::Pkcs1(_) => KeyForm::Pkcs1,
        PrivateKeyDer::Sec1(_) => KeyForm::Sec1,
        _ => bail!("the key has an unknown format: use PKCS #8"),
    };
    Ok(Pair {
        chain: certificates.iter().map(|part| part.to_vec()).collect(),
        form,
        key: key.secret_der().to_vec(),
    })
}

/// The certificate as the data address takes it.
pub(super) fn data(pair: &Pair, policy: &str) -> TlsBlueprint {
    let certificate = CertificateBlueprint {
        arn: "agent".to_owned(),
        chain: pair.chain.clone(),
        key: PrivateKey {
            form: pair.form,
            der: pair.key.clone(),
        },
        // The other fields choose among several certificates; there is only one.
        names: Vec::new(),
        not_before: i64::MIN,
        not_after: i64::MAX,
        kind: KeyKind::Ecdsa,
        key_bits: 256,
        hash_bits: 256,
    };
    TlsBlueprint {
        policy: policy.to_owned(),
        certificates: vec![Arc::new(certificate)],
        has_default: true,
    }
}

/// The certificate as the control address takes it.
pub(super) fn control(pair: &Pair) -> Identity {
    let der = pair.key.clone();
    Identity {
        chain: pair.chain.iter().cloned().map(CertificateDer::from).collect(),
        key: match pair.form {
            KeyForm::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
            KeyForm::Pkcs1 => PrivatePkcs1KeyDer::from(der).into(),
            KeyForm::Sec1 => PrivateSec1KeyDer::from(der).into(),
        },
    }
}
