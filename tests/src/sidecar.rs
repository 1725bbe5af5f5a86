//! The admission sidecar in a process of its own, with the rights that are shipped and no others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_api::names;
use weir_local::{Checkout, Cluster, Identity, Port, Process, ReservedPort};

use crate::install::{apply, apply_object};

/// The rights that are shipped, from the root of the checkout.
const RIGHTS: &str = "admission-config/rbac.yaml";

/// How long a start may take on a machine that has ten other things to do.
const PATIENCE: Duration = Duration::from_secs(90);

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
    let text = std::fs::read_to_string(rights()?).context("read the rights")?;
    for document in text.split("\n---\n") {
        let mut object: DynamicObject = serde_saphyr::from_str(document).context("understand the rights")?;
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
pub struct Sidecar {
    process: Process,
    http: u16,
}

impl Sidecar {
    /// Starts one of this name with this configuration, in which the addresses are filled in, and returns once
    /// it says that it is ready.
    ///
    /// # Errors
    /// When it ends before, or does not become ready; the error has the end of its log.
    pub async fn start(cluster: &Cluster, program: &Path, name: &str, configuration: &str) -> Result<Self> {
        let [webhook, http] = [Port::Free, Port::Free].map(|port| ReservedPort::reserve(port, name));
        let [webhook, http] = [webhook?.number(), http?.number()];
        let hook = format!("listen: 127.0.0.1:{webhook}, url: 'https://127.0.0.1:{webhook}'");
        let configuration = match configuration.contains("webhook: {") {
            true => configuration.replace("webhook: {", &format!("webhook: {{{hook}, ")),
            false => format!("{configuration}\nwebhook: {{{hook}}}"),
        };
        let file = cluster.folder().join(format!("{name}.yaml"));
        let text = format!("{configuration}\nhttp: {{listen: 127.0.0.1:{http}}}\n");
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        let kubeconfig = cluster.kubeconfig_of(&account())?;
        let arguments = [format!("--config={}", file.display()), format!("--identity={name}")];
        let environment = BTreeMap::from([("KUBECONFIG".to_owned(), kubeconfig.display().to_string())]);
        let sidecar = Self { process: cluster.run(name, program, &arguments, &environment)?, http };
        sidecar.ready().await?;
        Ok(sidecar)
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// All that it printed until now.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.process.log()).context("read the sidecar's log")
    }

    /// What it counts, in the text format.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let (status, body) = self.get("/metrics").await?;
        ensure!(status == 200, "{} answers {status} to /metrics", self.process.name());
        Ok(body)
    }

    /// The memory that it holds and the most that it ever held, in bytes.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let figure = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("find {key}"))?;
            let kib =
                line.trim().trim_end_matches("kB").trim().parse::<u64>().with_context(|| format!("read {key}"))?;
            Ok(kib * 1024)
        };
        Ok((figure("VmRSS:")?, figure("VmHWM:")?))
    }

    async fn ready(&self) -> Result<()> {
        let asked = async {
            // Before it listens nobody could tell, so it is asked again and again.
            let mut tick = tokio::time::interval(Duration::from_millis(25));
            loop {
                tick.tick().await;
                if self.get("/readyz").await.is_ok_and(|(status, _)| status == 200) {
                    return;
                }
            }
        };
        tokio::select! {
            () = asked => Ok(()),
            death = self.process.death() => bail!(death),
            () = tokio::time::sleep(PATIENCE) => {
                bail!("{} does not become ready; the end of its log:\n{}", self.process.name(), self.process.log_tail())
            }
        }
    }

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

/// The sidecar's program as `cargo test` and `make build` leave it beside the running one.
///
/// # Errors
/// When it was not built.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("weir-admission"));
    beside.into_iter().find(|path| path.exists()).context("weir-admission is missing: cargo build -p weir-admission")
}
