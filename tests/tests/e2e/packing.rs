//! GPU pods pack, so that whole hosts stay free for pods that need whole hosts.

use std::collections::BTreeSet;

use anyhow::Result;
use weir_tests::namespace::TestNamespace;
use weir_tests::native::{Native, Scores};
use weir_tests::objects::{node, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

const MODULE: &str = "binpack-score.wasm";

async fn hosts(count: usize, setup: &Setup) -> Result<TestNamespace> {
    let ns = World::start().await?.namespace("test").await?;
    for number in 1..=count {
        ns.world.add_node(&node(&format!("gpu-{number}")).cores(64).gpus(8).model("T4")).await?;
    }
    ns.world.run_scheduler(setup).await?;
    Ok(ns)
}

/// ```text
/// gpu-a  1 2 1 4       gpu-b  8       gpu-c  8       gpu-d  8
/// ```
#[tokio::test]
async fn small_pods_fill_one_host_and_leave_whole_ones_free() -> Result<()> {
    let ns = hosts(4, &Setup::shipped()?).await?;
    let mut started = BTreeSet::new();
    for (number, gpus) in [1, 2, 1, 4].into_iter().enumerate() {
        started.insert(ns.placed(&weir_pod(&format!("small-{number}")).gpus(gpus)).await?);
    }
    assert_eq!(started.len(), 1, "{started:?}");
    let mut whole = BTreeSet::new();
    for number in 0..3 {
        whole.insert(ns.placed(&weir_pod(&format!("whole-{number}")).gpus(8)).await?);
    }
    assert_eq!(whole.len(), 3, "{whole:?}");
    ns.unschedulable(&weir_pod("one-more").gpus(1)).await?;
    ns.agrees_with(&Native::shipped()?.with(Scores::default())).await
}

/// ```text
/// gpu-a  6 of 8        gpu-b  5 of 8       gpu-c  free
/// ```
#[tokio::test]
async fn a_pod_goes_to_the_fullest_host_that_has_room() -> Result<()> {
    let ns = hosts(3, &Setup::shipped()?).await?;
    let fullest = ns.placed(&weir_pod("six").gpus(6)).await?;
    let next = ns.placed(&weir_pod("five").gpus(5)).await?;
    assert_ne!(fullest, next);
    assert_eq!(ns.placed(&weir_pod("three").gpus(3)).await?, next);
    assert_eq!(ns.placed(&weir_pod("two").gpus(2)).await?, fullest);
    ns.agrees_with(&Native::shipped()?.with(Scores::default())).await
}

/// ```text
/// typical   8 GPUs: 1 in 2      1 GPU: 1 in 2
/// gpu-a  1 1 1 …       gpu-b  free for the next 8
/// ```
#[tokio::test]
async fn by_fragmentation_a_host_that_a_typical_pod_needs_is_left_alone() -> Result<()> {
    let settings = r#"{"strategy": "FragmentationAware", "typicalPods": [
        {"cpu": "8", "gpus": 8, "weight": 1}, {"cpu": "1", "gpus": 1, "weight": 1}]}"#;
    let with = format!("{MODULE}\n          guestConfig: '{}'", settings.replace('\n', ""));
    let ns = hosts(3, &Setup::shipped()?.replacing(MODULE, &with)?).await?;
    let mut started = BTreeSet::new();
    for number in 0..6 {
        started.insert(ns.placed(&weir_pod(&format!("small-{number}")).gpus(1)).await?);
    }
    assert_eq!(started.len(), 1, "{started:?}");
    for number in 0..2 {
        let host = ns.placed(&weir_pod(&format!("whole-{number}")).cpu("8").gpus(8)).await?;
        assert!(!started.contains(&host), "{host}");
    }
    let scores = Scores::fragmentation_aware(&[(8, 8, 1), (1, 1, 1)])?;
    ns.agrees_with(&Native::shipped()?.with(scores)).await
}
