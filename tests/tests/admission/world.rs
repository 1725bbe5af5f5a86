//! Control planes with sidecars: the one that most tests share, and private ones for tests that kill.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;
use weir_local::{Checkout, Cluster, Identity, Options, Programs, Progress};
use weir_tests::sidecar::{self, Sidecar};

use crate::history::{History, PATIENCE};
use crate::namespace::TestNamespace;

/// A control plane, its sidecars, and what its watches told from the start.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) history: History,
    sidecars: Mutex<BTreeMap<String, Arc<Sidecar>>>,
    /// As many private ones as the machine bears.
    _room: Option<SemaphorePermit<'static>>,
}

/// Leases that are short enough for a test to wait for their end.
pub(crate) const SHORT_LEASE: &str = "lease: {duration: 3s, renewBefore: 1s}";

impl World {
    /// The one that tests share which neither kill nor configure: nodes without end, and sidecar `a`.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(|| {
            // A runtime cannot be entered from within another, and each test has one that ends with the test.
            let start = || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
                let runtime = Box::leak(Box::new(runtime.unwrap()));
                runtime.block_on(Self::begin_shared())
            };
            std::thread::spawn(start).join().unwrap()
        })
    }

    async fn begin_shared() -> Self {
        let world = Self::begin(None).await;
        world.run_sidecar("a", "").await.unwrap();
        world.node("cpu", json!({}), json!({ "cpu": "1000" })).await;
        let model = |model: &str| json!({ "gpu-node-label-model": model });
        world.node("gpu", model("T4"), json!({ "cpu": "1000", "nvidia.com/gpu": "64" })).await;
        world.node("special", model("SPECIAL"), json!({ "cpu": "1000", "nvidia.com/gpu": "64" })).await;
        world
    }

    /// One of the test's own, with sidecar `a` of this configuration.
    pub(crate) async fn private(configuration: &str) -> Self {
        let world = Self::bare().await;
        world.run_sidecar("a", configuration).await.unwrap();
        world
    }

    /// One of the test's own, without a sidecar.
    pub(crate) async fn bare() -> Self {
        Self::begin(Some(weir_tests::plane::room().await.unwrap())).await
    }

    async fn begin(room: Option<SemaphorePermit<'static>>) -> Self {
        let programs = Programs::of_control_plane(&Checkout::find().unwrap(), &Progress::to_stderr()).await.unwrap();
        let cluster = Cluster::start(&programs, Options::default()).await.unwrap();
        let client = cluster.client();
        sidecar::install(&client).await.unwrap();
        let history = History::begin(&client).await;
        Self { cluster, history, sidecars: Mutex::default(), _room: room }
    }

    /// A client that may do anything, for one test: its connections end with the test's runtime.
    pub(crate) async fn client(&self) -> Client {
        self.cluster.client_of(&Identity::admin()).await.unwrap()
    }

    /// Starts a sidecar and returns once it answers the webhook and its policy is in force, which it is from the API
    /// server's next look at policies.
    pub(crate) async fn run_sidecar(&self, name: &str, configuration: &str) -> anyhow::Result<()> {
        let started = Sidecar::start(&self.cluster, &sidecar::program()?, name, configuration).await?;
        self.sidecars.lock().unwrap().insert(name.to_owned(), Arc::new(started));
        let pods: Api<Pod> = Api::default_namespaced(self.client().await);
        let says = json!({ "weir.dev/pool": "none", "weir.dev/admitted-as": "OnLoan" });
        let recorded: Pod = serde_json::from_value(json!({ "metadata": { "name": "recorded", "annotations": says },
            "spec": { "containers": [{ "name": "c", "image": "i" }] } }))?;
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let by_policy = |error: &kube::Error| error.to_string().contains("ValidatingAdmissionPolicy");
        let refused = async {
            while !pods.create(&params, &recorded).await.is_err_and(|error| by_policy(&error)) {
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.context("the policy is not in force")
    }

    pub(crate) fn sidecar(&self, name: &str) -> Arc<Sidecar> {
        Arc::clone(&self.sidecars.lock().unwrap()[name])
    }

    fn sidecars(&self) -> Vec<Arc<Sidecar>> {
        self.sidecars.lock().unwrap().values().cloned().collect()
    }

    /// Ends a sidecar as a crash would.
    pub(crate) async fn kill_sidecar(&self, name: &str) {
        self.sidecar(name).process().kill().await.unwrap();
    }

    /// A namespace of the test's own, with the words that tests are written in.
    pub(crate) async fn namespace(&self, namespace: &str) -> TestNamespace<'_> {
        TestNamespace::begin(self, namespace).await
    }

    /// A ready node that can allocate this.
    pub(crate) async fn node(&self, name: &str, labels: Value, allocatable: Value) {
        let nodes: Api<Node> = Api::all(self.client().await);
        let node = json!({ "metadata": { "name": name, "labels": labels } });
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let mut resources = allocatable;
        resources["pods"] = "1000".into();
        let status = json!({ "status": { "capacity": resources, "allocatable": resources,
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }] } });
        nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.unwrap();
    }

    /// A client of somebody without any right beside those that everybody has.
    pub(crate) async fn user(&self, name: &str) -> Client {
        self.cluster.client_of(&Identity::user(name)).await.unwrap()
    }

    /// Waits until a sidecar counts so many, at least, in a series whose line holds all of these pieces.
    pub(crate) async fn counts(&self, pieces: &[&str], least: f64) {
        // Nobody tells when a figure changes; a scrape is how anybody learns of it.
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let scraped = async {
            loop {
                tick.tick().await;
                for sidecar in self.sidecars() {
                    let text = sidecar.metrics().await.unwrap_or_default();
                    if figure(&text, pieces).is_some_and(|value| value >= least) {
                        return;
                    }
                }
            }
        };
        if tokio::time::timeout(PATIENCE, scraped).await.is_err() {
            panic!("no sidecar counts {least} in a series with {pieces:?}\n{}", self.logs())
        }
    }

    /// The value of a series of the API server.
    pub(crate) async fn api_server_counts(&self, pieces: &[&str]) -> f64 {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        figure(&self.client().await.request_text(request).await.unwrap(), pieces).unwrap_or(0.0)
    }

    /// The ends of all sidecars' logs, for somebody who waited in vain.
    pub(crate) fn logs(&self) -> String {
        self.sidecars().iter().map(|sidecar| sidecar.process().log_tail()).collect::<Vec<_>>().join("\n")
    }

    /// Judges all that was told, once what conditions are to say is said, and what the sidecars said meanwhile.
    pub(crate) async fn end(self) {
        self.judge(None).await;
    }

    /// Judges what was told of a namespace, or of all.
    pub(crate) async fn judge(&self, namespace: Option<&str>) {
        let kept = self.history.until(|record| record.broken(namespace).is_empty().then_some(()));
        if kept.await.is_none() {
            let broken = self.history.now(|record| record.broken(namespace));
            panic!("promises were broken: {broken:#?}\n{}", self.logs());
        }
        for sidecar in self.sidecars() {
            let log = sidecar.log().unwrap();
            let bad = log.lines().find(|line| line.contains("forbidden") || line.contains("panicked"));
            assert_eq!(bad, None, "{} has too few rights or panicked", sidecar.process().name());
            let text = sidecar.metrics().await.unwrap_or_default();
            assert_eq!(figure(&text, &["weir_invariant_violations_total"]).unwrap_or(0.0), 0.0, "{text}");
        }
    }
}

/// The largest value of the series whose lines hold all of these pieces.
fn figure(text: &str, pieces: &[&str]) -> Option<f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && pieces.iter().all(|piece| line.contains(piece)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).max_by(f64::total_cmp)
}
