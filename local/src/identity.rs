//! The identities of a local cluster: its certificate authority, the keys of its servers, and kubeconfigs.
//!
//! Every user is a client certificate, so that a test can take any identity at any time, and RBAC
//! applies as it does in production. The authority exists for one cluster and never leaves its folder.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::json;

/// A user of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: String,
    /// One at most: rcgen keeps one value of each attribute, and groups are values of the same one.
    group: Option<String>,
}

impl Identity {
    /// A user without a group of its own.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self { user: name.to_owned(), group: None }
    }

    /// The same user as a member of `group` and of no other.
    #[must_use]
    pub fn in_group(self, group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..self }
    }

    /// The user with all rights.
    #[must_use]
    pub fn admin() -> Self {
        Self::user("admin").in_group("system:masters")
    }

    /// kube-scheduler's own user, with the rights that upstream gives it.
    #[must_use]
    pub fn scheduler() -> Self {
        Self::user("system:kube-scheduler")
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.user
    }
}

/// The certificate authority of one cluster, in one folder.
pub(crate) struct Authority {
    folder: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority; its certificate is `ca.crt` in `folder`, beside the keys of the servers.
    pub(crate) fn create(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let key = KeyPair::generate().context("generate the authority's key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "weir-local");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).context("sign the authority's certificate")?.pem();
        write_private(&folder.join("ca.crt"), &certificate)?;
        Ok(Self { folder, certificate, issuer: Issuer::new(params, key) })
    }

    /// A server certificate for the loopback address: the paths of certificate and key.
    pub(crate) fn server(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let mut params = CertificateParams::new(["localhost".to_owned(), "kubernetes.default.svc".to_owned()])
            .context("name the server")?;
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (certificate, key) = self.sign(params)?;
        let paths = (self.folder.join(format!("{name}.crt")), self.folder.join(format!("{name}.key")));
        write_private(&paths.0, &certificate)?;
        write_private(&paths.1, &key)?;
        Ok(paths)
    }

    /// The pair of keys that signs service account tokens: the paths of the private and the public one.
    pub(crate) fn service_account_keys(&self) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate().context("generate the service account key")?;
        let paths = (self.folder.join("service-account.key"), self.folder.join("service-account.pub"));
        write_private(&paths.0, &key.serialize_pem())?;
        write_private(&paths.1, &key.public_key_pem())?;
        Ok(paths)
    }

    /// Writes to `path` a kubeconfig with which `identity` talks to the API server at `server`.
    ///
    /// JSON, which every reader of kubeconfigs takes as the YAML it is; complete in one file.
    pub(crate) fn kubeconfig(&self, identity: &Identity, server: &str, path: &Path) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, identity.user.as_str());
        if let Some(group) = &identity.group {
            params.distinguished_name.push(DnType::OrganizationName, group.as_str());
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = self.sign(params)?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "weir",
            "clusters": [{"name": "weir", "cluster": {
                "server": server, "certificate-authority-data": STANDARD.encode(&self.certificate)}}],
            "users": [{"name": identity.user, "user": {
                "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)}}],
            "contexts": [{"name": "weir", "context": {
                "cluster": "weir", "user": identity.user, "namespace": "default"}}],
        });
        write_private(path, &format!("{config:#}\n"))
    }

    fn sign(&self, params: CertificateParams) -> Result<(String, String)> {
        let key = KeyPair::generate().context("generate a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("sign a certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// Writes a file that only its owner may read, all at once: a process that starts now may be reading it.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("write {}", path.display()))
}
