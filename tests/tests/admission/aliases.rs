//! People write `V100_32GB` where the nodes say `V100M32`. The filter takes an alias for its model, and
//! kube-scheduler's own NodeAffinity compares letters, so the webhook has to write the real name while the pod
//! is created. An alias means something only where the sidecar and the scheduler with its modules work together;
//! here they do.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use weir_local::{Checkout, Scheduler};
use weir_tests::install::apply;
use weir_tests::setup::Setup;

use crate::namespace::{PodOf, TestNamespace, grounds, pod};
use crate::world::World;

const LABEL: &str = "gpu-node-label-model";
const GPUS: &str = "nvidia.com/gpu";

/// ```text
/// cpu  no GPU     t4  8 GPUs, general     g3  8 GPUs, special     v100  8 GPUs, special, also called V100_32GB
/// ```
async fn one_host_of_each() -> (World, Scheduler) {
    let world = World::bare().await;
    let (client, root) = (world.client().await, Checkout::find().unwrap().root().to_owned());
    for file in ["scheduler-config/rbac.yaml", "scheduler-config/special-hardware.yaml"] {
        apply(&client, &root.join(file)).await.unwrap();
    }
    world.node("cpu", json!({}), json!({ "cpu": "64" })).await;
    for (name, model) in [("t4", "T4"), ("g3", "G3"), ("v100", "V100M32")] {
        world.node(name, json!({ LABEL: model }), json!({ "cpu": "64", GPUS: "8" })).await;
    }
    world.run_sidecar("a", "").await.unwrap();
    let scheduler = Setup::shipped().unwrap().start(&world.cluster).await.unwrap();
    (world, scheduler)
}

/// Creates a pod and returns it once it was admitted within its pool's entitlement and placed.
async fn placed(ns: &TestNamespace<'_>, name: &str, pod: PodOf) -> Pod {
    ns.create(pod.pool("research")).await;
    let placed = ns.until_pod(name, "it is placed", |pod| host(pod).is_some()).await;
    assert_eq!(grounds(&placed), Some("WithinEntitlement"), "{name}");
    placed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_names_an_alias_is_admitted_and_runs_on_that_model_only() {
    let (world, scheduler) = one_host_of_each().await;
    let ns = world.namespace("team").await;
    let reserved = |name: &str| json!({ "name": name, "reservation": "8" });
    let resources = json!([reserved("cpu"), reserved(GPUS), reserved("sku.weir.dev/V100M32")]);
    ns.pool("research", json!({ "resources": resources })).await;

    let by_selector = placed(&ns, "by-selector", pod("by-selector").model("V100_32GB").asks(GPUS, "4")).await;
    assert_eq!((selected(&by_selector), host(&by_selector)), (Some("V100M32"), Some("v100")));
    // Packing would have it beside the other one.
    let general = placed(&ns, "general", pod("general").asks(GPUS, "4")).await;
    assert_eq!((selected(&general), host(&general)), (None, Some("t4")));
    let by_affinity = placed(&ns, "by-affinity", accepting(pod("by-affinity").asks(GPUS, "4"), "V100_32GB")).await;
    assert_eq!((accepted(&by_affinity), host(&by_affinity)), (Some("V100M32"), Some("v100")));
    let without = placed(&ns, "without", pod("without")).await;
    assert_eq!(host(&without), Some("cpu"));

    // Its host is full; 4 general GPUs and 8 of `G3` are free, and nothing for it.
    ns.create(pod("one-more").pool("research").model("V100_32GB")).await;
    ns.waits("one-more", "WaitingForQuota", "sku.weir.dev/V100M32").await;
    ns.delete("by-selector").await;
    let one_more = ns.until_pod("one-more", "it is placed", |pod| host(pod).is_some()).await;
    assert_eq!((selected(&one_more), host(&one_more)), (Some("V100M32"), Some("v100")));
    scheduler.stop().await.unwrap();
    world.end().await;
}

/// With a model, or another name of it, in its required node affinity.
fn accepting(pod: PodOf, model: &str) -> PodOf {
    let terms = json!([{ "matchExpressions": [{ "key": LABEL, "operator": "In", "values": [model] }] }]);
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
    pod.with("affinity", json!({ "nodeAffinity": required }))
}

/// The model that its node selector names.
fn selected(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_selector.as_ref()?.get(LABEL).map(String::as_str)
}

/// The first model that its required node affinity accepts.
fn accepted(pod: &Pod) -> Option<&str> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let expression = required.node_selector_terms.first()?.match_expressions.as_ref()?.first()?;
    expression.values.as_ref()?.first().map(String::as_str)
}

fn host(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}
