//! A control plane, what of Weir runs on it, and everything that its watches told from the start.
//!
//! Most tests share a world and own a namespace in it ([`shared`]). One that changes nodes, kills or configures
//! something has a world of its own, of which there are two at most at a time. A world ends with its last owner.

pub mod shared;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use weir_local::{Cluster, Identity, Scheduler};

use crate::history::History;
use crate::install;
use crate::judge;
use crate::objects::{NodeBuilder, pod};
use crate::setup::Setup;
use crate::sidecar::Sidecar;
use crate::wait::{self, PATIENCE};

/// Leases that are short enough for a test to wait for their end.
pub const SHORT_LEASE: &str = "lease: {duration: 3s, renewBefore: 1s}";

/// Each takes some 300 MB and, while it starts, a core.
const PRIVATE_AT_A_TIME: usize = 2;

/// How often a figure is read that is waited for.
const SCRAPE_EVERY: Duration = Duration::from_millis(100);

/// How much of a log an error shows.
const LOG_LINES: usize = 25;

/// The logs that no error shows: a control plane says much, and nothing of what a test is about.
const CONTROL_PLANE_LOGS: [&str; 4] = ["etcd.log", "kube-apiserver.log", "kube-controller-manager.log", "kwok.log"];

static ROOM: Semaphore = Semaphore::const_new(PRIVATE_AT_A_TIME);

/// Room for one more control plane: for tests whose program starts one itself.
///
/// # Errors
/// Never in practice: the semaphore is not closed.
pub async fn room() -> Result<SemaphorePermit<'static>> {
    ROOM.acquire().await.context("wait for room for a control plane")
}

/// A control plane with what runs on it.
pub struct World {
    /// The control plane.
    pub cluster: Cluster,
    /// What its watches told from the start.
    pub history: History,
    sidecars: Mutex<BTreeMap<String, Arc<Sidecar>>>,
    schedulers: Mutex<Vec<Arc<Scheduler>>>,
    _room: Option<SemaphorePermit<'static>>,
}

impl World {
    /// A world of the test's own, without nodes, scheduler and sidecar.
    ///
    /// # Errors
    /// When the control plane cannot be started.
    pub async fn start() -> Result<Arc<Self>> {
        Self::begin(Some(room().await?)).await
    }

    /// A world of the test's own, with sidecar `a` of this configuration and without nodes.
    ///
    /// # Errors
    /// When the control plane or the sidecar cannot be started.
    pub async fn with_sidecar(configuration: &str) -> Result<Arc<Self>> {
        let world = Self::start().await?;
        world.run_sidecar("a", configuration).await?;
        Ok(world)
    }

    async fn begin(room: Option<SemaphorePermit<'static>>) -> Result<Arc<Self>> {
        let cluster = install::control_plane().await?;
        let history = History::begin(&cluster.client()).await?;
        let (sidecars, schedulers) = (Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { cluster, history, sidecars, schedulers, _room: room }))
    }

    /// A client that may do anything, for one test: connections end with the runtime that they were made in.
    ///
    /// # Errors
    /// When its kubeconfig cannot be written.
    pub async fn client(&self) -> Result<Client> {
        self.cluster.client_of(&Identity::admin()).await
    }

    /// A client of a user without any right beside those that every user has.
    ///
    /// # Errors
    /// When its kubeconfig cannot be written.
    pub async fn user(&self, name: &str) -> Result<Client> {
        self.cluster.client_of(&Identity::user(name)).await
    }

    /// Creates a node.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn add_node(&self, node: &NodeBuilder) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        nodes.create(&PostParams::default(), &node.build()?).await.context("create a node").map(drop)
    }

    /// Changes what a node says of itself; `change` is a merge patch of its status.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change_node(&self, name: &str, change: Value) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        let patch = Patch::Merge(json!({ "status": change }));
        let changed = nodes.patch_status(name, &PatchParams::default(), &patch).await;
        changed.with_context(|| format!("change the node {name}")).map(drop)
    }

    /// Starts a scheduler that ends with the world.
    ///
    /// # Errors
    /// Those of [`Setup::start`].
    pub async fn run_scheduler(&self, setup: &Setup) -> Result<Arc<Scheduler>> {
        let started = Arc::new(setup.start(&self.cluster).await?);
        locked(&self.schedulers).push(Arc::clone(&started));
        Ok(started)
    }

    /// The schedulers that were started here, in that order.
    #[must_use]
    pub fn schedulers(&self) -> Vec<Arc<Scheduler>> {
        locked(&self.schedulers).clone()
    }

    /// The metrics of the scheduler that was started last.
    ///
    /// # Errors
    /// When there is none, or it does not answer.
    pub async fn scheduler_metrics(&self) -> Result<String> {
        let last = locked(&self.schedulers).last().cloned();
        last.context("no scheduler was started here")?.metrics().await
    }

    /// Starts a sidecar and returns once it answers the webhook and its policy is in force, which it is from the API
    /// server's next look at policies.
    ///
    /// # Errors
    /// When it does not become ready, or its policy does not come into force in time.
    pub async fn run_sidecar(&self, name: &str, configuration: &str) -> Result<()> {
        let started = Sidecar::start(&self.cluster, name, configuration).await?;
        locked(&self.sidecars).insert(name.to_owned(), Arc::new(started));
        self.until_the_policy_is_in_force().await
    }

    /// The API server says nothing about it, so it is asked to create a pod that the policy refuses.
    async fn until_the_policy_is_in_force(&self) -> Result<()> {
        let pods: Api<Pod> = Api::default_namespaced(self.client().await?);
        let recorded = pod("recorded").pool("none").annotated("weir.dev/admitted-as", "OnLoan").build()?;
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let last = Mutex::new(String::new());
        let refused = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                let answer = match pods.create(&dry_run, &recorded).await {
                    Err(error) if error.to_string().contains("ValidatingAdmissionPolicy") => return,
                    Err(error) => error.to_string(),
                    Ok(_) => "a pod with the record of an admission was let through".to_owned(),
                };
                *locked(&last) = answer;
            }
        };
        wait::until("the sidecar's policy is in force", refused, || locked(&last).clone()).await
    }

    /// The sidecar that was started last under this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn sidecar(&self, name: &str) -> Result<Arc<Sidecar>> {
        locked(&self.sidecars).get(name).cloned().with_context(|| format!("there is no sidecar {name}"))
    }

    /// Ends a sidecar as a crash would.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be signalled.
    pub async fn kill_sidecar(&self, name: &str) -> Result<()> {
        self.sidecar(name)?.process().kill().await
    }

    fn sidecars(&self) -> Vec<Arc<Sidecar>> {
        locked(&self.sidecars).values().cloned().collect()
    }

    /// Waits until a sidecar counts so many, at least, in a series whose line holds all of these pieces.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn counts(&self, pieces: &[&str], least: f64) -> Result<()> {
        // Nothing tells when a figure changes; a scrape shows it.
        let most = Mutex::new(None);
        let scraped = async {
            let mut tick = tokio::time::interval(SCRAPE_EVERY);
            loop {
                tick.tick().await;
                for sidecar in self.sidecars() {
                    let figure = figure(&sidecar.metrics().await.unwrap_or_default(), pieces);
                    if figure.is_some_and(|value| value >= least) {
                        return;
                    }
                    let mut most = locked(&most);
                    *most = figure.or(*most);
                }
            }
        };
        let seen = || format!("{:?}\n{}", *locked(&most), self.logs());
        wait::until(format!("a sidecar counts {least} in a series with {pieces:?}"), scraped, seen).await
    }

    /// The value of a series of the API server.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn api_server_counts(&self, pieces: &[&str]) -> Result<f64> {
        let request = http::Request::get("/metrics").body(Vec::new()).context("ask for /metrics")?;
        let text = self.client().await?.request_text(request).await.context("read the API server's metrics")?;
        Ok(figure(&text, pieces).unwrap_or(0.0))
    }

    /// Judges all that was told, once what conditions are to say is said, and what the sidecars said meanwhile.
    ///
    /// # Errors
    /// When a promise was broken, or a sidecar has too few rights, panicked or counts a violation.
    pub async fn judge(&self) -> Result<()> {
        self.judge_namespace(None).await
    }

    /// [`Self::judge`] of what concerns one namespace, or all.
    pub(crate) async fn judge_namespace(&self, namespace: Option<&str>) -> Result<()> {
        let kept = self.history.until(|record| judge::broken(record, namespace).is_empty().then_some(()));
        match tokio::time::timeout(PATIENCE, kept).await {
            Ok(watched) => watched?,
            Err(_) => {
                let broken = self.history.now(|record| judge::broken(record, namespace));
                bail!("promises were broken: {broken:#?}\n{}", self.logs())
            }
        }
        for sidecar in self.sidecars() {
            let (name, log) = (sidecar.process().name(), sidecar.log()?);
            let bad = log.lines().find(|line| line.contains("is forbidden: User") || line.contains("panicked"));
            ensure!(bad.is_none(), "{name} has too few rights or panicked: {bad:?}");
            let text = sidecar.metrics().await.unwrap_or_default();
            ensure!(figure(&text, &["weir_invariant_violations_total"]).unwrap_or(0.0) == 0.0, "{name} says:\n{text}");
        }
        Ok(())
    }

    /// The ends of the logs of all that was started here beside the control plane.
    #[must_use]
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.cluster.folder().join("logs")).into_iter().flatten().flatten();
        let mut logs = String::new();
        for file in files {
            let name = file.file_name().to_string_lossy().into_owned();
            if CONTROL_PLANE_LOGS.contains(&name.as_str()) {
                continue;
            }
            let log = std::fs::read_to_string(file.path()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            let _ = writeln!(logs, "the end of {name}:\n{tail}");
        }
        logs
    }
}

/// The largest value of the series whose lines hold all of these pieces.
fn figure(text: &str, pieces: &[&str]) -> Option<f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && pieces.iter().all(|piece| line.contains(piece)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).max_by(f64::total_cmp)
}

/// What a test that panicked left behind is still of use to the others.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
