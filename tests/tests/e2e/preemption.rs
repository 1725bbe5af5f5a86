//! The profile for pods that Weir does not manage: no priority reaches what Weir has admitted.

use anyhow::Result;
use serde_json::json;
use weir_tests::objects::{node, pod, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

#[tokio::test]
async fn a_pod_that_is_not_managed_preempts_its_like_and_nothing_that_was_admitted() -> Result<()> {
    let ns = World::start().await?.namespace("test").await?;
    ns.world.add_node(&node("of-pools").cores(8)).await?;
    ns.world.add_node(&node("of-others").cores(8)).await?;
    ns.world.run_scheduler(&Setup::shipped()?).await?;
    ns.apply(&json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": { "name": "tenant-high" },
        "value": 1000
    }))
    .await?;
    let admitted = weir_pod("admitted").cpu("8").preemptible().annotated("weir.dev/admitted-as", "OnLoan");
    ns.placed(&admitted.tied_to("of-pools")).await?;
    let other = pod("other").scheduler("default-scheduler").without_grace().cpu("8");
    ns.placed(&other.tied_to("of-others")).await?;

    let high = |name: &str| {
        pod(name)
            .scheduler("default-scheduler")
            .without_grace()
            .cpu("8")
            .with("priorityClassName", json!("tenant-high"))
    };
    ns.unschedulable(&high("takes-nothing").tied_to("of-pools")).await?;
    // It is refused at first, until the pod in its way is gone.
    ns.create_pod(&high("takes-its-like")).await?;
    ns.until_gone("other").await?;
    assert_eq!(ns.until_bound("takes-its-like").await?, "of-others");
    assert_eq!(ns.until_bound("admitted").await?, "of-pools");
    Ok(())
}
