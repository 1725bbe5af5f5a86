//! Which pods are gated, and that no tenant admits a pod or changes what it was admitted on.
//!
//! A tenant whose request is refused gets the API server's sentence. The pod has it too, as a condition and an event,
//! and there is a figure; its condition of admission stays as it was, because so did the pod.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use weir_tests::objects::{ADMITTED, condition, is_gated, pod};
use weir_tests::world::shared;

/// What the API server counts of requests that the policy denied.
const DENIED: [&str; 3] =
    ["apiserver_validating_admission_policy_check_total", "enforcement_action=\"deny\"", "policy=\"weir-admission\""];

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asks_is_gated() -> Result<()> {
    let ns = shared::admitting()?.namespace("asking").await?;
    let managed = ns.another("asking-managed", json!({ "labels": { "weir.dev/managed": "true" } })).await?;
    let plain = |name: &str| pod(name).scheduler(name);
    let cases = [
        (pod("silent"), false),
        (pod("by-old-key").annotated("resource-pool", "asking-none"), true),
        (pod("by-key").pool("asking-none"), true),
        (plain("weir-scheduler"), true),
        (plain("kube-resource-manager-scheduler"), true),
        (plain("another-scheduler"), false),
        (pod("critical").pool("asking-none").with("priorityClassName", json!("system-node-critical")), false),
    ];
    for (pod, gated) in cases {
        let created = ns.create_pod(&pod).await?;
        // A pod that names no pool asks for the default one and may be admitted before the answer is read.
        assert_eq!(is_gated(&created), gated, "{created:?}");
    }
    assert!(is_gated(&managed.create_pod(&pod("silent")).await?));
    let system = ns.of("kube-system");
    assert!(!is_gated(&system.create_pod(&pod("asking").pool("asking-none")).await?));
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_removes_his_own_gate_is_refused() -> Result<()> {
    let ns = shared::admitting()?.namespace("selfish").await?;
    let tenant = ns.owner("selfish-tenant").await?;
    ns.create_pod_by(&tenant, &pod("waits").pool("selfish")).await?;
    ns.until_waiting("waits", "PoolNotFound", "there is no pool \"selfish\"").await?;
    let before = ns.world.api_server_counts(&DENIED).await?;
    let refused = |patch| ns.change_refused(&tenant, "waits", patch);
    let sentence = refused(json!({ "spec": { "schedulingGates": null } })).await?;
    assert!(sentence.contains("removing weir.dev/admission is the admission"), "{sentence}");
    ns.until_refused("waits", "GateRemoval", "removing weir.dev/admission is the admission").await?;
    ns.until_waiting("waits", "PoolNotFound", "there is no pool \"selfish\"").await?;
    let own = json!({ "metadata": { "annotations": { "weir.dev/admitted-as": "OnLoan" } } });
    let sentence = refused(own).await?;
    assert!(sentence.contains("written by Weir alone"), "{sentence}");
    ns.until_refused("waits", "RecordChange", "written by Weir alone").await?;
    assert!(ns.world.api_server_counts(&DENIED).await? > before, "the API server counts its refusals");
    let bound = pod("bound").pool("selfish").with("nodeName", json!("cpu"));
    let bound = ns.creation_refused(&tenant, &bound).await?;
    assert!(bound.contains("spec.nodeName"), "{bound}");
    let recorded = pod("recorded").pool("selfish").annotated("weir.dev/admitted-as", "WithinEntitlement");
    let sentence = ns.creation_refused(&tenant, &recorded).await?;
    assert!(sentence.contains("written by Weir alone"), "{sentence}");
    ns.rest_goes_on().await?;
    ns.create_pool_of("selfish", "1").await?;
    ns.until_admitted("waits").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_correct_his_pool_while_he_waits_and_not_change_it_after_admission() -> Result<()> {
    let ns = shared::admitting()?.namespace("mover").await?;
    let tenant = ns.owner("mover-tenant").await?;
    ns.create_pool_of("mover", "2").await?;
    ns.create_pool_of("mover-other", "2").await?;
    ns.create_pod_by(&tenant, &pod("p").pool("mover-typo")).await?;
    ns.until_waiting("p", "PoolNotFound", "there is no pool \"mover-typo\"").await?;
    ns.world.counts(&["weir_pending_pods{", "pool=\"(unknown)\"", "reason=\"PoolNotFound\""], 1.0).await?;
    let text = ns.world.sidecar("a")?.metrics().await?;
    assert!(!text.contains("mover-typo"), "a tenant invents no label");
    let names = |pool: &str| json!({ "metadata": { "annotations": { "weir.dev/pool": pool } } });
    ns.change_pod_by(&tenant, "p", names("mover")).await?;
    ns.until_admitted("p").await?;
    let follows = |pod: &Pod| pod.metadata.labels.as_ref().is_some_and(|labels| labels["weir.dev/pool"] == "mover");
    ns.until_pod("p", "the label follows the annotation", follows).await?;
    let before = ns.world.api_server_counts(&DENIED).await?;
    let gang = json!({ "metadata": { "labels": { "gang-member": "g" } } });
    let unlabelled = json!({ "metadata": { "labels": { "weir.dev/pool": null } } });
    let keeps = json!({ "metadata": { "annotations": { "preemptible": "true" } } });
    for patch in [names("mover-other"), unlabelled, gang, keeps] {
        let sentence = ns.change_refused(&tenant, "p", patch).await?;
        assert!(sentence.contains("of an admitted pod cannot be changed; create it anew"), "{sentence}");
    }
    assert!(ns.world.api_server_counts(&DENIED).await? > before, "the API server counts its refusals");
    ns.until_refused("p", "KeyChange", "of an admitted pod cannot be changed; create it anew").await?;
    let stays = |pod: &Pod| condition(pod, ADMITTED).is_some_and(|told| told.is_true());
    ns.until_pod("p", "it says that it is admitted, as before", stays).await?;
    let tries: BTreeSet<_> = ns.now(|seen| {
        let refused = seen.events().filter(|event| event.reason.as_deref() == Some("Refused"));
        refused.filter_map(|event| event.metadata.name.clone()).collect()
    });
    assert_eq!(tries.len(), 1, "the pod is told once, however often it is tried: {tries:?}");
    // Labels of others are the tenant's own.
    ns.change_pod_by(&tenant, "p", json!({ "metadata": { "labels": { "team": "a" } } })).await?;
    ns.create_pod_by(&tenant, &pod("anew").pool("mover-other")).await?;
    ns.until_admitted("anew").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_place_resize_may_shrink_an_admitted_pod_and_not_grow_it() -> Result<()> {
    let ns = shared::admitting()?.namespace("resizer").await?;
    let tenant = ns.owner("resizer-tenant").await?;
    ns.create_pool_of("resizer", "4").await?;
    ns.create_pod_by(&tenant, &pod("large").pool("resizer").asks("cpu", "3")).await?;
    ns.until_admitted("large").await?;
    ns.create_pod_by(&tenant, &pod("next").pool("resizer").asks("cpu", "2")).await?;
    ns.until_waiting("next", "WaitingForQuota", "is not preemptible and asks for 2000 cpu").await?;
    let before = ns.world.api_server_counts(&DENIED).await?;
    let resize = async |cpu: &str| {
        let containers = json!([{ "name": "main", "resources": { "requests": { "cpu": cpu } } }]);
        let patch = Patch::Strategic(json!({ "spec": { "containers": containers } }));
        let pods: Api<Pod> = Api::namespaced(tenant.clone(), &ns.name);
        pods.patch_subresource("resize", "large", &PatchParams::default(), &patch).await
    };
    let sentence = resize("4").await.unwrap_err().to_string();
    assert!(sentence.contains("may shrink in place but not grow; create it anew"), "{sentence}");
    ns.until_refused("large", "Growth", "may shrink in place but not grow; create it anew").await?;
    assert!(ns.world.api_server_counts(&DENIED).await? > before, "the API server counts its refusals");
    ns.rest_goes_on().await?;
    // What it gives back is another's at once.
    resize("2").await?;
    ns.until_admitted("next").await?;
    ns.judge().await
}
