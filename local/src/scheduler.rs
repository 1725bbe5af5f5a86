//! A scheduler on a local cluster: its configuration filled in, its process, its health and its metrics.
//!
//! Knows nothing of what the configuration decides. Works for Weir's scheduler and for the unmodified one of
//! kube-scheduler-wasm-extension, whose command line is the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::Client;

use crate::cluster::client_to;
use crate::{Cluster, Death, Identity, Port, Process, ReservedPort};

/// A running scheduler; it ends with its cluster, or by [`Scheduler::stop`].
#[derive(Debug)]
pub struct Scheduler {
    process: Process,
    metrics: ClientOfMetrics,
    _port: ReservedPort,
}

/// What distinguishes one scheduler from another.
#[derive(Clone, Debug)]
pub struct SchedulerSettings<'a> {
    /// Its log is `logs/NAME.log`.
    pub name: &'a str,
    /// The binary.
    pub program: &'a Path,
    /// The KubeSchedulerConfiguration, in which `${KUBECONFIG}` and `${WEIR_PLUGINS}` stand for the file with
    /// which it reaches the API server and for the folder with the modules.
    pub configuration: &'a str,
    /// The folder with the modules.
    pub plugins: &'a Path,
}

struct ClientOfMetrics(Client);

impl std::fmt::Debug for ClientOfMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Scheduler {
    /// Starts a scheduler and returns when it is healthy.
    ///
    /// # Errors
    /// When it ends before, with the end of its log: a setting that a plugin refuses, a module that is not
    /// there, a configuration that cannot be read.
    pub async fn start(cluster: &Cluster, settings: SchedulerSettings<'_>) -> Result<Self> {
        Self::start_with(cluster, settings, &BTreeMap::new()).await
    }

    /// As [`Self::start`], with environment variables on top of this process's own.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub async fn start_with(
        cluster: &Cluster,
        settings: SchedulerSettings<'_>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let SchedulerSettings { name, program, configuration, plugins } = settings;
        let port = ReservedPort::reserve(Port::Free, name)?;
        let (certificate, key) = cluster.server_certificate(name)?;
        let kubeconfig = cluster.kubeconfig_of(&Identity::scheduler())?;
        let file = write_configuration(cluster, name, configuration, &kubeconfig, plugins)?;
        let arguments = [
            format!("--config={}", file.display()),
            format!("--authentication-kubeconfig={}", kubeconfig.display()),
            format!("--authorization-kubeconfig={}", kubeconfig.display()),
            // Every user of the cluster may read the metrics that RBAC allows. Without this flag the scheduler learns the
            // authority from the cluster, some time after its start.
            format!("--client-ca-file={}", cluster.authority_file().display()),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", port.number()),
            "--permit-port-sharing".into(),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-private-key-file={}", key.display()),
            // One replica: an election would only delay it.
            "--leader-elect=false".into(),
        ];
        let process = cluster.run(name, program, &arguments, environment)?;
        let client = client_to(cluster.kubeconfig(), &format!("https://127.0.0.1:{}", port.number())).await?;
        let scheduler = Self { process, metrics: ClientOfMetrics(client), _port: port };
        scheduler.process.until("healthy", async || scheduler.healthy().await).await?;
        Ok(scheduler)
    }

    /// Its metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let request = http::Request::get("/metrics").body(Vec::new()).context("ask for /metrics")?;
        self.metrics.0.request_text(request).await.with_context(|| format!("read {}'s metrics", self.process.name()))
    }

    /// The process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Returns once it ended by itself.
    pub async fn death(&self) -> Death {
        self.process.death().await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }

    async fn healthy(&self) -> bool {
        let Ok(request) = http::Request::get("/healthz").body(Vec::new()) else { return false };
        self.metrics.0.request_text(request).await.is_ok_and(|answer| answer == "ok")
    }
}

/// Writes the configuration with the two words replaced, and says where.
fn write_configuration(
    cluster: &Cluster,
    name: &str,
    configuration: &str,
    kubeconfig: &Path,
    plugins: &Path,
) -> Result<PathBuf> {
    let text = configuration
        .replace("${KUBECONFIG}", &kubeconfig.display().to_string())
        .replace("${WEIR_PLUGINS}", &plugins.display().to_string());
    let file = cluster.folder().join(format!("{name}.yaml"));
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}
