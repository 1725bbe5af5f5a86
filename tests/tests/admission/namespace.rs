//! One test's part of a world: a namespace and pools of its own, and the few words that the tests are written in.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, PodCondition, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use weir_api::ResourcePool;

use crate::history::Record;
use crate::world::World;

/// How often a pod is created before its refusal counts as one that lasts.
const MOST_TRIES: u32 = 60;

/// A namespace, and pools whose names begin with it.
pub(crate) struct TestNamespace<'w> {
    pub(crate) world: &'w World,
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A pod of one core that asks for admission to a pool.
#[derive(Clone, Debug)]
pub(crate) struct PodOf(Value);

/// A pod of this name that says nothing.
pub(crate) fn pod(name: &str) -> PodOf {
    PodOf(json!({ "metadata": { "name": name, "labels": {}, "annotations": {} },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } } }] } }))
}

impl PodOf {
    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = value.into();
        self
    }

    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    pub(crate) fn pool(self, pool: &str) -> Self {
        self.annotated("weir.dev/pool", pool)
    }

    /// A member of a gang, by the keys of the described system.
    pub(crate) fn gang(self, name: &str, size: &str) -> Self {
        self.labelled("gang-member", name).annotated("number-gang-members", size)
    }

    pub(crate) fn preemptible(self) -> Self {
        self.annotated("preemptible", "true")
    }

    /// Asks for this much of a resource.
    pub(crate) fn asks(mut self, resource: &str, amount: &str) -> Self {
        let resources = &mut self.0["spec"]["containers"][0]["resources"];
        resources["requests"][resource] = amount.into();
        if resource.contains('/') {
            resources["limits"][resource] = amount.into();
        }
        self
    }

    /// Made by a controller: this object.
    pub(crate) fn owned_by<K: kube::Resource<DynamicType = ()>>(mut self, owner: &K) -> Self {
        self.0["metadata"]["ownerReferences"] = json!([{ "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "name": owner.name_any(), "uid": owner.meta().uid, "controller": true }]);
        self
    }

    /// Stays while it ends, until somebody lets it go.
    pub(crate) fn held(mut self) -> Self {
        self.0["metadata"]["finalizers"] = json!(["example.com/held"]);
        self
    }

    /// With this field of its spec.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// On a GPU of this model.
    pub(crate) fn model(self, model: &str) -> Self {
        self.asks("nvidia.com/gpu", "1").with("nodeSelector", json!({ "gpu-node-label-model": model }))
    }
}

impl<'w> TestNamespace<'w> {
    pub(crate) async fn begin(world: &'w World, namespace: &str) -> Self {
        let ns = Self { world, client: world.client().await, namespace: namespace.to_owned() };
        ns.namespace_with(namespace, json!({})).await;
        ns
    }

    /// The same words in another namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Self {
        Self { world: self.world, client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// Another namespace, and returns when pods can be created there.
    pub(crate) async fn namespace_with(&self, name: &str, metadata: Value) {
        let mut object = json!({ "metadata": metadata });
        object["metadata"]["name"] = name.into();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), name);
        await_condition(accounts, "default", |account: Option<&ServiceAccount>| account.is_some()).await.unwrap();
    }

    pub(crate) async fn label_namespace(&self, key: &str, value: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patch = Patch::Merge(json!({ "metadata": { "labels": { key: value } } }));
        namespaces.patch(&self.namespace, &PatchParams::default(), &patch).await.unwrap();
    }

    fn pools(&self) -> Api<ResourcePool> {
        Api::all(self.client.clone())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A pool, and returns when the sidecar has taken note of it.
    pub(crate) async fn pool(&self, name: &str, spec: Value) {
        let pool = ResourcePool::new(name, serde_json::from_value(spec).unwrap());
        self.pools().create(&PostParams::default(), &pool).await.unwrap();
    }

    /// A pool right under the cluster that reserves so many cores.
    pub(crate) async fn pool_of(&self, name: &str, cores: &str) {
        self.pool(name, json!({ "resources": [{ "name": "cpu", "reservation": cores }] })).await;
    }

    pub(crate) async fn change_pool(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.pools().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn delete_pool(&self, name: &str) {
        self.pools().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Creates a pod as a controller would, which tries again when the webhook did not answer in its short time or
    /// the API server had not yet seen the namespace's label when it chose the webhooks.
    pub(crate) async fn create(&self, pod: PodOf) -> Pod {
        self.create_by(&self.client, pod).await
    }

    /// [`TestNamespace::create`] as somebody.
    pub(crate) async fn create_by(&self, client: &Client, pod: PodOf) -> Pod {
        let mut back_off = tokio::time::interval(Duration::from_millis(250));
        for _ in 0..MOST_TRIES {
            back_off.tick().await;
            match self.create_as(client, pod.clone()).await {
                Err(refusal) if refusal.contains("a controller does so by itself") => {}
                answer => return answer.unwrap(),
            }
        }
        panic!("{pod:?} is refused {MOST_TRIES} times because the webhook does not answer")
    }

    /// Creates a pod as somebody, once; an error is what the API server says.
    pub(crate) async fn create_as(&self, client: &Client, pod: PodOf) -> Result<Pod, String> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let pod = serde_json::from_value(pod.0).unwrap();
        pods.create(&PostParams::default(), &pod).await.map_err(|error| error.to_string())
    }

    /// Changes a pod.
    pub(crate) async fn change(&self, name: &str, patch: Value) {
        self.change_as(&self.client, name, patch).await.unwrap();
    }

    /// Changes a pod as somebody; an error is what the API server says.
    pub(crate) async fn change_as(&self, client: &Client, name: &str, patch: Value) -> Result<Pod, String> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        pods.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn annotate(&self, name: &str, key: &str, value: Value) {
        self.change(name, json!({ "metadata": { "annotations": { key: value } } })).await;
    }

    /// Deletes a pod and returns when it is gone.
    pub(crate) async fn delete(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
        self.gone(name).await;
    }

    /// Waits until a pod is gone.
    pub(crate) async fn gone(&self, name: &str) {
        let key = (self.namespace.clone(), name.to_owned());
        self.until(&format!("{name} is gone"), |record| (!record.pods.contains_key(&key)).then_some(())).await;
    }

    /// Lets a user do with pods of this namespace what he likes, as the owner of a namespace may.
    pub(crate) async fn owner(&self, user: &str) -> Client {
        let pods = ["pods", "pods/status", "pods/resize"];
        let rules = json!([{ "apiGroups": [""], "resources": pods, "verbs": ["*"] }]);
        let role = json!({ "metadata": { "name": user }, "rules": rules });
        let roles: Api<Role> = Api::namespaced(self.client.clone(), &self.namespace);
        roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), &self.namespace);
        let binding = binding("Role", user, user);
        bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
        self.world.user(user).await
    }

    /// Gives a user one of the roles that are shipped.
    pub(crate) async fn grant(&self, role: &str, user: &str) {
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let binding = binding("ClusterRole", role, user);
        bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    }

    /// Waits until a pod is as it should be.
    pub(crate) async fn until_pod(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        let key = (self.namespace.clone(), name.to_owned());
        let find = |record: &Record| record.pods.get(&key).filter(|pod| holds(pod)).cloned();
        self.until(&format!("{name}: {what}"), find).await
    }

    /// Waits until a pod was admitted, whatever it was told before.
    pub(crate) async fn admitted(&self, name: &str) -> Pod {
        self.until_pod(name, "it is admitted", is_admitted).await
    }

    /// Waits until a pod says that it waits for this reason, in a sentence with these words, with an event, and
    /// until somebody who reads metrics can see it.
    pub(crate) async fn waits(&self, name: &str, reason: &str, words: &str) {
        let told = |pod: &Pod| {
            condition(pod).is_some_and(|(no, why, text)| no == "False" && why == reason && text.contains(words))
        };
        let pod = self.until_pod(name, &format!("it waits with {reason}: …{words}…"), told).await;
        assert!(is_gated(&pod), "{name} has no gate: {pod:?}");
        self.event("Pod", name, reason, words).await;
        self.world.counts(&["weir_pending_pods{", &format!("reason=\"{reason}\"")], 1.0).await;
    }

    /// Waits until a pod is told what was refused about it, and until somebody who reads metrics can see it.
    pub(crate) async fn refused(&self, name: &str, refusal: &str, words: &str) {
        let told = |pod: &Pod| {
            said(pod, "weir.dev/Refused").is_some_and(|one| {
                one.status == "True"
                    && one.reason.as_deref() == Some(refusal)
                    && one.message.as_deref().is_some_and(|text| text.contains(words))
                    && one.last_transition_time.is_some()
            })
        };
        self.until_pod(name, &format!("it says that {refusal} was refused: …{words}…"), told).await;
        self.event("Pod", name, "Refused", words).await;
        self.world.counts(&["weir_refused_requests_total{", &format!("refusal=\"{refusal}\"")], 1.0).await;
    }

    /// Waits until an event about an object says this.
    pub(crate) async fn event(&self, kind: &str, name: &str, reason: &str, words: &str) {
        let what = format!("an event {reason} about {kind} {name}: …{words}…");
        let says = |event: &k8s_openapi::api::events::v1::Event| {
            let about = event.regarding.clone().unwrap_or_default();
            let ours = about.namespace.is_none_or(|namespace| kind != "Pod" || namespace == self.namespace);
            about.kind.as_deref() == Some(kind)
                && about.name.as_deref() == Some(name)
                && ours
                && event.reason.as_deref() == Some(reason)
                && event.note.as_deref().is_some_and(|note| note.contains(words))
        };
        self.until(&what, |record| record.events.iter().any(says).then_some(())).await;
    }

    /// Waits until a condition of a pool says this, with an event, and until metrics show it.
    pub(crate) async fn pool_says(&self, pool: &str, condition: &str, reason: &str, words: &str) {
        self.pool_condition(pool, condition, reason, words).await;
        self.event("ResourcePool", pool, reason, words).await;
        let (pool, reason) = (format!("pool=\"{pool}\""), format!("reason=\"{reason}\""));
        self.world.counts(&["weir_pool_condition{", &pool, &reason], 1.0).await;
    }

    /// Waits until a condition of a pool says this.
    pub(crate) async fn pool_condition(&self, pool: &str, condition: &str, reason: &str, words: &str) {
        let what = format!("pool {pool} says {condition} {reason}: …{words}…");
        let find = |record: &Record| {
            let status = record.pools.get(pool)?.status.as_ref()?;
            let says = status.conditions.iter().find(|one| one.type_ == condition)?;
            (says.reason == reason && says.message.contains(words)).then_some(())
        };
        self.until(&what, find).await;
    }

    /// Waits until a pool takes part in the tree, and nothing is wrong with it.
    pub(crate) async fn pool_is_fine(&self, pool: &str) {
        let find = |record: &Record| {
            let status = record.pools.get(pool)?.status.as_ref()?;
            let fine = status.conditions.iter().all(|one| one.type_ == "Ready" && one.status == "True");
            (fine && !status.conditions.is_empty()).then_some(())
        };
        self.until(&format!("pool {pool} takes part"), find).await;
    }

    /// That the rest goes on: somebody without a mistake is admitted, to a pool of his own.
    pub(crate) async fn rest_goes_on(&self) {
        let fine = format!("{}-fine", self.namespace);
        self.pool_of(&fine, "1").await;
        self.create(pod("fine").pool(&fine)).await;
        self.admitted("fine").await;
    }

    /// Returns what `find` finds, as soon as it is there.
    pub(crate) async fn until<T>(&self, what: &str, find: impl FnMut(&Record) -> Option<T>) -> T {
        match self.world.history.until(find).await {
            Some(found) => found,
            None => panic!("waited in vain until {what}\n{}\n{}", self.report(), self.world.logs()),
        }
    }

    /// Judges what happened in this namespace.
    pub(crate) async fn end(self) {
        self.world.judge(Some(&self.namespace)).await;
    }

    /// What there is, for somebody who waited for something else.
    fn report(&self) -> String {
        self.world.history.now(|record| {
            let pods = record.pods.iter().filter(|((namespace, _), _)| *namespace == self.namespace);
            let pods = pods.map(|((_, name), pod)| {
                format!("pod {name}: gated {}, admitted as {:?}, {:?}", is_gated(pod), grounds(pod), condition(pod))
            });
            let pools = record.pools.iter().filter(|(name, _)| name.starts_with(&self.namespace));
            let pools = pools.map(|(name, pool)| format!("pool {name}: {:?}", pool.status));
            let events = record.events.iter().filter(|event| {
                let about = event.regarding.clone().unwrap_or_default();
                about.namespace.as_ref() == Some(&self.namespace)
            });
            let events = events.map(|event| format!("event {:?}: {:?}", event.reason, event.note));
            pods.chain(pools).chain(events).collect::<Vec<_>>().join("\n")
        })
    }
}

fn binding(kind: &str, role: &str, user: &str) -> Value {
    json!({ "metadata": { "name": format!("{role}-{user}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }] })
}

/// Whether it carries Weir's gate.
pub(crate) fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
    gates.into_iter().any(|gate| gate.name == "weir.dev/admission")
}

/// Whether it went through the webhook and has no gate any more.
pub(crate) fn is_admitted(pod: &Pod) -> bool {
    !is_gated(pod) && pod.labels().contains_key("weir.dev/pool") && pod.annotations().contains_key("weir.dev/pool")
}

/// On what grounds it was admitted.
pub(crate) fn grounds(pod: &Pod) -> Option<&str> {
    pod.annotations().get("weir.dev/admitted-as").map(String::as_str)
}

/// Status, reason and sentence of its condition.
pub(crate) fn condition(pod: &Pod) -> Option<(&str, &str, &str)> {
    let told = said(pod, "weir.dev/Admitted")?;
    Some((&told.status, told.reason.as_deref().unwrap_or_default(), told.message.as_deref().unwrap_or_default()))
}

/// The condition of this type.
pub(crate) fn said<'p>(pod: &'p Pod, condition: &str) -> Option<&'p PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|one| one.type_ == condition)
}
