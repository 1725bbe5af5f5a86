//! The admission sidecar on a local cluster: its configuration filled in, its process, and when it is ready.
//!
//! Knows nothing of what the configuration decides, and gives its process no rights: that is the identity's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Cluster, Death, Identity, Port, Process, ReservedPort};

/// How long a sidecar may take until it is ready.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running sidecar; it ends with its cluster, or by [`Sidecar::stop`].
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
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
    /// As whom it talks to the API server.
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
        let port = http.number();
        // It shares no ports, so they are given up for it only now.
        drop((webhook, http));
        let process = cluster.run(name, program, &arguments, &environment)?;
        let sidecar = Self { process };
        sidecar.ready(port).await?;
        Ok(sidecar)
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

    async fn ready(&self, port: u16) -> Result<()> {
        let asked = async {
            // As with the API server: before it listens, nobody could tell.
            let mut tick = tokio::time::interval(Duration::from_millis(25));
            loop {
                tick.tick().await;
                if says_ready(port).await.unwrap_or(false) {
                    return;
                }
            }
        };
        tokio::select! {
            () = asked => Ok(()),
            death = self.process.death() => Err(anyhow!(death)),
            () = tokio::time::sleep(DEADLINE) => bail!(
                "{} is not ready after {} s; the end of its log:\n{}",
                self.process.name(), DEADLINE.as_secs(), self.process.log_tail()
            ),
        }
    }
}

/// Whether `/readyz` says yes. Plain HTTP on the loopback address, so a status line is all there is to read.
async fn says_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_ascii_whitespace().nth(1) == Some("200"))
}
