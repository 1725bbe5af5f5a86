//! People write `V100_32GB` where the nodes say `V100M32`. The filter takes an alias for its model, and
//! kube-scheduler's own NodeAffinity compares letters, so the webhook has to write the real name while the pod
//! is created. An alias means something only where the sidecar and the scheduler with its modules work together;
//! here they do.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use weir_tests::install::apply_shipped;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{GPU, GPU_MODEL, PodBuilder, bound_to, grounds, node, pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

/// ```text
/// cpu  no GPU     t4  8 GPUs, general     g3  8 GPUs, special     v100  8 GPUs, special, also called V100_32GB
/// ```
async fn one_host_of_each() -> Result<TestNamespace> {
    let world = World::start().await?;
    apply_shipped(&world.client().await?, "scheduler-config/special-hardware.yaml").await?;
    world.add_node(&node("cpu").cores(64)).await?;
    for (name, model) in [("t4", "T4"), ("g3", "G3"), ("v100", "V100M32")] {
        world.add_node(&node(name).cores(64).gpus(8).model(model)).await?;
    }
    world.run_sidecar("a", "").await?;
    world.run_scheduler(&Setup::shipped()?).await?;
    world.namespace("team").await
}

/// Creates a pod and returns it once it was admitted within its pool's entitlement and placed.
async fn placed(ns: &TestNamespace, pod: PodBuilder) -> Result<Pod> {
    ns.create_pod(&pod.clone().pool("research")).await?;
    let placed = ns.until_pod(pod.name(), "it is placed", |pod| bound_to(pod).is_some()).await?;
    assert_eq!(grounds(&placed), Some("WithinEntitlement"), "{}", pod.name());
    Ok(placed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_names_an_alias_is_admitted_and_runs_on_that_model_only() -> Result<()> {
    let ns = one_host_of_each().await?;
    let reserved = |name: &str| json!({ "name": name, "reservation": "8" });
    let resources = json!([reserved("cpu"), reserved(GPU), reserved("sku.weir.dev/V100M32")]);
    ns.create_pool("research", json!({ "resources": resources })).await?;

    let by_selector = placed(&ns, pod("by-selector").selecting_model("V100_32GB").gpus(4)).await?;
    assert_eq!((selected(&by_selector), bound_to(&by_selector)), (Some("V100M32"), Some("v100")));
    // Packing would have it beside the other one.
    let general = placed(&ns, pod("general").gpus(4)).await?;
    assert_eq!((selected(&general), bound_to(&general)), (None, Some("t4")));
    let by_affinity = placed(&ns, pod("by-affinity").accepting_models(&["V100_32GB"]).gpus(4)).await?;
    assert_eq!((accepted(&by_affinity), bound_to(&by_affinity)), (Some("V100M32"), Some("v100")));
    let without = placed(&ns, pod("without")).await?;
    assert_eq!(bound_to(&without), Some("cpu"));

    // Its host is full; 4 general GPUs and 8 of `G3` are free, and nothing for it.
    ns.create_pod(&pod("one-more").pool("research").gpus(1).selecting_model("V100_32GB")).await?;
    ns.until_waiting("one-more", "WaitingForQuota", "sku.weir.dev/V100M32").await?;
    ns.delete_pod("by-selector").await?;
    let one_more = ns.until_pod("one-more", "it is placed", |pod| bound_to(pod).is_some()).await?;
    assert_eq!((selected(&one_more), bound_to(&one_more)), (Some("V100M32"), Some("v100")));
    ns.world.judge().await
}

/// The model that its node selector names.
fn selected(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_selector.as_ref()?.get(GPU_MODEL).map(String::as_str)
}

/// The first model that its required node affinity accepts.
fn accepted(pod: &Pod) -> Option<&str> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let expression = required.node_selector_terms.first()?.match_expressions.as_ref()?.first()?;
    expression.values.as_ref()?.first().map(String::as_str)
}
