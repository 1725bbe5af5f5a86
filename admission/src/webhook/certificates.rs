//! The webhook's certificates: an authority of our own and one leaf, in a Secret that all replicas share.
//!
//! No cert-manager is needed. A replica that finds the Secret missing or due makes a new one by compare-and-swap; every
//! replica takes what is there. When a certificate is renewed the new authority is trusted beside the old one, so that
//! a replica which still serves the old leaf is believed until it sees the new.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::config::Config;

/// The type of the Secret: what other tools look for too.
const TYPE: &str = "kubernetes.io/tls";
const LEAF: &str = "tls.crt";
const KEY: &str = "tls.key";
/// The authorities that are trusted: the one that signed the leaf first, then the one before it.
const AUTHORITIES: &str = "ca.crt";
/// When to renew, in seconds of Unix time.
const RENEW_AT: &str = "renew-at";
/// The names that the leaf is for, one per line; others need another leaf.
const NAMES: &str = "names";

/// What a replica serves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The certificate, in PEM.
    pub leaf: Vec<u8>,
    /// Its key, in PEM.
    pub key: Vec<u8>,
    /// What the API server has to trust, in PEM.
    pub authorities: Vec<u8>,
    /// When to renew.
    pub renew_at: SystemTime,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The Secret can be neither read nor written.
    #[error("certificates: {operation} secret {name}: {source}")]
    Secret {
        /// What was tried.
        operation: &'static str,
        /// Which Secret.
        name: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// No certificate can be made.
    #[error("certificates: {0}")]
    Issue(#[from] rcgen::Error),
    /// Another client wrote the Secret each time that it was tried.
    #[error("certificates: secret {0} was changed by others each time; is it managed by another client too?")]
    Contended(String),
}

/// The certificates that are in force, made if there are none or they are due.
///
/// # Errors
/// The Secret cannot be read or written, or no certificate can be made.
pub async fn ensure(client: &Client, config: &Config, now: SystemTime) -> Result<Certificates, CertificateError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &config.namespace);
    let name = &config.webhook.secret;
    let failed = |operation| {
        let name = name.clone();
        move |source| CertificateError::Secret { operation, name, source: Box::new(source) }
    };
    for _ in 0..5 {
        let found = secrets.get_opt(name).await.map_err(failed("reading"))?;
        let known = found.as_ref().and_then(|secret| read(secret, config));
        if let Some(known) = known.clone().filter(|known| now < known.renew_at) {
            return Ok(known);
        }
        let fresh = issue(config, now, known.as_ref())?;
        let secret = write(&fresh, config, found.as_ref());
        let written = match &found {
            Some(_) => secrets.replace(name, &PostParams::default(), &secret).await,
            None => secrets.create(&PostParams::default(), &secret).await,
        };
        match written {
            Ok(_) => return Ok(fresh),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(source) => return Err(failed("writing")(source)),
        }
    }
    Err(CertificateError::Contended(name.clone()))
}

/// The names by which the API server calls the webhook.
fn names(config: &Config) -> Vec<String> {
    let (service, namespace) = (&config.webhook.service, &config.namespace);
    let host = config.webhook.url.as_deref().and_then(|url| {
        let authority = url.split("://").nth(1)?.split('/').next()?;
        Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']).to_owned())
    });
    let mut names = vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")];
    names.extend(host);
    names
}

fn issue(config: &Config, now: SystemTime, before: Option<&Certificates>) -> Result<Certificates, rcgen::Error> {
    let validity = Duration::from(config.webhook.validity);
    // An hour back, because the clock of the API server is another one.
    let (from, until) = (now - Duration::from_secs(3600), now + validity);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.distinguished_name.push(DnType::CommonName, "weir-admission authority");
    (authority.not_before, authority.not_after) = (from.into(), until.into());
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::new(names(config))?;
    leaf.distinguished_name.push(DnType::CommonName, "weir-admission");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (leaf.not_before, leaf.not_after) = (from.into(), until.into());
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;
    let mut authorities = authority.pem().into_bytes();
    authorities.extend(before.map(|before| newest(&before.authorities)).unwrap_or_default());
    let renew_at = now + validity * 2 / 3;
    Ok(Certificates { leaf: leaf.pem().into_bytes(), key: key.serialize_pem().into_bytes(), authorities, renew_at })
}

/// The first certificate of a bundle.
fn newest(bundle: &[u8]) -> Vec<u8> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(bundle);
    text.find(END).map(|at| format!("{}\n", &text[..at + END.len()]).into_bytes()).unwrap_or_default()
}

/// What a Secret holds; nothing if something is missing or it is for other names.
fn read(secret: &Secret, config: &Config) -> Option<Certificates> {
    let data = secret.data.as_ref()?;
    let bytes = |key: &str| data.get(key).map(|ByteString(bytes)| bytes.clone());
    let text = |key: &str| String::from_utf8(bytes(key)?).ok();
    if text(NAMES)?.lines().ne(names(config)) {
        return None;
    }
    let renew_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(text(RENEW_AT)?.parse().ok()?))?;
    Some(Certificates { leaf: bytes(LEAF)?, key: bytes(KEY)?, authorities: bytes(AUTHORITIES)?, renew_at })
}

fn write(certificates: &Certificates, config: &Config, found: Option<&Secret>) -> Secret {
    let Certificates { leaf, key, authorities, renew_at } = certificates;
    let renew_at = renew_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let data = [
        (LEAF, leaf.clone()),
        (KEY, key.clone()),
        (AUTHORITIES, authorities.clone()),
        (RENEW_AT, renew_at.into_bytes()),
        (NAMES, names(config).join("\n").into_bytes()),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(config.webhook.secret.clone()),
            namespace: Some(config.namespace.clone()),
            resource_version: found.and_then(|secret| secret.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        data: Some(
            data.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).collect::<BTreeMap<_, _>>(),
        ),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_and_the_old_authority_stays_trusted() {
        let config = Config::parse("webhook: {validity: 3h}").unwrap();
        let first = issue(&config, at(10_000), None).unwrap();
        assert_eq!(first.renew_at, at(10_000 + 7200));
        let second = issue(&config, at(20_000), Some(&first)).unwrap();
        let third = issue(&config, at(30_000), Some(&second)).unwrap();
        let trusted = |bundle: &Certificates| String::from_utf8_lossy(&bundle.authorities).matches("BEGIN").count();
        assert_eq!([&first, &second, &third].map(trusted), [1, 2, 2]);
        assert!(second.authorities.ends_with(&first.authorities));
    }

    #[test]
    fn what_is_written_is_what_is_read_and_other_names_need_another() {
        let config = Config::default();
        let made = issue(&config, at(10_000), None).unwrap();
        let secret = write(&made, &config, None);
        assert_eq!(read(&secret, &config), Some(made));
        let moved = Config::parse("webhook: {url: 'https://10.0.0.7:9443'}").unwrap();
        assert_eq!(names(&moved)[2], "10.0.0.7");
        assert_eq!(read(&secret, &moved), None);
    }
}
