//! Parses PEM certificates and keys, and checks that a key belongs to a certificate. This needs no cryptography: a
//! private key contains its public half.

use crate::acm::records::{Bundle, Facts};
use forebay_model::{KeyForm, PrivateKey};
use x509_parser::der_parser::der::parse_der;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Why a certificate, key or chain is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "The certificate field contains more than one certificate. You can specify only one certificate in this field."
    )]
    Several,
    #[error("The certificate body is not in a valid PEM format.")]
    Certificate,
    #[error("The certificate chain is not in a valid PEM format.")]
    Chain,
    #[error("The private key is not in a valid PEM format.")]
    Key,
    #[error("The private key is encrypted. You must provide an unencrypted key.")]
    Encrypted,
    #[error("The private key does not match the certificate's public key.")]
    Mismatch,
}

/// Reads a certificate, an unencrypted private key that belongs to it, and possibly a chain.
pub(crate) fn read(
    certificate: &str,
    private_key: &str,
    chain: Option<&str>,
) -> Result<(Bundle, Facts), Refused> {
    let blocks = blocks(certificate)
        .filter(|blocks| !blocks.is_empty())
        .ok_or(Refused::Certificate)?;
    let [block] = &blocks[..] else {
        return Err(Refused::Several);
    };
    let (_, parsed) = X509Certificate::from_der(&block.contents).map_err(|_| Refused::Certificate)?;
    for link in chain
        .map(|chain| self::blocks(chain).ok_or(Refused::Chain))
        .transpose()?
        .into_iter()
        .flatten()
    {
        X509Certificate::from_der(&link.contents).map_err(|_| Refused::Chain)?;
    }
    check_key(private_key, &parsed)?;
    let bundle = Bundle {
        certificate: certificate.to_owned(),
        chain: chain.map(str::to_owned),
        private_key: private_key.to_owned(),
    };
    Ok((bundle, facts(&parsed)))
}

/// The certificate with its chain in DER, leaf first, and the key.
pub(crate) fn der(bundle: &Bundle) -> Option<(Vec<Vec<u8>>, PrivateKey)> {
    let texts = [Some(bundle.certificate.as_str()), bundle.chain.as_deref()];
    let mut chain = Vec::new();
    for text in texts.into_iter().flatten() {
        chain.extend(blocks(text)?.into_iter().map(|block| block.contents));
    }
    let key = blocks(&bundle.private_key)?
        .into_iter()
        .find(|block| block.label.ends_with("PRIVATE KEY"))?;
    let form = match key.label.as_str() {
        "RSA PRIVATE KEY" => KeyForm::Pkcs1,
        "EC PRIVATE KEY" => KeyForm::Sec1,
        _ => KeyForm::Pkcs8,
    };
    let der = key.contents;
    Some((chain, PrivateKey { form, der }))
}

fn blocks(text: &str) -> Option<Vec<Pem>> {
    Pem::iter_from_buffer(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .ok()
}

fn facts(certificate: &X509Certificate<'_>) -> Facts {
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() {
            names.extend(alternatives.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
    }
    let common = certificate
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .map(str::to_owned);
    let domain = common.or_else(|| names.first().cloned()).unwrap_or_default();
    if names.is_empty() && !domain.is_empty() {
        names.push(domain.clone());
    }
    Facts {
        domain,
        names,
        serial: certificate.raw_serial_as_string(),
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        key_algorithm: key_algorithm(certificate),
        signature_algorithm: signature_algorithm(certificate),
    }
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA_{}", key.key_size()),
        Ok(PublicKey::EC(point)) => match point.key_size() {
            256 => "EC_prime256v1".to_owned(),
            384 => "EC_secp384r1".to_owned(),
            _ => "EC_secp521r1".to_owned(),
        },
        _ => "UNKNOWN".to_owned(),
    }
}

fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        other => return other.to_owned(),
    }
    .to_owned()
}

/// Checks that `private_key` contains the certificate's public half: the modulus of an RSA key, or the point of an EC
/// key if it is included.
fn check_key(private_key: &str, certificate: &X509Certificate<'_>) -> Result<(), Refused> {
    let keys = blocks(private_key).ok_or(Refused::Key)?;
    if private_key.contains("ENCRYPTED") {
        return Err(Refused::Encrypted);
    }
    let is_key = |block: &&Pem| block.label.ends_with("PRIVATE KEY");
    let key = keys.iter().find(is_key).ok_or(Refused::Key)?;
    let inner;
    let der = if key.label == "PRIVATE KEY" {
        inner = unwrap_pkcs8(&key.contents).ok_or(Refused::Key)?;
        inner.as_slice()
    } else {
        key.contents.as_slice()
    };
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(public)) => {
            let modulus = rsa_modulus(der).ok_or(Refused::Key)?;
            if trimmed(&modulus) == trimmed(public.modulus) {
                Ok(())
            } else {
                Err(Refused::Mismatch)
            }
        }
        Ok(PublicKey::EC(point)) => match ec_point(der).ok_or(Refused::Key)? {
            Some(held) if held != point.data() => Err(Refused::Mismatch),
            _ => Ok(()),
        },
        _ => Err(Refused::Certificate),
    }
}

fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// The key in a PKCS #8 structure: version, algorithm, octets (RFC 5958, section 2).
fn unwrap_pkcs8(der: &[u8]) -> Option<Vec<u8>> {
    let (_, object) = parse_der(der).ok()?;
    Some(object.as_sequence().ok()?.get(2)?.as_slice().ok()?.to_vec())
}

/// The modulus in an RSAPrivateKey: version, modulus, ... (RFC 8017, appendix A.1.2).
fn rsa_modulus(der: &[u8]) -> Option<Vec<u8>> {
    let (_, object) = parse_der(der).ok()?;
    let parts = object.as_sequence().ok()?;
    // An EC key has octets in this place.
    (parts.len() >= 9).then(|| parts.get(1)?.as_slice().ok().map(<[u8]>::to_vec))?
}

/// The public point in an ECPrivateKey: version, key, [0] curve, [1] public point, the last two optional (RFC 5915,
/// section 3).
fn ec_point(der: &[u8]) -> Option<Option<Vec<u8>>> {
    let (_, object) = parse_der(der).ok()?;
    let parts = object.as_sequence().ok()?;
    parts.get(1)?.as_slice().ok()?;
    if parts.len() > 4 {
        return None;
    }
    let tagged = parts.iter().find(|part| part.header.raw_tag() == Some(&[0xa1]));
    let Some(tagged) = tagged else { return Some(None) };
    let (_, point) = parse_der(tagged.as_slice().ok()?).ok()?;
    Some(Some(point.as_slice().ok()?.to_vec()))
}
