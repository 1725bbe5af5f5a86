//! Who is gated, and that nobody admits himself or changes what he was admitted on.
//!
//! Whoever is refused has the API server's sentence. The pod has it too, as a condition and an event, and there is a
//! figure; its condition of admission stays as it was, because so did the pod.

use std::collections::BTreeSet;

use serde_json::json;

use crate::namespace::{condition, is_gated, pod};
use crate::world::World;

/// What the API server counts of requests that the policy denied.
const DENIED: [&str; 3] =
    ["apiserver_validating_admission_policy_check_total", "enforcement_action=\"deny\"", "policy=\"weir-admission\""];

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asks_is_gated() {
    let ns = World::shared().namespace("asking").await;
    ns.namespace_with("asking-managed", json!({ "labels": { "weir.dev/managed": "true" } })).await;
    let plain = |name: &str| pod(name).with("schedulerName", json!(name));
    let rows = [
        (pod("silent"), false),
        (pod("by-old-key").annotated("resource-pool", "asking-none"), true),
        (pod("by-key").pool("asking-none"), true),
        (plain("weir-scheduler"), true),
        (plain("kube-resource-manager-scheduler"), true),
        (plain("another-scheduler"), false),
        (pod("critical").pool("asking-none").with("priorityClassName", json!("system-node-critical")), false),
    ];
    for (pod, managed) in rows {
        let created = ns.create(pod).await;
        // Whoever names no pool asks for the default one and may be admitted before the answer is read.
        assert_eq!(is_gated(&created), managed, "{created:?}");
    }
    let managed = ns.in_namespace("asking-managed");
    assert!(is_gated(&managed.create(pod("silent")).await));
    let system = ns.in_namespace("kube-system");
    assert!(!is_gated(&system.create(pod("asking").pool("asking-none")).await));
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_removes_his_own_gate_is_refused() {
    let ns = World::shared().namespace("selfish").await;
    let tenant = ns.owner("selfish-tenant").await;
    ns.create_by(&tenant, pod("waits").pool("selfish")).await;
    ns.waits("waits", "PoolNotFound", "there is no pool \"selfish\"").await;
    let before = ns.world.api_server_counts(&DENIED).await;
    let refused = |patch| ns.change_as(&tenant, "waits", patch);
    let sentence = refused(json!({ "spec": { "schedulingGates": null } })).await.unwrap_err();
    assert!(sentence.contains("removing weir.dev/admission is the admission"), "{sentence}");
    ns.refused("waits", "GateRemoval", "removing weir.dev/admission is the admission").await;
    ns.waits("waits", "PoolNotFound", "there is no pool \"selfish\"").await;
    let own = json!({ "metadata": { "annotations": { "weir.dev/admitted-as": "OnLoan" } } });
    let sentence = refused(own).await.unwrap_err();
    assert!(sentence.contains("written by Weir alone"), "{sentence}");
    ns.refused("waits", "RecordChange", "written by Weir alone").await;
    assert!(ns.world.api_server_counts(&DENIED).await > before, "the API server counts whom it refused");
    let bound = ns.create_as(&tenant, pod("bound").pool("selfish").with("nodeName", json!("cpu"))).await.unwrap_err();
    assert!(bound.contains("spec.nodeName"), "{bound}");
    let recorded = pod("recorded").pool("selfish").annotated("weir.dev/admitted-as", "WithinEntitlement");
    let sentence = ns.create_as(&tenant, recorded).await.unwrap_err();
    assert!(sentence.contains("written by Weir alone"), "{sentence}");
    ns.rest_goes_on().await;
    ns.pool_of("selfish", "1").await;
    ns.admitted("waits").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_correct_his_pool_while_he_waits_and_not_change_it_after_admission() {
    let ns = World::shared().namespace("mover").await;
    let tenant = ns.owner("mover-tenant").await;
    ns.pool_of("mover", "2").await;
    ns.pool_of("mover-other", "2").await;
    ns.create_by(&tenant, pod("p").pool("mover-typo")).await;
    ns.waits("p", "PoolNotFound", "there is no pool \"mover-typo\"").await;
    ns.world.counts(&["weir_pending_pods{", "pool=\"(unknown)\"", "reason=\"PoolNotFound\""], 1.0).await;
    let text = ns.world.sidecar("a").metrics().await.unwrap();
    assert!(!text.contains("mover-typo"), "a tenant invents no label");
    let names = |pool: &str| json!({ "metadata": { "annotations": { "weir.dev/pool": pool } } });
    ns.change_as(&tenant, "p", names("mover")).await.unwrap();
    ns.admitted("p").await;
    let follows = |pod: &k8s_openapi::api::core::v1::Pod| {
        pod.metadata.labels.as_ref().is_some_and(|labels| labels["weir.dev/pool"] == "mover")
    };
    ns.until_pod("p", "the label follows the annotation", follows).await;
    let before = ns.world.api_server_counts(&DENIED).await;
    let gang = json!({ "metadata": { "labels": { "gang-member": "g" } } });
    let unlabelled = json!({ "metadata": { "labels": { "weir.dev/pool": null } } });
    let keeps = json!({ "metadata": { "annotations": { "preemptible": "true" } } });
    for patch in [names("mover-other"), unlabelled, gang, keeps] {
        let sentence = ns.change_as(&tenant, "p", patch).await.unwrap_err();
        assert!(sentence.contains("of an admitted pod cannot be changed; create it anew"), "{sentence}");
    }
    assert!(ns.world.api_server_counts(&DENIED).await > before, "the API server counts whom it refused");
    ns.refused("p", "KeyChange", "of an admitted pod cannot be changed; create it anew").await;
    let stays = |pod: &k8s_openapi::api::core::v1::Pod| condition(pod).is_some_and(|(yes, _, _)| yes == "True");
    ns.until_pod("p", "it says that it is admitted, as before", stays).await;
    let tries = ns.world.history.now(|record| {
        let ours = |event: &&k8s_openapi::api::events::v1::Event| {
            event.regarding.as_ref().is_some_and(|about| about.namespace.as_deref() == Some("mover"))
                && event.reason.as_deref() == Some("Refused")
        };
        record.events.iter().filter(ours).filter_map(|event| event.metadata.name.clone()).collect::<BTreeSet<_>>()
    });
    assert_eq!(tries.len(), 1, "the pod is told once, however often it is tried: {tries:?}");
    // What stands on it for others is his.
    ns.change_as(&tenant, "p", json!({ "metadata": { "labels": { "team": "a" } } })).await.unwrap();
    ns.create_by(&tenant, pod("anew").pool("mover-other")).await;
    ns.admitted("anew").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_place_resize_may_shrink_an_admitted_pod_and_not_grow_it() {
    let ns = World::shared().namespace("resizer").await;
    let tenant = ns.owner("resizer-tenant").await;
    ns.pool_of("resizer", "4").await;
    ns.create_by(&tenant, pod("large").pool("resizer").asks("cpu", "3")).await;
    ns.admitted("large").await;
    ns.create_by(&tenant, pod("next").pool("resizer").asks("cpu", "2")).await;
    ns.waits("next", "WaitingForQuota", "is not preemptible and asks for 2000 cpu").await;
    let before = ns.world.api_server_counts(&DENIED).await;
    let resize = async |cpu: &str| {
        let containers = json!([{ "name": "c", "resources": { "requests": { "cpu": cpu } } }]);
        let patch = kube::api::Patch::Strategic(json!({ "spec": { "containers": containers } }));
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(tenant.clone(), &ns.namespace);
        let params = kube::api::PatchParams::default();
        pods.patch_subresource("resize", "large", &params, &patch).await.map_err(|error| error.to_string())
    };
    let sentence = resize("4").await.unwrap_err();
    assert!(sentence.contains("may shrink in place but not grow; create it anew"), "{sentence}");
    ns.refused("large", "Growth", "may shrink in place but not grow; create it anew").await;
    assert!(ns.world.api_server_counts(&DENIED).await > before, "the API server counts whom it refused");
    ns.rest_goes_on().await;
    // What it gives back is another's at once.
    resize("2").await.unwrap();
    ns.admitted("next").await;
    ns.end().await;
}
