//! The admission sidecar in a process of its own, with the rights that are shipped and no others.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use weir_api::names;
use weir_local::{Checkout, Cluster, Identity, Manifest, Process, SidecarSettings};

use crate::install::{apply, apply_object};

/// The rights that are shipped, from the root of the checkout.
const RIGHTS: &str = "admission-config/rbac.yaml";

/// Installs the custom resources and the rights of the sidecar, and returns when the resources are served.
///
/// # Errors
/// When the API server refuses one of them.
pub async fn install(client: &Client) -> Result<()> {
    apply(client, &rights()?).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in weir_api::crds() {
        let name = definition.name_any();
        definitions.create(&PostParams::default(), &definition).await.with_context(|| format!("create {name}"))?;
        await_condition(definitions.clone(), &name, conditions::is_crd_established()).await?;
    }
    Ok(())
}

/// Gives the sidecar's account in another namespace what it may do in its own: for one whose lease is there.
///
/// # Errors
/// When the API server refuses it.
pub async fn install_in(client: &Client, namespace: &str) -> Result<()> {
    for object in Manifest::read(&rights()?)?.objects() {
        let mut object = object.clone();
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        if object.name_any() == names::ADMISSION && matches!(kind.as_str(), "Role" | "RoleBinding") {
            object.metadata.namespace = Some(namespace.to_owned());
            apply_object(client, &object).await?;
        }
    }
    Ok(())
}

fn rights() -> Result<PathBuf> {
    Ok(Checkout::find()?.root().join(RIGHTS))
}

/// Who the sidecar is at the API server.
#[must_use]
pub fn account() -> Identity {
    Identity::user(&format!("system:serviceaccount:{}:{}", names::NAMESPACE, names::ADMISSION))
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar(weir_local::Sidecar);

impl Sidecar {
    /// Starts one of this name with this configuration, in which the addresses are filled in, and returns once
    /// it says that it is ready. Where it says `url:` somebody stands between the API server and the webhook.
    ///
    /// # Errors
    /// When it ends before, or does not become ready; the error has the end of its log.
    pub async fn start(cluster: &Cluster, program: &Path, name: &str, configuration: &str) -> Result<Self> {
        let hook = match configuration.contains("url: ") {
            true => "listen: 127.0.0.1:${WEBHOOK_PORT}",
            false => "listen: 127.0.0.1:${WEBHOOK_PORT}, url: 'https://127.0.0.1:${WEBHOOK_PORT}'",
        };
        let configuration = match configuration.contains("webhook: {") {
            true => configuration.replace("webhook: {", &format!("webhook: {{{hook}, ")),
            false => format!("{configuration}\nwebhook: {{{hook}}}"),
        };
        let configuration = format!("{configuration}\nhttp: {{listen: '127.0.0.1:${{HTTP_PORT}}'}}\n");
        let settings = SidecarSettings { name, program, configuration: &configuration, identity: &account() };
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

/// The sidecar's program as `cargo test` and `make build` leave it beside the running one.
///
/// # Errors
/// When it was not built.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("weir-admission"));
    beside.into_iter().find(|path| path.exists()).context("weir-admission is missing: cargo build -p weir-admission")
}
