//! One control plane: what is started, with which flags, and when it is ready.
//!
//! Nothing sleeps: the start polls the API server until it is ready, waits for the controller manager's first
//! service account, and fails with the log of a process that dies in between.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config};

use crate::identity::Authority;
use crate::kept::{KeptCluster, PREFIX};
use crate::processes::{Death, Process, ProcessGroup};
use crate::{Identity, Port, Program, Programs, ReservedPort};

/// How long a start may take before it counts as failed; on two busy cores it takes 3 s to 10 s.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the fake kubelets do.
const STAGES: &str = include_str!("../kube/kwok-stages.yaml");

/// The controllers that a scheduling platform needs; each that is left out saves memory and watches.
const CONTROLLERS: &[&str] = &[
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
];

/// How a cluster differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The API server's port.
    pub port: Port,
}

/// A running control plane; it ends when this value is dropped or this process does.
pub struct Cluster {
    group: ProcessGroup,
    authority: Authority,
    folder: PathBuf,
    server: String,
    kubeconfig: PathBuf,
    client: Client,
    // Held so that no other process gets the port while the API server restarts.
    _port: ReservedPort,
}

impl Cluster {
    /// Starts a control plane and returns when pods can be created on it.
    ///
    /// # Errors
    /// When a program cannot be started or dies (the error has the end of its log), a port is in use, or the
    /// API server is not ready in time. Nothing is left running then.
    pub async fn start(programs: &Programs, options: Options) -> Result<Self> {
        // The features of another crate may compile in a second TLS backend; the first choice stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = ReservedPort::reserve(options.port, "kube-apiserver")?;
        let folder = create_folder()?;
        let group = ProcessGroup::create(folder.clone())?;
        let authority = Authority::create(folder.join("pki"))?;
        let server = format!("https://127.0.0.1:{}", port.number());
        let kubeconfig = folder.join("kubeconfig");
        authority.kubeconfig(&Identity::admin(), &server, &kubeconfig)?;
        let client = client_of(&kubeconfig).await?;
        let cluster = Self { group, authority, folder, server, kubeconfig, client, _port: port };
        cluster.start_all(programs).await?;
        Ok(cluster)
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The kubeconfig of [`Identity::admin`], readable by this user only.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The folder of the cluster: kubeconfigs, keys, `logs/`. Removed with the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a kubeconfig for another identity.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_of(&self, identity: &Identity) -> Result<PathBuf> {
        let path = self.folder.join(format!("{}.kubeconfig", identity.name().replace([':', '/'], "-")));
        self.authority.kubeconfig(identity, &self.server, &path)?;
        Ok(path)
    }

    /// A client with another identity.
    ///
    /// # Errors
    /// When its kubeconfig cannot be written.
    pub async fn client_of(&self, identity: &Identity) -> Result<Client> {
        client_of(&self.kubeconfig_of(identity)?).await
    }

    /// A certificate and its key for a server on the loopback address, signed by the authority that
    /// kubeconfigs of this cluster trust.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn server_certificate(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        self.authority.server(name)
    }

    /// The certificate of the authority that signed all certificates of this cluster.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join("pki/ca.crt")
    }

    /// Starts another process that ends with the cluster at the latest; its log is `logs/NAME.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(
        &self,
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<Process> {
        self.group.start(name, program, arguments, environment)
    }

    /// Returns once a process of the control plane ended.
    pub async fn death(&self) -> Death {
        self.group.death().await
    }

    /// Ends every process and removes the folder, as dropping does.
    ///
    /// # Errors
    /// When a process had died before, which may be why something else did not work.
    pub async fn stop(self) -> Result<()> {
        let death = tokio::select! {
            biased;
            death = self.group.death() => Some(death),
            () = std::future::ready(()) => None,
        };
        drop(self);
        death.map_or(Ok(()), |death| Err(anyhow!(death)))
    }

    /// Leaves everything running when this process ends; [`crate::kept_clusters`] finds it again.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn keep(self) -> Result<KeptCluster> {
        let kept = KeptCluster::write(&self.folder, self.group.number(), &self.kubeconfig)?;
        self.group.release()?;
        Ok(kept)
    }

    async fn start_all(&self, programs: &Programs) -> Result<()> {
        // The API server waits for its store, so both start at once.
        self.start_etcd(programs)?;
        self.start_api_server(programs)?;
        self.until("the API server is ready", self.api_server_is_ready()).await?;
        self.start_controller_manager(programs)?;
        self.start_kwok(programs)?;
        self.until("the controller manager made the first service account", self.first_service_account()).await
    }

    fn start_etcd(&self, programs: &Programs) -> Result<()> {
        // A socket in a private folder keeps other users out of the store and needs no port. A store of one member
        // never dials the addresses that it has to advertise. The data is thrown away with the cluster, so it need
        // not reach the disk.
        let store = self.folder.join("etcd");
        let arguments = [
            format!("--data-dir={}", store.display()),
            format!("--listen-client-urls={}", self.etcd_url()),
            "--advertise-client-urls=http://127.0.0.1:2379".into(),
            format!("--listen-peer-urls=unix://{}", self.folder.join("etcd-peer.sock").display()),
            "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-cluster=default=http://127.0.0.1:2380".into(),
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
        ];
        self.group.start_vital("etcd", programs.path(Program::Etcd)?, &arguments)
    }

    fn etcd_url(&self) -> String {
        format!("unix://{}", self.folder.join("etcd.sock").display())
    }

    fn start_api_server(&self, programs: &Programs) -> Result<()> {
        let (certificate, key) = self.authority.server("kube-apiserver")?;
        let (token_key, token_public) = self.authority.service_account_keys()?;
        let port = self.server.rsplit(':').next().unwrap_or_default();
        let arguments = [
            format!("--etcd-servers={}", self.etcd_url()),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            "--permit-port-sharing".into(),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-private-key-file={}", key.display()),
            format!("--client-ca-file={}", self.authority_file().display()),
            "--authorization-mode=RBAC".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-signing-key-file={}", token_key.display()),
            format!("--service-account-key-file={}", token_public.display()),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--endpoint-reconciler-type=none".into(),
            // A kubelet makes its node ready a moment after it registers. Here nodes are created ready, and removing
            // the taint again would be one more write for each of thousands.
            "--disable-admission-plugins=TaintNodesByCondition".into(),
            // The clients are this machine's own, and a demo or a benchmark is meant to load the server.
            "--enable-priority-and-fairness=false".into(),
            "--max-requests-inflight=0".into(),
            "--max-mutating-requests-inflight=0".into(),
            "--profiling=false".into(),
        ];
        self.group.start_vital("kube-apiserver", programs.path(Program::ApiServer)?, &arguments)
    }

    fn start_controller_manager(&self, programs: &Programs) -> Result<()> {
        let identity = Identity::user("system:kube-controller-manager").in_group("system:masters");
        let arguments = [
            format!("--kubeconfig={}", self.kubeconfig_of(&identity)?.display()),
            format!("--root-ca-file={}", self.authority_file().display()),
            format!("--controllers={}", CONTROLLERS.join(",")),
            "--secure-port=0".into(),
            "--leader-elect=false".into(),
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=2000".into(),
            // The fake kubelets send no heartbeats (kube/kwok-stages.yaml).
            "--node-monitor-grace-period=8760h".into(),
            "--profiling=false".into(),
        ];
        let program = programs.path(Program::ControllerManager)?;
        self.group.start_vital("kube-controller-manager", program, &arguments)
    }

    fn start_kwok(&self, programs: &Programs) -> Result<()> {
        let stages = self.folder.join("kwok.yaml");
        std::fs::write(&stages, STAGES).with_context(|| format!("write {}", stages.display()))?;
        let identity = Identity::user("kwok").in_group("system:masters");
        let arguments = [
            format!("--kubeconfig={}", self.kubeconfig_of(&identity)?.display()),
            format!("--config={}", stages.display()),
            "--node-lease-duration-seconds=0".into(),
        ];
        self.group.start_vital("kwok", programs.path(Program::Kwok)?, &arguments)
    }

    /// Waits for `event`, unless a process dies or the time is over.
    async fn until(&self, what: &str, event: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::select! {
            result = event => result.with_context(|| format!("wait until {what}")),
            death = self.group.death() => Err(anyhow!(death)),
            () = tokio::time::sleep(DEADLINE) => bail!(
                "gave up after {} s waiting until {what}; the machine may be too busy, and the logs are gone with the \
                 cluster",
                DEADLINE.as_secs()
            ),
        }
    }

    async fn api_server_is_ready(&self) -> Result<()> {
        // The one thing to poll: before the server listens, no watch can report that it does. The interval bounds
        // the delay.
        let mut tick = tokio::time::interval(Duration::from_millis(25));
        loop {
            tick.tick().await;
            let request = http::Request::get("/readyz").body(Vec::new()).context("ask for /readyz")?;
            if self.client.request_text(request).await.is_ok_and(|answer| answer == "ok") {
                return Ok(());
            }
        }
    }

    async fn first_service_account(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        await_condition(accounts, "default", |account: Option<&ServiceAccount>| account.is_some()).await?;
        Ok(())
    }
}

/// Creates a folder that only this user can read: it holds the authority's key and the store's socket.
fn create_folder() -> Result<PathBuf> {
    let only_me = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix(PREFIX).permissions(only_me).tempdir();
    Ok(folder.context("create the cluster's folder")?.keep())
}

async fn client_of(kubeconfig: &Path) -> Result<Client> {
    Client::try_from(config_of(kubeconfig).await?).context("make a client")
}

/// A client with the identity of `kubeconfig` for another server of the same cluster.
pub(crate) async fn client_to(kubeconfig: &Path, server: &str) -> Result<Client> {
    let mut config = config_of(kubeconfig).await?;
    config.cluster_url = server.parse().with_context(|| format!("read the address {server}"))?;
    Client::try_from(config).context("make a client")
}

async fn config_of(kubeconfig: &Path) -> Result<Config> {
    let read = || format!("read {}", kubeconfig.display());
    let config = Kubeconfig::read_from(kubeconfig).with_context(read)?;
    Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.with_context(read)
}
