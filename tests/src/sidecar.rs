//! The admission sidecar in a process of its own, with the rights that are shipped and no others.

use anyhow::{Context as _, Result};
use kube::{Client, ResourceExt as _};
use weir_api::names;
use weir_local::{Checkout, Cluster, Identity, Manifest, Process, SidecarSettings};

use crate::install::MANAGER;
use crate::program::beside;

/// Gives the sidecar's account in another namespace what it may do in its own: for a sidecar with its lease there.
///
/// # Errors
/// When the API server refuses it.
pub async fn install_in(client: &Client, namespace: &str) -> Result<()> {
    let rights = Manifest::read(&Checkout::find()?.root().join("admission-config/rbac.yaml"))?;
    for object in rights.objects() {
        let mut object = object.clone();
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        if object.name_any() == names::ADMISSION && matches!(kind.as_str(), "Role" | "RoleBinding") {
            object.metadata.namespace = Some(namespace.to_owned());
            weir_local::apply(client, &object, MANAGER).await?;
        }
    }
    Ok(())
}

/// The sidecar's account at the API server.
#[must_use]
pub fn account() -> Identity {
    Identity::user(&format!("system:serviceaccount:{}:{}", names::NAMESPACE, names::ADMISSION))
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar(weir_local::Sidecar);

impl Sidecar {
    /// Starts one of this name with this configuration, in which the addresses are filled in, and returns once
    /// it says that it is ready. Where the configuration has a `url:`, that is how the API server reaches the webhook.
    ///
    /// # Errors
    /// When it ends before, or does not become ready; the error has the end of its log.
    pub async fn start(cluster: &Cluster, name: &str, configuration: &str) -> Result<Self> {
        let hook = match configuration.contains("url: ") {
            true => "listen: 127.0.0.1:${WEBHOOK_PORT}",
            false => "listen: 127.0.0.1:${WEBHOOK_PORT}, url: 'https://127.0.0.1:${WEBHOOK_PORT}'",
        };
        let configuration = match configuration.contains("webhook: {") {
            true => configuration.replace("webhook: {", &format!("webhook: {{{hook}, ")),
            false => format!("{configuration}\nwebhook: {{{hook}}}"),
        };
        let configuration = format!("{configuration}\nhttp: {{listen: '127.0.0.1:${{HTTP_PORT}}'}}\n");
        let (program, identity) = (beside("weir-admission")?, account());
        let settings = SidecarSettings { name, program: &program, configuration: &configuration, identity: &identity };
        Ok(Self(weir_local::Sidecar::start(cluster, settings).await?))
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        self.0.process()
    }

    /// The port of its webhook.
    #[must_use]
    pub const fn webhook_port(&self) -> u16 {
        self.0.webhook_port()
    }

    /// All that it printed until now.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.process().log()).context("read the sidecar's log")
    }

    /// What it counts, in the text format.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        self.0.metrics().await
    }

    /// The memory that it holds and the most that it ever held, in bytes.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.process().id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let figure = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("find {key}"))?;
            let kib =
                line.trim().trim_end_matches("kB").trim().parse::<u64>().with_context(|| format!("read {key}"))?;
            Ok(kib * 1024)
        };
        Ok((figure("VmRSS:")?, figure("VmHWM:")?))
    }
}
