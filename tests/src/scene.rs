//! One test's part of a cluster: a namespace, what the test does there, and what becomes of it.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};
use weir_checker::Checker;
use weir_checker::promises::GpuHosts;
use weir_local::{Cluster, Identity, Scheduler};

use crate::history::{History, Record, WatchEvent, bound_to, refusal};
use crate::install::apply_object;
use crate::native::Native;
use crate::objects::{NodeOf, PodOf};
use crate::plane::{Private, Shared};
use crate::setup::Setup;

/// After so long it will not happen any more, not even on a machine that has ten other things to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// How much of a scheduler's log an error shows.
const LOG_LINES: usize = 25;

/// A namespace of its own on a control plane, with the schedulers that work there.
pub struct Scene {
    plane: Plane,
    client: Client,
    namespace: String,
    history: History,
    schedulers: Vec<Scheduler>,
}

enum Plane {
    Shared(&'static Shared),
    Private(Box<Private>),
}

impl Scene {
    /// A namespace of this name on the shared control plane, where the scheduler runs as it is shipped.
    ///
    /// # Errors
    /// When the control plane cannot be started.
    pub async fn shared(namespace: &str) -> Result<Self> {
        Self::on(Plane::Shared(Shared::get()?), namespace).await
    }

    /// A control plane of its own, without nodes and without a scheduler.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn private() -> Result<Self> {
        Self::on(Plane::Private(Box::new(Private::start().await?)), "test").await
    }

    async fn on(plane: Plane, namespace: &str) -> Result<Self> {
        // Connections end with the runtime that they were made in; the shared client's are those of another test.
        let client = plane.cluster().client_of(&Identity::admin()).await?;
        let object: Namespace = serde_json::from_value(json!({ "metadata": { "name": namespace } }))?;
        let created = Api::all(client.clone()).create(&PostParams::default(), &object).await;
        created.with_context(|| format!("create the namespace {namespace}"))?;
        // Until the controller has made it, no pod can be created.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let made = await_condition(accounts, "default", |account: Option<&ServiceAccount>| account.is_some());
        tokio::time::timeout(PATIENCE, made).await.context("wait for the namespace's service account")??;
        let history = History::begin(&client, namespace).await?;
        Ok(Self { plane, client, namespace: namespace.to_owned(), history, schedulers: Vec::new() })
    }

    /// Starts a scheduler that ends with the scene.
    ///
    /// # Errors
    /// Those of [`Setup::start`].
    pub async fn schedule(&mut self, setup: &Setup) -> Result<()> {
        self.schedulers.push(setup.start(self.cluster()).await?);
        Ok(())
    }

    /// The control plane.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        self.plane.cluster()
    }

    /// A client that may do anything.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Creates a node.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn add_node(&self, node: &NodeOf) -> Result<()> {
        let node = node.build()?;
        let nodes: Api<Node> = Api::all(self.client());
        nodes.create(&PostParams::default(), &node).await.context("create a node").map(drop)
    }

    /// Changes what a node says of itself; `change` is a merge patch of its status.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change_node(&self, name: &str, change: Value) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        let patch = Patch::Merge(json!({ "status": change }));
        let changed = nodes.patch_status(name, &PatchParams::default(), &patch).await;
        changed.with_context(|| format!("change the node {name}")).map(drop)
    }

    /// Creates a pod.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn add_pod(&self, pod: &PodOf) -> Result<()> {
        let created = self.pods().create(&PostParams::default(), &pod.build()?).await;
        created.with_context(|| format!("create the pod {}", pod.name())).map(drop)
    }

    /// Deletes a pod and returns when it is gone.
    ///
    /// # Errors
    /// When it is not there, or does not go.
    pub async fn remove_pod(&self, name: &str) -> Result<()> {
        let now = DeleteParams::default().grace_period(0);
        self.pods().delete(name, &now).await.with_context(|| format!("delete the pod {name}"))?;
        self.until(&format!("the pod {name} is gone"), |seen| (!seen.pods.contains_key(name)).then_some(())).await
    }

    /// Creates a pod and returns the node that it is bound to.
    ///
    /// # Errors
    /// When it is refused, or nothing becomes of it.
    pub async fn placed(&self, pod: &PodOf) -> Result<String> {
        self.add_pod(pod).await?;
        match self.decided(pod.name()).await? {
            Verdict::Bound(node) => Ok(node),
            Verdict::Refused(why) => bail!("the pod {} was refused: {why}", pod.name()),
        }
    }

    /// Creates a pod and returns why the scheduler has no node for it.
    ///
    /// # Errors
    /// When it is bound, or nothing becomes of it.
    pub async fn refused(&self, pod: &PodOf) -> Result<String> {
        self.add_pod(pod).await?;
        match self.decided(pod.name()).await? {
            Verdict::Refused(why) => Ok(why),
            Verdict::Bound(node) => bail!("the pod {} was bound to {node}", pod.name()),
        }
    }

    /// What the scheduler decides about a pod first.
    ///
    /// # Errors
    /// When it decides nothing in time.
    pub async fn decided(&self, pod: &str) -> Result<Verdict> {
        let verdict = |seen: &Record| {
            let pod = seen.pods.get(pod)?;
            let bound = bound_to(pod).map(|node| Verdict::Bound(node.to_owned()));
            bound.or_else(|| refusal(pod).map(|why| Verdict::Refused(why.to_owned())))
        };
        self.until(&format!("the scheduler decides about the pod {pod}"), verdict).await
    }

    /// The node that a pod is bound to in the end, however often it is refused before.
    ///
    /// # Errors
    /// When it is not bound in time.
    pub async fn bound(&self, pod: &str) -> Result<String> {
        self.until(&format!("the pod {pod} is bound"), |seen| seen.node_of(pod).map(str::to_owned)).await
    }

    /// Returns what `find` finds in what the watch told, as soon as it is there.
    ///
    /// # Errors
    /// When it is not there in time; the error says what is there instead.
    pub async fn until<T>(&self, what: &str, find: impl FnMut(&Record) -> Option<T>) -> Result<T> {
        match tokio::time::timeout(PATIENCE, self.history.until(find)).await {
            Ok(found) => found,
            Err(_) => bail!("waited {} s until {what}, in vain\n{}", PATIENCE.as_secs(), self.report()),
        }
    }

    /// How things are now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.history.record()
    }

    /// Compares every decision of the schedulers that the watches told with what the policy code says natively,
    /// has the independent checker judge them, and sees that no module gave two answers to one question.
    ///
    /// A node may be told after the pod that was bound to it, so only differences that stay are differences.
    ///
    /// # Errors
    /// Where they differ.
    pub async fn agrees_with(&self, native: &Native) -> Result<()> {
        let agree = self.history.until(|record| match differences(native, record) {
            Ok(found) => found.is_empty().then_some(Ok(())),
            Err(unread) => Some(Err(unread)),
        });
        match tokio::time::timeout(PATIENCE, agree).await {
            Ok(agree) => agree??,
            Err(_) => bail!("{}", differences(native, &self.record())?.join("\n")),
        }
        for scheduler in self.schedulers() {
            let metrics = scheduler.metrics().await?;
            let mismatch = metrics.lines().find(|line| line.starts_with("weir_plugin_memo_mismatches_total"));
            ensure!(mismatch.is_none(), "a remembered answer differed when it was asked for again: {mismatch:?}");
        }
        Ok(())
    }

    /// The metrics of the scheduler that the test started last.
    ///
    /// # Errors
    /// When there is none, or it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        self.schedulers.last().context("the test started no scheduler")?.metrics().await
    }

    /// Ends the schedulers that the test started; on the shared control plane they would serve on otherwise,
    /// until the last test of the process is over.
    ///
    /// # Errors
    /// When one of them cannot be signalled.
    pub async fn end(self) -> Result<()> {
        for scheduler in self.schedulers {
            scheduler.stop().await?;
        }
        Ok(())
    }

    /// Creates any other object, or makes it what it should be.
    ///
    /// # Errors
    /// When the API server refuses it, or does not know its kind.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object.clone()).context("read the object")?;
        apply_object(&self.client(), &object).await
    }

    /// The namespace of its pods.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// The one as it is shipped, where the control plane is shared, and those that the test started.
    fn schedulers(&self) -> impl Iterator<Item = &Scheduler> {
        let shared = match &self.plane {
            Plane::Shared(shared) => Some(&shared.scheduler),
            Plane::Private(_) => None,
        };
        shared.into_iter().chain(&self.schedulers)
    }

    /// What there is, for somebody who waited for something else.
    fn report(&self) -> String {
        let record = self.record();
        let mut report = format!("nodes: {}\n", record.nodes.keys().cloned().collect::<Vec<_>>().join(", "));
        for (name, pod) in &record.pods {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("?");
            let fate = match (bound_to(pod), refusal(pod)) {
                (Some(node), _) => format!("on {node}"),
                (None, Some(why)) => format!("refused: {why}"),
                (None, None) => "no word of the scheduler".to_owned(),
            };
            let _ = writeln!(report, "pod {name} ({phase}): {fate}");
        }
        for scheduler in self.schedulers() {
            let log = std::fs::read_to_string(scheduler.process().log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            let _ = writeln!(report, "the end of {}'s log:\n{tail}", scheduler.process().name());
        }
        report
    }
}

impl Plane {
    fn cluster(&self) -> &Cluster {
        match self {
            Self::Shared(shared) => &shared.cluster,
            Self::Private(private) => private,
        }
    }
}

/// What a scheduler decided about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs on this node.
    Bound(String),
    /// There is no node for it, and this is why.
    Refused(String),
}

/// Where the modules decided otherwise than the policy code natively, and what `make run` would count as violations.
fn differences(native: &Native, record: &Record) -> Result<Vec<String>> {
    let differs = |text: &String| format!("native policy and the modules differ: {text}");
    let mut found: Vec<String> = native.compare(record)?.differences.iter().map(differs).collect();
    let mut checker = Checker::new(vec![Box::new(GpuHosts::default())]);
    for told in record.in_order() {
        let violations = match told {
            WatchEvent::Node(node) => checker.node_seen(node),
            WatchEvent::Pod(pod) => checker.pod_seen(pod),
            WatchEvent::NodeGone(_) | WatchEvent::PodGone(_) => Vec::new(),
        };
        found.extend(violations.iter().map(|violation| format!("a promise was broken: {violation}")));
    }
    Ok(found)
}
