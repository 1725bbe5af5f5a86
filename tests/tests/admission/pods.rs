//! Mistakes that stand on a pod: each is a condition with a sentence, an event and a figure; the rest goes on,
//! and once the mistake is corrected the pod is admitted as if it had never been made.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{ADMITTED, condition, grounds, is_admitted, is_gated, node, pod};
use weir_tests::world::shared;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_can_never_fit_its_pool_says_which_limit_is_in_its_way() -> Result<()> {
    let ns = shared::admitting()?.namespace("never-fits").await?;
    let limited = |limit: &str| json!({ "resources": [{ "name": "cpu", "reservation": "4", "limit": limit }] });
    ns.create_pool("never-fits", limited("6")).await?;
    ns.create_pod(&pod("above-limit").pool("never-fits").preemptible().asks("cpu", "7")).await?;
    ns.until_waiting("above-limit", "ExceedsMaxQuota", "pool \"never-fits\" may never have more than 6").await?;
    ns.create_pod(&pod("not-reserved").pool("never-fits").asks("cpu", "5")).await?;
    ns.until_waiting("not-reserved", "ExceedsReservation", "make it preemptible or raise the reservation").await?;
    ns.create_pool("never-fits-small", json!({ "maxWorkload": { "cpu": "2" } })).await?;
    ns.create_pod(&pod("too-large").pool("never-fits-small").preemptible().asks("cpu", "3")).await?;
    ns.until_waiting("too-large", "ExceedsMaxQuota", "takes no pod or gang above").await?;
    ns.create_pod(&pod("no-host").pool("never-fits").preemptible().asks("example.com/never-fits", "1")).await?;
    ns.until_waiting("no-host", "UnknownResource", "which no node has and no pool lists").await?;
    ns.create_pod(&pod("fits").pool("never-fits")).await?;
    ns.until_admitted("fits").await?;
    // Corrected, each in its way.
    ns.change_pool("never-fits", limited("20")).await?;
    ns.until_admitted("above-limit").await?;
    ns.change_pool("never-fits-small", json!({ "maxWorkload": { "cpu": "3" } })).await?;
    ns.until_admitted("too-large").await?;
    ns.annotate_pod("not-reserved", "preemptible", json!("true")).await?;
    ns.until_admitted("not-reserved").await?;
    ns.world.add_node(&node("never-fits").cores(4).has("example.com/never-fits", "1")).await?;
    ns.until_admitted("no-host").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_a_namespace_may_not_use_takes_its_pods_once_it_may() -> Result<()> {
    let ns = shared::admitting()?.namespace("stranger").await?;
    let selector = json!({ "matchLabels": { "stranger-may": "use" } });
    let reserved = json!([{ "name": "cpu", "reservation": "1" }]);
    ns.create_pool("stranger", json!({ "namespaceSelector": selector, "resources": reserved })).await?;
    ns.create_pod(&pod("p").pool("stranger")).await?;
    ns.until_waiting("p", "PoolNotAllowed", "does not take pods of namespace \"stranger\" (spec.namespaceSelector)")
        .await?;
    ns.rest_goes_on().await?;
    ns.label("stranger-may", "use").await?;
    ns.until_admitted("p").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_sku_waits_until_somebody_has_it() -> Result<()> {
    let ns = shared::admitting()?.namespace("sku").await?;
    ns.create_pool("sku", json!({})).await?;
    ns.create_pod(&pod("p").pool("sku").preemptible().gpus(1).selecting_model("B200")).await?;
    ns.until_waiting("p", "UnknownModel", "GPU model \"B200\" is neither in the special-hardware list nor on a node")
        .await?;
    ns.create_pod(&pod("known").pool("sku").preemptible().gpus(1).selecting_model("T4")).await?;
    ns.until_admitted("known").await?;
    ns.world.add_node(&node("sku").cores(8).gpus(8).model("B200")).await?;
    ns.until_admitted("p").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_added_after_the_pod_was_created_tells_it_to_be_created_anew() -> Result<()> {
    let ns = shared::admitting()?.namespace("alias").await?;
    let reserved = json!([{ "name": "sku.weir.dev/SPECIAL", "reservation": "8" }]);
    ns.create_pool("alias", json!({ "resources": reserved })).await?;
    list_special(&ns, json!([])).await?;
    ns.create_pod(&pod("early").pool("alias").gpus(1).selecting_model("special-80g")).await?;
    ns.until_waiting("early", "UnknownModel", "GPU model \"special-80g\"").await?;
    list_special(&ns, json!(["special-80g"])).await?;
    ns.until_waiting("early", "Misconfigured", "the alias special-80g now means SPECIAL").await?;
    ns.rest_goes_on().await?;
    ns.delete_pod("early").await?;
    ns.create_pod(&pod("early").pool("alias").gpus(1).selecting_model("special-80g")).await?;
    let anew = ns.until_admitted("early").await?;
    let selector = anew.spec.and_then(|spec| spec.node_selector).context("its node selector")?;
    assert_eq!(selector["gpu-node-label-model"], "SPECIAL");
    ns.judge().await
}

/// Lists SPECIAL as special hardware under these aliases.
async fn list_special(ns: &TestNamespace, aliases: Value) -> Result<()> {
    let list = json!({ "labelKeys": ["gpu-node-label-model"],
        "models": [{ "model": "SPECIAL", "aliases": aliases, "gpusPerHost": 8 }] });
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "list": list.to_string() },
        "metadata": { "name": "special-hardware", "namespace": "weir-system" } });
    ns.apply(&map).await
}

#[tokio::test(flavor = "multi_thread")]
async fn contradicting_annotations_wait_until_one_of_them_is_gone() -> Result<()> {
    let ns = shared::admitting()?.namespace("contradiction").await?;
    ns.create_pool_of("contradiction", "4").await?;
    ns.create_pod(&pod("pools").pool("contradiction").annotated("resource-pool", "other")).await?;
    ns.until_waiting("pools", "Misconfigured", "keep one of them").await?;
    ns.create_pod(&pod("no-boolean").pool("contradiction").annotated("preemptible", "yes")).await?;
    ns.until_waiting("no-boolean", "Misconfigured", "\"yes\" is neither \"true\" nor \"false\"").await?;
    ns.create_pod(&pod("size-alone").pool("contradiction").annotated("number-gang-members", "3")).await?;
    ns.until_waiting("size-alone", "Misconfigured", "announces 3 members and label weir.dev/gang is missing").await?;
    ns.create_pod(&pod("foreign").pool("contradiction").with("schedulerName", json!("volcano"))).await?;
    ns.until_waiting("foreign", "Misconfigured", "spec.schedulerName").await?;
    ns.create_pod(&pod("fine").pool("contradiction")).await?;
    ns.until_admitted("fine").await?;
    ns.annotate_pod("pools", "resource-pool", Value::Null).await?;
    ns.until_admitted("pools").await?;
    ns.annotate_pod("no-boolean", "preemptible", json!("false")).await?;
    ns.until_admitted("no-boolean").await?;
    ns.annotate_pod("size-alone", "number-gang-members", Value::Null).await?;
    ns.until_admitted("size-alone").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_any_annotation_go_to_the_default_pool_and_are_told_so() -> Result<()> {
    let ns = shared::admitting()?.namespace("newcomer").await?;
    ns.label("weir.dev/managed", "true").await?;
    let made = ns.create_pod(&pod("p")).await?;
    assert!(is_gated(&made), "{made:?}");
    let says =
        |pod: &Pod| condition(pod, ADMITTED).is_some_and(|told| told.is_true() && told.message().contains("default"));
    let admitted = ns.until_pod("p", "it says where it is", says).await?;
    assert!(is_admitted(&admitted), "the gate goes before it is said: {admitted:?}");
    let says = |key: &str| admitted.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
    assert_eq!(says("weir.dev/pool").as_deref(), Some("default"));
    assert_eq!(says("weir.dev/preemptible").as_deref(), Some("true"), "a pod that says nothing may be taken back");
    assert!(matches!(grounds(&admitted), Some("WithinEntitlement" | "OnLoan")), "{admitted:?}");
    ns.until_event("Pod", "p", condition(&admitted, ADMITTED).context("its condition")?.reason(), "default").await?;
    ns.world.counts(&["weir_admissions_total{", "pool=\"default\""], 1.0).await?;
    ns.judge().await
}
