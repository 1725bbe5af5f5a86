//! A control plane with sidecars, and the few words that the tests are written in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use weir_api::{AdmissionRound, ResourcePool};
use weir_local::{Checkout, Cluster, Identity, Options, Port, Process, Programs, Progress, ReservedPort};

use crate::history::breaches;

/// How long anything may take that is waited for; it only decides how long a failure takes.
const PATIENCE: Duration = Duration::from_secs(180);

type History = Vec<(bool, Pod)>;

/// A control plane, its sidecars, and what its watch showed.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    client: Client,
    sidecars: Mutex<BTreeMap<String, Arc<Process>>>,
    history: Arc<Mutex<History>>,
    seen: watch::Receiver<usize>,
    capacity: Mutex<i64>,
    enforced: bool,
}

impl World {
    /// A cluster with namespace `team` and one sidecar, `a`, with this added to its configuration.
    pub(crate) async fn start(config: &str) -> Self {
        let programs = Programs::of_control_plane(&Checkout::find().unwrap(), &Progress::to_stderr()).await.unwrap();
        let cluster = Cluster::start(&programs, Options::default()).await.unwrap();
        let client = cluster.client();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in weir_api::crds() {
            crds.create(&PostParams::default(), &crd).await.unwrap();
            await_condition(crds.clone(), &crd.name_any(), is_crd_established()).await.unwrap();
        }
        let history = Arc::new(Mutex::new(History::new()));
        let seen = follow(client.clone(), Arc::clone(&history));
        let enforced = !config.contains("enforce: false");
        let (sidecars, capacity) = (Mutex::new(BTreeMap::new()), Mutex::new(0));
        let world = Self { cluster, client, sidecars, history, seen, capacity, enforced };
        let rights = Checkout::find().unwrap().root().join("admission-config/rbac.yaml");
        weir_tests::install::apply(&world.client, &rights).await.unwrap();
        world.namespace("team", json!({})).await;
        world.run_sidecar("a", config).await;
        world
    }

    /// Gives the sidecar in another namespace what it may do in its own.
    pub(crate) async fn rights_in(&self, namespace: &str) {
        let file = Checkout::find().unwrap().root().join("admission-config/rbac.yaml");
        for document in std::fs::read_to_string(file).unwrap().split("\n---\n") {
            let mut object: DynamicObject = serde_saphyr::from_str(document).unwrap();
            if object.name_any() == "weir-admission"
                && object.namespace().is_some()
                && object.data.get("kind") != Some(&json!("ServiceAccount"))
            {
                object.metadata.namespace = Some(namespace.to_owned());
                weir_tests::install::apply_object(&self.client, &object).await.unwrap();
            }
        }
    }

    /// Starts a sidecar and returns once it answers the webhook.
    pub(crate) async fn run_sidecar(&self, name: &str, config: &str) {
        let [webhook, http] = [(), ()].map(|()| ReservedPort::reserve(Port::Free, "the sidecar").unwrap().number());
        let own = config.contains("webhook:");
        let hook = format!("listen: 127.0.0.1:{webhook}, url: 'https://127.0.0.1:{webhook}'");
        let config = match own {
            true => config.replace("webhook: {", &format!("webhook: {{{hook}, ")),
            false => format!("{config}\nwebhook: {{{hook}}}"),
        };
        let user = format!("weir-admission-{name}");
        let config = format!("http: {{listen: 127.0.0.1:{http}}}\n{config}\n");
        let path = self.cluster.folder().join(format!("{user}.yaml"));
        std::fs::write(&path, config).unwrap();
        let identity = Identity::user("system:serviceaccount:weir-system:weir-admission");
        let kubeconfig = self.cluster.kubeconfig_of(&identity).unwrap();
        let arguments = ["--config", path.to_str().unwrap(), "--identity", &user].map(str::to_owned);
        let environment = BTreeMap::from([("KUBECONFIG".to_owned(), kubeconfig.to_str().unwrap().to_owned())]);
        let process = self.cluster.run(&user, &program(), &arguments, &environment).unwrap();
        self.sidecars.lock().unwrap().insert(name.to_owned(), Arc::new(process));
        self.answers(name, http).await;
    }

    /// Waits until a sidecar says that it is ready. Its socket cannot be watched, so it is asked.
    async fn answers(&self, name: &str, port: u16) {
        let sidecar = self.sidecar(name);
        let asked = async {
            while !is_ready(port).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = asked => {}
            death = sidecar.death() => panic!("{death}"),
            () = tokio::time::sleep(PATIENCE) => panic!("not ready: {}", sidecar.log_tail()),
        }
    }

    pub(crate) fn sidecar(&self, name: &str) -> Arc<Process> {
        Arc::clone(&self.sidecars.lock().unwrap()[name])
    }

    pub(crate) async fn namespace(&self, name: &str, labels: Value) {
        let namespace = json!({ "metadata": { "name": name, "labels": labels } });
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
    }

    pub(crate) async fn label_namespace(&self, name: &str, key: &str, value: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patch = json!({ "metadata": { "labels": { key: value } } });
        namespaces.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// A ready node that can allocate this, and 110 pods.
    pub(crate) async fn node(&self, name: &str, allocatable: Value) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = json!({ "metadata": { "name": name } });
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let mut resources = allocatable;
        resources["pods"] = "110".into();
        let status = json!({ "status": { "capacity": resources, "allocatable": resources,
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }] } });
        nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.unwrap();
        let usable = json!({ "spec": { "taints": null } });
        nodes.patch(name, &PatchParams::default(), &Patch::Merge(usable)).await.unwrap();
        *self.capacity.lock().unwrap() += resources["cpu"].as_str().unwrap().parse::<i64>().unwrap() * 1000;
    }

    pub(crate) async fn label_node(&self, name: &str, key: &str, value: &str) {
        // A host of its own, so that the others keep their class.
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = json!({ "metadata": { "name": format!("{name}-labelled"), "labels": { key: value } } });
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    }

    pub(crate) async fn pool(&self, name: &str, spec: Value) {
        let pools: Api<ResourcePool> = Api::all(self.client.clone());
        let pool = ResourcePool::new(name, serde_json::from_value(spec).unwrap());
        pools.create(&PostParams::default(), &pool).await.unwrap();
    }

    pub(crate) async fn may_edit_pods(&self, user: &str) {
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let rules = json!([{ "apiGroups": [""], "resources": ["pods", "pods/status", "pods/resize"], "verbs": ["*"] }]);
        let role = json!({ "metadata": { "name": "edit-pods" }, "rules": rules });
        let binding = json!({ "metadata": { "name": "edit-pods" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit-pods" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }] });
        roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
        bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    }

    pub(crate) async fn create(&self, pod: Value) {
        self.create_as(&self.client, pod).await.unwrap();
    }

    /// Creates a pod; an error is what the API server says.
    pub(crate) async fn create_as(&self, client: &Client, pod: Value) -> Result<Pod, String> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), pod["metadata"]["namespace"].as_str().unwrap());
        let pod = serde_json::from_value(pod).unwrap();
        pods.create(&PostParams::default(), &pod).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn patch_as(&self, client: &Client, name: &str, patch: Value) -> Result<Pod, String> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), "team");
        pods.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn round(&self) -> Value {
        let rounds: Api<AdmissionRound> = Api::all(self.client.clone());
        serde_json::to_value(rounds.get("weir").await.unwrap()).unwrap()
    }

    /// Whether a pod was gated when the watch first showed it.
    pub(crate) async fn was_gated(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.clone();
        self.history_until("the watch shows it", |history| {
            history.iter().find(|(_, seen)| seen.metadata.uid == uid).map(|(_, seen)| gated(seen))
        })
        .await
    }

    /// How many pods of a namespace wait.
    pub(crate) async fn gated(&self, namespace: &str) -> usize {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        pods.list(&kube::api::ListParams::default()).await.unwrap().iter().filter(|pod| gated(pod)).count()
    }

    /// Waits until a pod of namespace `team` is as it should be.
    pub(crate) async fn until(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        let what = format!("{name}: {what}");
        self.history_until(&what, |history| {
            let last = history
                .iter()
                .rfind(|(_, pod)| pod.name_any() == name && pod.namespace().as_deref() == Some("team"))?;
            holds(&last.1).then(|| last.1.clone())
        })
        .await
    }

    pub(crate) async fn until_any(&self, what: &str, holds: impl Fn(&Pod) -> bool) {
        self.history_until(what, |history| history.iter().any(|(_, pod)| holds(pod)).then_some(())).await;
    }

    pub(crate) async fn until_count(&self, what: &str, count: usize, holds: impl Fn(&Pod) -> bool) {
        self.history_until(what, |history| {
            let last: BTreeMap<_, _> =
                history.iter().map(|(alive, pod)| (pod.metadata.uid.clone(), (alive, pod))).collect();
            let found = last.values().filter(|(alive, pod)| **alive && holds(pod)).count();
            (found >= count).then_some(())
        })
        .await;
    }

    async fn history_until<T>(&self, what: &str, find: impl Fn(&History) -> Option<T>) -> T {
        let mut seen = self.seen.clone();
        let found = async {
            loop {
                if let Some(found) = find(&self.history.lock().unwrap()) {
                    return found;
                }
                seen.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| {
            let logs: Vec<_> = self.sidecars.lock().unwrap().values().map(|process| process.log_tail()).collect();
            let last = self
                .history
                .lock()
                .unwrap()
                .iter()
                .rev()
                .take(3)
                .map(|(_, pod)| format!("{pod:?}"))
                .collect::<Vec<_>>();
            panic!("waited in vain: {what}\n{}\n{}", logs.join("\n"), last.join("\n"))
        })
    }

    /// Judges the history and ends everything.
    pub(crate) async fn end(self) {
        let capacity = self.enforced.then(|| *self.capacity.lock().unwrap());
        let managed: Vec<_> = self.history.lock().unwrap().iter().filter(|(_, pod)| is_managed(pod)).cloned().collect();
        assert!(!managed.is_empty(), "there is nothing to judge");
        assert_eq!(breaches(&managed, capacity), Vec::<String>::new());
    }
}

fn follow(client: Client, history: Arc<Mutex<History>>) -> watch::Receiver<usize> {
    let (tell, seen) = watch::channel(0);
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(Api::<Pod>::all(client), watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                    history.lock().unwrap().push((true, pod))
                }
                Ok(watcher::Event::Delete(pod)) => history.lock().unwrap().push((false, pod)),
                _ => {}
            }
            tell.send_modify(|count| *count += 1);
        }
    });
    seen
}

/// Whether `/readyz` on this port says yes.
async fn is_ready(port: u16) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"))
}

/// The sidecar's program, which `make build` built beside the tests.
fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("weir-admission");
    assert!(program.exists(), "{} is missing: cargo build -p weir-admission", program.display());
    program
}

/// A pod that asks for one core, with this added to its spec.
pub(crate) fn pod(namespace: &str, name: &str, annotations: Value, spec: Value) -> Value {
    let mut base = cpu_hosts("1");
    base.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({ "metadata": { "namespace": namespace, "name": name, "annotations": annotations }, "spec": base })
}

pub(crate) fn cpu_hosts(cpu: &str) -> Value {
    json!({ "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": cpu } } }] })
}

pub(crate) fn asks(cpu: &str) -> Value {
    cpu_hosts(cpu)
}

pub(crate) fn names_model(model: &str) -> Value {
    json!({ "nodeSelector": { "gpu-node-label-model": model } })
}

pub(crate) fn gated(pod: &Pod) -> bool {
    let gates = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
    gates.into_iter().any(|gate| gate.name == "weir.dev/admission")
}

fn is_managed(pod: &Pod) -> bool {
    gated(pod) || admitted(pod)
}

/// Whether a pod went through the webhook and has no gate any more.
pub(crate) fn admitted(pod: &Pod) -> bool {
    !gated(pod) && pod.labels().contains_key("weir.dev/pool") && pod.annotations().contains_key("weir.dev/pool")
}

/// The reason of the pod's condition.
pub(crate) fn reason(pod: &Pod) -> Option<String> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().find(|one| one.type_ == "weir.dev/Admitted").and_then(|one| one.reason.clone())
}
