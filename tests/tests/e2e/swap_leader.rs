//! Two replicas of the scheduler, of which one decides; it dies while a module is replaced.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use tokio::process::Child;
use weir_local::Identity;
use weir_tests::objects::weir_pod;
use weir_tests::program::Sandbox;
use weir_tests::setup::Reach;
use weir_tests::wait;

use crate::swap::{Swapping, packed, setup};

/// A replica that stands for election; it is killed when this is dropped.
struct Replica {
    process: Child,
    name: &'static str,
    _sandbox: Sandbox,
}

impl Replica {
    async fn start(swapping: &Swapping, name: &'static str) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let kubeconfig = swapping.ns.world.cluster.kubeconfig_of(&Identity::scheduler())?;
        let mut command = setup()?.command(Reach { kubeconfig: &kubeconfig, port: 0 }, &sandbox).await?;
        command.env("POD_NAME", name).args(["--leader-elect=true", "--leader-elect-lease-duration=3s"]);
        command.args(["--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Ok(Self { process: command.spawn().context("run a replica")?, name, _sandbox: sandbox })
    }

    /// Returns once it reports that this module is in force.
    async fn reports(&self, swapping: &Swapping, digest: &str) -> Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(swapping.ns.client.clone(), "weir-system");
        let says_so = |map: Option<&ConfigMap>| {
            let text = map.and_then(|map| map.data.as_ref()?.get("plugins.json"));
            let report: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
            report.is_some_and(|report| report["plugins"][0]["digest"] == digest)
        };
        let what = format!("{} has the module {digest} in force", self.name);
        wait::until_object(&maps, &format!("weir-plugins-{}", self.name), &what, says_so).await
    }
}

/// Gives the plugin a module without waiting for any replica; its digest.
async fn pushed(swapping: &Swapping, module: &[u8]) -> Result<String> {
    let ended = swapping.push(module, &["--timeout", "0", "-o", "json"]).await?;
    ensure!(ended.code == Some(0), "{}{}", ended.stdout, ended.stderr);
    let answer: Value = serde_json::from_str(&ended.stdout).context("read the answer")?;
    answer["digest"].as_str().map(str::to_owned).context("the digest")
}

#[tokio::test]
async fn a_leader_that_dies_during_a_swap_is_followed_by_one_with_the_new_version() -> Result<()> {
    let swapping = Swapping::without_scheduler(packed("", "0")?).await?;
    let mut leader = Replica::start(&swapping, "replica-a").await?;
    let leases: Api<Lease> = Api::namespaced(swapping.ns.client.clone(), "kube-system");
    let held = |lease: Option<&Lease>| {
        lease.and_then(|lease| lease.spec.as_ref()?.holder_identity.as_ref()).is_some_and(|holder| !holder.is_empty())
    };
    wait::until_object(&leases, "kube-scheduler", "a scheduler holds the lease", held).await?;
    let next = Replica::start(&swapping, "replica-b").await?;
    swapping.ns.placed(&weir_pod("before")).await?;
    let module = packed("", "1")?;
    let first = pushed(&swapping, &module).await?;
    tokio::try_join!(leader.reports(&swapping, &first), next.reports(&swapping, &first))?;

    let module = packed("", "2")?;
    let swap = async {
        let (second, killed) = tokio::join!(pushed(&swapping, &module), leader.process.kill());
        killed?;
        next.reports(&swapping, &second?).await?;
        swapping.ns.placed(&weir_pod("by-the-next")).await
    };
    // No pod that arrives meanwhile is lost.
    let (_, placed) = swapping.under_load("meanwhile", swap).await?;
    assert!(placed > 0);
    Ok(())
}
