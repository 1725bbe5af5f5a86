//! Pods without GPUs go to the CPU nodes that are least occupied in fact.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use weir_tests::namespace::TestNamespace;
use weir_tests::native::{Load, Native, Scores};
use weir_tests::objects::{node, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

/// Writes what the agent of a node would have measured so many seconds ago, in the minute before.
async fn measure(ns: &TestNamespace, node: &str, seconds_ago: u64, cpu_milli: i64) -> Result<Load> {
    let taken = Timestamp::try_from(SystemTime::now() - Duration::from_secs(seconds_ago))?;
    ns.apply(&json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "NodeLoad",
        "metadata": { "name": node },
        "spec": {
            "sampleTime": taken.to_string(),
            "windowSeconds": 60,
            "usage": { "cpu": format!("{cpu_milli}m"), "memory": "1Gi" }
        }
    }))
    .await?;
    Ok(Load { cpu_milli, memory: 1 << 30 })
}

/// Returns once the scheduler has heard of the samples that were written before.
///
/// It says nothing about it, so it is asked: the last sample that is written makes a node so hot that it comes
/// behind one that is not measured; without that sample it would come first, because the other one has
/// more requested. One watch brings all samples, in the order of their revisions.
async fn heard_of_all(ns: &TestNamespace) -> Result<()> {
    let tainted = |name: &str| node(name).cores(8).tainted("probe");
    ns.world.add_node(&tainted("probe-hot")).await?;
    ns.world.add_node(&tainted("probe-unmeasured")).await?;
    let probe = |name: &str| weir_pod(name).tolerating("probe");
    ns.placed(&probe("probe-weight").cpu("4").tied_to("probe-unmeasured")).await?;
    measure(ns, "probe-hot", 1, 8_000).await?;
    for attempt in 0..10_000 {
        let asked = probe(&format!("probe-{attempt}")).accepting_nodes(&["probe-hot", "probe-unmeasured"]);
        let host = ns.placed(&asked).await?;
        ns.delete_pod(asked.name()).await?;
        if host == "probe-unmeasured" {
            return Ok(());
        }
    }
    ensure!(false, "the scheduler did not hear of the samples");
    Ok(())
}

/// ```text
/// 32 cores each         measured    score of a pod of 1 core
/// busy                  20          36
/// idle                   2          92
/// hot                   30           0
/// unmeasured             -          50
/// silent       20 minutes ago: 0    50
/// absurd                70          50
/// ```
#[tokio::test]
async fn cpu_pods_go_to_the_node_that_is_least_occupied_in_fact() -> Result<()> {
    let ns = World::start().await?.namespace("test").await?;
    for name in ["busy", "idle", "hot", "unmeasured", "silent", "absurd"] {
        ns.world.add_node(&node(name).cores(32)).await?;
    }
    ns.world.run_scheduler(&Setup::shipped()?).await?;
    let mut loads = BTreeMap::new();
    for (name, cpu_milli) in [("busy", 20_000), ("idle", 2_000), ("hot", 30_000), ("absurd", 70_000)] {
        loads.insert(name.to_owned(), measure(&ns, name, 1, cpu_milli).await?);
    }
    // Its agent has died: what it said last is as good as nothing.
    measure(&ns, "silent", 1200, 0).await?;
    heard_of_all(&ns).await?;

    assert_eq!(ns.placed(&weir_pod("first")).await?, "idle");
    // What was placed since the sample counts: idle fills up, and the rest goes elsewhere, but never to hot.
    let mut on = BTreeMap::<String, usize>::new();
    for number in 0..24 {
        *on.entry(ns.placed(&weir_pod(&format!("etl-{number}")).cpu("2")).await?).or_default() += 1;
    }
    assert!(on["idle"] >= 8, "{on:?}");
    assert!(on["idle"] < 24, "{on:?}");
    assert!(!on.contains_key("hot"), "{on:?}");
    loads.insert("probe-hot".to_owned(), Load { cpu_milli: 8_000, memory: 1 << 30 });
    ns.agrees_with(&Native::shipped()?.with(Scores::shipped(loads))).await
}
