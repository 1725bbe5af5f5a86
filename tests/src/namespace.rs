//! One test's part of a world: a namespace and pools of its own, what the test does there, and what becomes of it.
//!
//! | file | what it gives a test |
//! |---|---|
//! | this one | pods, and waiting for what becomes of them |
//! | [`admission`] | which pods are admitted, which wait and why |
//! | [`placement`] | where the scheduler puts a pod, and that it decides as the policy code does natively |
//! | [`pools`] | pools |
//! | [`reclaim`] | which pods run, which are evicted and why |
//! | [`users`] | people with rights of their own |

pub mod admission;
pub mod placement;
pub mod pools;
pub mod reclaim;
pub mod users;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::history::View;
use crate::install;
use crate::objects::{ADMITTED, PodBuilder, bound_to, condition, grounds, is_gated, unschedulable};
use crate::wait;
use crate::world::World;

/// How often a pod is created before its refusal counts as one that lasts.
const MOST_TRIES: u32 = 60;

/// How long a controller waits before it creates a pod again.
const BACK_OFF: Duration = Duration::from_millis(250);

/// A namespace of a world, and pools whose names begin with its name.
pub struct TestNamespace {
    /// The world that it is in.
    pub world: Arc<World>,
    /// A client of the test's own, which may do anything.
    pub client: Client,
    /// Its name.
    pub name: String,
}

// Here and not beside `World`, which knows nothing of what is tested in it.
impl World {
    /// A namespace of the test's own.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn namespace(self: &Arc<Self>, name: &str) -> Result<TestNamespace> {
        TestNamespace::create(Arc::clone(self), name).await
    }
}

impl TestNamespace {
    async fn create(world: Arc<World>, name: &str) -> Result<Self> {
        let client = world.client().await?;
        install::namespace(&client, name, json!({})).await?;
        Ok(Self { world, client, name: name.to_owned() })
    }

    /// Creates another namespace with this metadata.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn another(&self, name: &str, metadata: Value) -> Result<Self> {
        install::namespace(&self.client, name, metadata).await?;
        Ok(self.of(name))
    }

    /// Another namespace, which exists.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        Self { world: Arc::clone(&self.world), client: self.client.clone(), name: name.to_owned() }
    }

    /// Labels the namespace.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn label(&self, key: &str, value: &str) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patch = Patch::Merge(json!({ "metadata": { "labels": { key: value } } }));
        namespaces.patch(&self.name, &PatchParams::default(), &patch).await.context("label the namespace").map(drop)
    }

    /// Creates an object of any kind, or makes it what it should be.
    ///
    /// # Errors
    /// Those of [`install::apply_object`].
    pub async fn apply(&self, object: &Value) -> Result<()> {
        install::apply_object(&self.client, object).await
    }

    /// Its pods at the API server.
    #[must_use]
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates a pod as a controller does, which tries again when the webhook did not answer in its short time or the
    /// API server had not yet seen the namespace's label when it chose the webhooks.
    ///
    /// # Errors
    /// When the API server refuses the pod for another reason, or for too long.
    pub async fn create_pod(&self, pod: &PodBuilder) -> Result<Pod> {
        self.create_pod_by(&self.client, pod).await
    }

    /// [`Self::create_pod`] by a user.
    ///
    /// # Errors
    /// Those of [`Self::create_pod`].
    pub async fn create_pod_by(&self, user: &Client, pod: &PodBuilder) -> Result<Pod> {
        let mut tick = tokio::time::interval(BACK_OFF);
        let mut last = String::new();
        for _ in 0..MOST_TRIES {
            tick.tick().await;
            match self.try_create_pod(user, pod).await? {
                Err(kube::Error::Api(refusal)) if refusal.message.contains("a controller does so by itself") => {
                    last.clone_from(&refusal.message);
                }
                answer => return answer.with_context(|| format!("create the pod {}", pod.name())),
            }
        }
        bail!("the pod {} is refused {MOST_TRIES} times: {last}", pod.name())
    }

    /// Tries to create a pod as a user, and returns why the API server refuses it.
    ///
    /// # Errors
    /// When it is not refused.
    pub async fn creation_refused(&self, user: &Client, pod: &PodBuilder) -> Result<String> {
        match self.try_create_pod(user, pod).await? {
            Err(refusal) => Ok(refusal.to_string()),
            Ok(created) => bail!("the pod {} was created: {created:?}", pod.name()),
        }
    }

    async fn try_create_pod(&self, user: &Client, pod: &PodBuilder) -> Result<kube::Result<Pod>> {
        let pods: Api<Pod> = Api::namespaced(user.clone(), &self.name);
        Ok(pods.create(&PostParams::default(), &pod.build()?).await)
    }

    /// Changes a pod by a merge patch.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change_pod(&self, name: &str, patch: Value) -> Result<()> {
        self.change_pod_by(&self.client, name, patch).await
    }

    /// [`Self::change_pod`] by a user.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change_pod_by(&self, user: &Client, name: &str, patch: Value) -> Result<()> {
        let changed = self.try_change_pod(user, name, patch).await;
        changed.with_context(|| format!("change the pod {name}")).map(drop)
    }

    /// Tries to change a pod as a user, and returns why the API server refuses it.
    ///
    /// # Errors
    /// When it is not refused.
    pub async fn change_refused(&self, user: &Client, name: &str, patch: Value) -> Result<String> {
        match self.try_change_pod(user, name, patch).await {
            Err(refusal) => Ok(refusal.to_string()),
            Ok(changed) => bail!("the pod {name} was changed: {changed:?}"),
        }
    }

    async fn try_change_pod(&self, user: &Client, name: &str, patch: Value) -> kube::Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(user.clone(), &self.name);
        pods.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Annotates a pod; null takes the annotation away.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn annotate_pod(&self, name: &str, key: &str, value: Value) -> Result<()> {
        self.change_pod(name, json!({ "metadata": { "annotations": { key: value } } })).await
    }

    /// Deletes a pod and returns when it is gone.
    ///
    /// # Errors
    /// When it does not exist, or does not go in time.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        let now = DeleteParams::default().grace_period(0);
        self.pods().delete(name, &now).await.with_context(|| format!("delete the pod {name}"))?;
        self.until_gone(name).await
    }

    /// Waits until a pod is gone.
    ///
    /// # Errors
    /// When it does not go in time.
    pub async fn until_gone(&self, name: &str) -> Result<()> {
        self.until(&format!("the pod {name} is gone"), |seen| seen.pod(name).is_none().then_some(())).await
    }

    /// Waits until a pod is as it should be, and returns it; `what` completes "until NAME: …".
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn until_pod(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Result<Pod> {
        self.until(&format!("{name}: {what}"), |seen| seen.pod(name).filter(|pod| holds(pod)).cloned()).await
    }

    /// Waits until an event about an object says this. An object of the whole cluster may be meant.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn until_event(&self, kind: &str, name: &str, reason: &str, words: &str) -> Result<()> {
        let says = |event: &Event| {
            let Some(about) = &event.regarding else { return false };
            let elsewhere = |namespace: &String| kind == "Pod" && *namespace != self.name;
            about.kind.as_deref() == Some(kind)
                && about.name.as_deref() == Some(name)
                && !about.namespace.as_ref().is_some_and(elsewhere)
                && event.reason.as_deref() == Some(reason)
                && event.note.as_deref().is_some_and(|note| note.contains(words))
        };
        let what = format!("an event {reason} about {kind} {name} says …{words}…");
        self.until(&what, |seen| seen.cluster.events.iter().any(says).then_some(())).await
    }

    /// Returns what `find` finds in what the watches told, as soon as it is there.
    ///
    /// # Errors
    /// When it is not there in time; the error says what is there instead.
    pub async fn until<T>(&self, what: &str, mut find: impl FnMut(View<'_>) -> Option<T>) -> Result<T> {
        let found = self.world.history.until(|record| find(record.view(&self.name)));
        wait::until(what, found, || self.report()).await?
    }

    /// What `find` finds within this time, as soon as it is there; for what should not happen, and for what time alone
    /// brings about.
    ///
    /// # Errors
    /// When the watches end.
    pub async fn within<T>(&self, time: Duration, mut find: impl FnMut(View<'_>) -> Option<T>) -> Result<Option<T>> {
        let found = self.world.history.until(|record| find(record.view(&self.name)));
        tokio::time::timeout(time, found).await.ok().transpose()
    }

    /// What `look` makes of all that was told until now.
    pub fn now<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        self.world.history.now(|record| look(record.view(&self.name)))
    }

    /// Judges what happened in this namespace.
    ///
    /// # Errors
    /// Those of [`World::judge`].
    pub async fn judge(&self) -> Result<()> {
        self.world.judge_namespace(Some(&self.name)).await
    }

    /// What there is, for an error about something else that was waited for.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = self.now(|seen| {
            let nodes: Vec<_> = seen.cluster.nodes.keys().map(String::as_str).collect();
            let mut report = format!("nodes: {}\n", nodes.join(", "));
            for pod in seen.pods() {
                let _ = writeln!(report, "{}", sentence(pod));
            }
            for (name, pool) in seen.cluster.pools.iter().filter(|(name, _)| name.starts_with(&self.name)) {
                let _ = writeln!(report, "pool {name}: {:?}", pool.status);
            }
            for event in seen.events() {
                let _ = writeln!(report, "event {:?}: {:?}", event.reason, event.note);
            }
            report
        });
        report += &self.world.logs();
        report
    }
}

/// What is known of a pod, in one line.
fn sentence(pod: &Pod) -> String {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("?");
    let mut sentence = format!("pod {} ({phase})", pod.name_any());
    if is_gated(pod) {
        sentence += ", gated";
    }
    if let Some(grounds) = grounds(pod) {
        let _ = write!(sentence, ", admitted as {grounds}");
    }
    if let Some(told) = condition(pod, ADMITTED) {
        let _ = write!(sentence, ", Admitted {} {}: {}", told.0.status, told.reason(), told.message());
    }
    match (bound_to(pod), unschedulable(pod)) {
        (Some(node), _) => sentence + ", on " + node,
        (None, Some(why)) => sentence + ", unschedulable: " + why,
        (None, None) => sentence,
    }
}
