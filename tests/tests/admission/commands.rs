//! `kubectl weir pools`, `queue` and `explain` on a real API server, as a user who has no rights but those that
//! every user is given.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::process::Command;
use weir_local::Identity;
use weir_tests::history::View;
use weir_tests::objects::{node, pod};
use weir_tests::program::{beside, to_its_end};
use weir_tests::world::World;

/// What `kubectl weir` answers with `-o json`.
async fn ask(world: &World, user: &str, words: &[&str]) -> Result<Value> {
    let mut command = Command::new(beside("kubectl-weir")?);
    command.args(words).args(["-o", "json", "--kubeconfig"]);
    command.arg(world.cluster.kubeconfig_of(&Identity::user(user))?);
    let ended = to_its_end(&mut command).await?;
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).with_context(|| format!("read the answer to {words:?}: {}", ended.stdout))
}

/// ```text
/// cluster      8 cores
/// └─ org       reserves 6
///    ├─ labs   reserves 4: `runs` has 3, gang `g` waits for its second member
///    └─ web    reserves 2: `waits` asks for 3, which is more than it may keep
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_weir_shows_pools_and_queue_and_explains_pods_and_gangs() -> Result<()> {
    let world = World::with_sidecar("").await?;
    world.add_node(&node("n1").cores(8)).await?;
    let ns = world.namespace("team").await?;
    let cores = |parent: Option<&str>, reservation: &str| json!({ "parent": parent, "resources": [{ "name": "cpu", "reservation": reservation }] });
    ns.create_pool("org", cores(None, "6")).await?;
    ns.create_pool("labs", cores(Some("org"), "4")).await?;
    ns.create_pool("web", cores(Some("org"), "2")).await?;
    ns.create_pod(&pod("runs").pool("labs").asks("cpu", "3")).await?;
    ns.until_admitted("runs").await?;
    ns.create_pod(&pod("member").pool("labs").gang("g", "2")).await?;
    ns.until_waiting("member", "WaitingForGang", "1 of 2 members are there").await?;
    ns.create_pod(&pod("waits").pool("web").asks("cpu", "3")).await?;
    ns.until_waiting("waits", "ExceedsReservation", "asks for 3000 cpu").await?;
    let figures = |seen: View<'_>| {
        let labs = seen.cluster.pools.get("labs")?.status.as_ref()?;
        let usage = &labs.resources.iter().find(|resource| resource.name == "cpu")?.usage.0;
        (usage == "3" && labs.pending == 1).then_some(())
    };
    ns.until("the figures of pool labs are written", figures).await?;
    ns.viewer("viewer", &["", "events.k8s.io"], &["pods", "events"]).await?;

    let pools = ask(&world, "viewer", &["pools"]).await?;
    let all = pools["pools"].as_array().unwrap();
    let labs = all.iter().find(|pool| pool["name"] == "labs").unwrap();
    assert_eq!((&labs["parent"], &labs["pending"], &labs["admitted"]), (&json!("org"), &json!(1), &json!(1)), "{labs}");
    let cpu = &labs["resources"]["cpu"];
    assert_eq!((&cpu["reservation"], &cpu["usage"]), (&json!(4000), &json!(3000)), "{labs}");

    let queues = ask(&world, "viewer", &["queue"]).await?;
    let web = queues["queues"].as_array().unwrap().iter().find(|queue| queue["pool"] == "web").unwrap();
    let first = &web["waiting"][0];
    let expected = [("position", json!(1)), ("namespace", json!("team")), ("name", json!("waits"))];
    expected.iter().for_each(|(key, value)| assert_eq!(&first[key], value, "{first}"));
    assert_eq!(first["reason"], "ExceedsReservation");

    let waits = ask(&world, "viewer", &["explain", "waits", "-n", "team"]).await?;
    assert_eq!((&waits["kind"], &waits["stands"]["is"]), (&json!("Pod"), &json!("Waiting")), "{waits}");
    assert_eq!((&waits["pool"], &waits["asks"]["cpu"]), (&json!("web"), &json!(3000)), "{waits}");
    assert!(!waits["whatToDo"].as_array().unwrap().is_empty(), "{waits}");
    assert!(waits["events"].as_array().unwrap().iter().any(|event| event["reason"] == "ExceedsReservation"), "{waits}");

    let gang = ask(&world, "viewer", &["explain", "gang/g", "-n", "team"]).await?;
    assert_eq!(
        (&gang["kind"], &gang["gang"]["created"], &gang["gang"]["size"]),
        (&json!("Gang"), &json!(1), &json!(2))
    );

    let runs = ask(&world, "viewer", &["explain", "pod/runs", "-n", "team"]).await?;
    assert_eq!(runs["admittedAs"], "WithinEntitlement", "{runs}");
    let figures = runs["decidedOn"]["figures"].as_array().unwrap();
    assert!(figures.iter().any(|figure| figure["pool"] == "labs" && figure["asked"] == 3000), "{runs}");
    world.judge().await
}
