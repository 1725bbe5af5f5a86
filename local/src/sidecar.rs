//! The admission sidecar on a local cluster: its configuration filled in, its process, and when it is ready.
//!
//! Knows nothing of what the configuration decides, and gives its process no rights: that is the identity's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Cluster, Death, Identity, Port, Process, ReservedPort};

/// A running sidecar; it ends with its cluster, or by [`Sidecar::stop`].
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    http: u16,
    webhook: u16,
}

/// What distinguishes one sidecar from another.
#[derive(Clone, Debug)]
pub struct SidecarSettings<'a> {
    /// The name of the replica; its log is `logs/NAME.log`.
    pub name: &'a str,
    /// The binary.
    pub program: &'a Path,
    /// Its configuration, in which `${WEBHOOK_PORT}` and `${HTTP_PORT}` stand for two free ports of the loopback
    /// address.
    pub configuration: &'a str,
    /// Its identity towards the API server.
    pub identity: &'a Identity,
}

impl Sidecar {
    /// Starts a sidecar and returns when it says that it is ready.
    ///
    /// # Errors
    /// When it ends before, with the end of its log: a value that it refuses, a right that it does not have.
    pub async fn start(cluster: &Cluster, settings: SidecarSettings<'_>) -> Result<Self> {
        let SidecarSettings { name, program, configuration, identity } = settings;
        let [webhook, http] = [Port::Free, Port::Free].map(|port| ReservedPort::reserve(port, name));
        let (webhook, http) = (webhook?, http?);
        let text = configuration
            .replace("${WEBHOOK_PORT}", &webhook.number().to_string())
            .replace("${HTTP_PORT}", &http.number().to_string());
        let file = cluster.folder().join(format!("{name}.yaml"));
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        let kubeconfig = cluster.kubeconfig_of(identity)?;
        let arguments = [format!("--config={}", file.display()), format!("--identity={name}")];
        let environment = BTreeMap::from([("KUBECONFIG".to_owned(), kubeconfig.display().to_string())]);
        let (http_port, webhook_port) = (http.number(), webhook.number());
        // It shares no ports, so they are given up for it only now.
        drop((webhook, http));
        let process = cluster.run(name, program, &arguments, &environment)?;
        let sidecar = Self { process, http: http_port, webhook: webhook_port };
        sidecar.process.until("ready", async || sidecar.ready().await).await?;
        Ok(sidecar)
    }

    /// The process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// The port for its webhook on the loopback address.
    #[must_use]
    pub const fn webhook_port(&self) -> u16 {
        self.webhook
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

    /// What it counts, in the text format of Prometheus.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let (status, body) = self.get("/metrics").await?;
        ensure!(status == 200, "{} answers {status} to /metrics", self.process.name());
        Ok(body)
    }

    async fn ready(&self) -> bool {
        self.get("/readyz").await.is_ok_and(|(status, _)| status == 200)
    }

    /// Plain HTTP on the loopback address: a status and a body are all there is to read.
    async fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).await.context("connect")?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.context("ask")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context("read the answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
        let status = head.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok());
        Ok((status.context("the answer has no status")?, body.to_owned()))
    }
}
