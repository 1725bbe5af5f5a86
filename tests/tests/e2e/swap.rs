//! Another module for a plugin while pods arrive, through `weir plugins` and its ConfigMap: in force everywhere without
//! a pod lost, or refused, or contained.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::{Context as _, Result, bail, ensure};
use futures::TryStreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::process::Command;
use weir_api::names;
use weir_local::Identity;
use weir_packer::{Settings, pack};
use weir_tests::history::{View, WatchEvent};
use weir_tests::install::apply_shipped;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{bound_to, node, weir_pod};
use weir_tests::program::{Ended, Sandbox, to_its_end};
use weir_tests::setup::{Setup, built};
use weir_tests::wait;
use weir_tests::world::World;

const NODES: usize = 9;

/// One plugin, so that every answer is its own.
const CONFIGURATION: &str = "
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: '${KUBECONFIG}', qps: 1000, burst: 2000}
percentageOfNodesToScore: 100
profiles:
  - schedulerName: weir-scheduler
    plugins: {multiPoint: {enabled: [{name: Guest}, {name: RecordingBinder}], disabled: [{name: DefaultBinder}]}}
    pluginConfig:
      - name: Guest
        args: {guestURL: 'configmap://weir-system/gpu-filter/guest.wasm'}
";

/// Where the plugin's configuration is looked for, if it is.
const SETTINGS: (&str, &str) = ("weir-system", "settings");

/// The key of the module in its ConfigMap.
pub(crate) const MODULE: &str = "guest.wasm";

/// A filter that lets every pod pass, and does something else when the pod is large. The version is in a section that
/// is never read: it makes another digest.
fn guest(when_large: &str, version: &str) -> Result<Vec<u8>> {
    Ok(wat::parse_str(format!(
        r#"(module
            (import "k8s.io/scheduler" "currentPod" (func $pod (param i32 i32) (result i32)))
            (memory (export "memory") 1 16)
            (func (export "_start"))
            (func (export "filter") (result i32)
                (if (i32.gt_u (call $pod (i32.const 0) (i32.const 0)) (i32.const 4000)) (then {when_large}))
                (i32.const 0))
            (@custom "version" "{version}"))"#
    ))?)
}

/// A filter that lets a pod pass on one node only, by whose number its version is known.
fn choosing(version: usize) -> Result<Vec<u8>> {
    let digit = b'0' as usize + version % NODES;
    let module = wat::parse_str(format!(
        r#"(module
            (import "k8s.io/scheduler" "currentNodeName" (func $name (param i32 i32) (result i32)))
            (memory (export "memory") 1 16)
            (func (export "_start"))
            (func (export "filter") (result i32)
                (drop (call $name (i32.const 0) (i32.const 64)))
                (if (i32.ne (i32.load8_u (i32.const 2)) (i32.const {digit})) (then (return (i32.const 2))))
                (i32.const 0))
            (@custom "version" "{version}"))"#
    ))?;
    Ok(pack(&module, &Settings::default())?)
}

pub(crate) fn packed(when_large: &str, version: &str) -> Result<Vec<u8>> {
    Ok(pack(&guest(when_large, version)?, &Settings::default())?)
}

/// A scheduler whose one plugin stands in a ConfigMap.
pub(crate) struct Swapping {
    pub(crate) ns: TestNamespace,
    pub(crate) sandbox: Sandbox,
}

impl Swapping {
    /// With one scheduler, which has said what it has in force.
    pub(crate) async fn start(module: Vec<u8>) -> Result<Self> {
        Self::with(&setup()?, json!({ MODULE: ByteString(module) })).await
    }

    /// The same with a scheduler that is set up so, and this in the ConfigMap.
    pub(crate) async fn with(setup: &Setup, held: Value) -> Result<Self> {
        let swapping = Self::holding(held).await?;
        swapping.ns.world.run_scheduler(setup).await?;
        swapping.until_report("a replica reports what it has in force", |_| true).await?;
        Ok(swapping)
    }

    /// With the module in its ConfigMap, and a user whose one right is the Role that is shipped.
    pub(crate) async fn without_scheduler(module: Vec<u8>) -> Result<Self> {
        Self::holding(json!({ MODULE: ByteString(module) })).await
    }

    async fn holding(held: Value) -> Result<Self> {
        let ns = World::start().await?.namespace("test").await?;
        for number in 0..NODES {
            ns.world.add_node(&node(&format!("n-{number}"))).await?;
        }
        let in_ours = |name: &str| json!({ "name": name, "namespace": "weir-system" });
        let holder = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": in_ours("gpu-filter"),
            "binaryData": held });
        ns.apply(&holder).await?;
        apply_shipped(&ns.client, "scheduler-config/plugin-authors.yaml").await?;
        let rights = "rbac.authorization.k8s.io";
        let binding = json!({ "apiVersion": format!("{rights}/v1"), "kind": "RoleBinding", "metadata": in_ours("authors"),
            "roleRef": { "apiGroup": rights, "kind": "Role", "name": "weir-plugin-author" },
            "subjects": [{ "apiGroup": rights, "kind": "User", "name": "author" }] });
        ns.apply(&binding).await?;
        Ok(Self { ns, sandbox: Sandbox::new()? })
    }

    /// Runs `weir plugins` with these words.
    pub(crate) async fn plugins(&self, words: &[&str]) -> Result<Ended> {
        let author = self.ns.world.cluster.kubeconfig_of(&Identity::user("author"))?;
        let mut command = Command::new(built("bin/weir")?);
        command.arg("plugins").args(words).arg("--kubeconfig").arg(author);
        to_its_end(&mut command).await
    }

    /// Gives the plugin a module.
    pub(crate) async fn push(&self, module: &[u8], options: &[&str]) -> Result<Ended> {
        let file = self.sandbox.file("guest.wasm", module)?.display().to_string();
        self.plugins(&[&["push", &file, "--plugin", "Guest"], options].concat()).await
    }

    async fn pushed(&self, module: &[u8]) -> Result<()> {
        let Ended { code, stdout, stderr } = self.push(module, &[]).await?;
        ensure!(code == Some(0), "{stdout}{stderr}");
        Ok(())
    }

    /// Gives the plugin another configuration, and returns when the one replica reports it in force.
    async fn configured(&self, value: &str) -> Result<()> {
        let (namespace, name) = SETTINGS;
        let settings = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": namespace }, "data": { "settings": value } });
        self.ns.apply(&settings).await?;
        let maps: Api<ConfigMap> = Api::namespaced(self.ns.client.clone(), namespace);
        let revision = maps.get(name).await?.metadata.resource_version.context("a version")?;
        let what = format!("revision {revision} of the configuration is in force");
        self.until_report(&what, |report| report["plugins"][0]["configRevision"] == *revision).await
    }

    /// Waits until a replica reports this.
    async fn until_report(&self, what: &str, says: impl Fn(&Value) -> bool) -> Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.ns.client.clone(), "weir-system");
        let last = RefCell::new(Value::Null);
        let reported = async {
            let reports = watcher(maps, watcher::Config::default().labels(names::REPORT_SELECTOR));
            let mut reports = pin!(reports.applied_objects());
            while let Some(report) = reports.try_next().await? {
                let text = report.data.as_ref().and_then(|data| data.get(names::REPORT_KEY));
                let report = serde_json::from_str(text.context("a report without plugins")?)?;
                if says(&report) {
                    return Ok(());
                }
                *last.borrow_mut() = report;
            }
            bail!("the watch ended")
        };
        wait::until(what, reported, || last.borrow().to_string()).await?
    }

    /// What the one replica says of the plugin.
    pub(crate) async fn report(&self) -> Result<Value> {
        let Ended { code, stdout, stderr } = self.plugins(&["-o", "json"]).await?;
        ensure!(code == Some(0), "{stdout}{stderr}");
        let mut answer: Value = serde_json::from_str(&stdout).context("read the answer")?;
        Ok(answer["replicas"][0]["plugins"][0].take())
    }

    /// Places one pod after the other until `work` is done; how many they were.
    pub(crate) async fn under_load<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> Result<(T, usize)> {
        let (done, mut count) = (Cell::new(false), 0);
        let work = async {
            let result = work.await;
            done.set(true);
            result
        };
        let load = async {
            while !done.get() {
                let pod = weir_pod(&format!("{name}-{count}")).cpu("1m");
                self.ns.placed(&pod).await?;
                // However long it takes, the nodes do not fill up.
                self.ns.delete_pod(pod.name()).await?;
                count += 1;
            }
            Ok(())
        };
        let (result, ()) = tokio::try_join!(work, load)?;
        Ok((result, count))
    }
}

pub(crate) fn setup() -> Result<Setup> {
    Ok(Setup::shipped()?.configured(CONFIGURATION))
}

/// The scheduler of [`setup`] with more in the plugin's args.
pub(crate) fn setup_with(args: &str) -> Result<Setup> {
    setup()?.replacing("guest.wasm'}", &format!("guest.wasm', {args}}}"))
}

/// How many answers there were at `filter`, by digest; none of them is an error.
fn answers(metrics: &str) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for line in
        metrics.lines().filter(|line| line.starts_with("weir_plugin_calls_total{") && line.contains("point=\"filter\""))
    {
        ensure!(!line.contains("result=\"Error\""), "a call failed: {line}");
        let digest = line.split("digest=\"").nth(1).and_then(|rest| rest.split('"').next()).context("the digest")?;
        let count: f64 = line.rsplit(' ').next().context("the count")?.parse()?;
        *all.entry(digest.to_owned()).or_default() += count as u64;
    }
    Ok(all)
}

/// The version that a pod says it was placed by, as an index of `digests`.
fn placed_by(pod: &Pod, digests: &[String]) -> Result<usize> {
    let said = pod.metadata.annotations.as_ref().and_then(|all| all.get(names::PLACED_BY));
    let said: Value = serde_json::from_str(said.context("the pod does not say by what it was placed")?)?;
    let said = said["Guest"].as_str().context("the plugin is not named")?;
    // Where there is a configuration, its digest follows.
    let digest = said.split(' ').next().unwrap_or_default();
    digests.iter().position(|known| known.starts_with(digest)).with_context(|| format!("{digest} was never pushed"))
}

/// The version by which each pod was placed. No version comes after a later one, and each placed on its node only.
fn placed_in_order(seen: View<'_>, digests: &[String]) -> Result<BTreeMap<String, usize>> {
    let (mut bound, mut last) = (BTreeMap::new(), 0);
    for event in seen.in_order() {
        let WatchEvent::Pod(pod) = event else { continue };
        let Some(node) = bound_to(pod) else { continue };
        let version = placed_by(pod, digests)?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        assert_eq!(node, format!("n-{}", version % NODES), "{name} was placed by version {version}");
        if bound.insert(name.clone(), version).is_none() {
            assert!(version >= last, "{name} was placed by version {version} after {last} had placed another");
            last = version;
        }
    }
    Ok(bound)
}

#[tokio::test]
async fn swaps_and_changes_of_the_configuration_under_load_lose_no_pod_and_no_cycle_has_two_versions() -> Result<()> {
    // Every tenth is one of the configuration.
    const SWAPS: usize = 200;
    let (namespace, name) = SETTINGS;
    let setup = setup_with(&format!("guestConfigMap: {namespace}/{name}"))?;
    let swapping = Swapping::with(&setup, json!({ MODULE: ByteString(choosing(0)?) })).await?;
    let mut digests = vec![swapping.report().await?["digest"].as_str().unwrap_or_default().to_owned()];
    let mut pods = 0;
    // A version's metrics go some swaps after it has left.
    let mut answered = BTreeMap::new();
    for swap in 1..=SWAPS {
        answered.extend(answers(&swapping.ns.world.scheduler_metrics().await?)?);
        if swap % 10 == 0 {
            let settings = swap.to_string();
            pods += swapping.under_load(&format!("swap-{swap}"), swapping.configured(&settings)).await?.1;
            continue;
        }
        let module = choosing(digests.len())?;
        let push = async {
            let Ended { code, stdout, stderr } = swapping.push(&module, &["-o", "json"]).await?;
            ensure!(code == Some(0), "{stdout}{stderr}");
            let answer: Value = serde_json::from_str(&stdout).context("read the answer")?;
            answer["digest"].as_str().map(str::to_owned).context("the digest")
        };
        let (digest, placed) = swapping.under_load(&format!("swap-{swap}"), push).await?;
        digests.push(digest);
        pods += placed;
    }

    // In the order in which they were bound, each pod says by which version.
    let bound = swapping.ns.now(|seen| placed_in_order(seen, &digests))?;
    assert_eq!(bound.len(), pods, "every pod is bound");

    let metrics = swapping.ns.world.scheduler_metrics().await?;
    assert!(
        metrics.contains(&format!("weir_plugin_swaps_total{{plugin=\"Guest\",result=\"InForce\"}} {SWAPS}\n")),
        "{metrics}"
    );
    assert!(!metrics.contains("weir_plugin_traps_total{"), "nothing trapped");
    // A cycle asks about every node, so a version has answered once for each node in each cycle that was its own.
    answered.extend(answers(&metrics)?);
    for (version, digest) in digests.iter().enumerate() {
        let placed = bound.values().filter(|by| **by == version).count();
        let cycles = answered.get(digest).copied().unwrap_or_default() / NODES as u64;
        assert_eq!(
            cycles, placed as u64,
            "version {version}: each pod took one cycle, and no cycle took another's calls"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_put_in_force_is_refused_with_its_reason_while_scheduling_goes_on() -> Result<()> {
    let swapping = Swapping::start(packed("", "0")?).await?;
    let sound = packed("", "1")?;
    // The extension runs _start; by it the host knows a module that ran out of fuel.
    let module = |memory: &str, rest: &str| {
        format!(r#"(module {rest} (memory (export "memory") {memory}) (func (export "_start")))"#)
    };
    let always = |behaviour: &str| {
        module("1 16", &format!(r#"(func (export "filter") (result i32) {behaviour} (i32.const 0))"#))
    };
    let score = module("1 16", r#"(func (export "score") (result i64) (i64.const 0))"#);
    let unknown =
        module("1 16", r#"(import "env" "secrets" (func)) (func (export "filter") (result i32) (i32.const 0))"#);
    let large = module("1 1024", r#"(func (export "filter") (result i32) (i32.const 0))"#);
    let packed_text = |text: &str| -> Result<Vec<u8>> {
        Ok(pack(&wat::parse_str(text)?, &Settings { memory_pages: 1024, ..Settings::default() })?)
    };
    let refusals = [
        ("truncated", sound[..sound.len() / 2].to_vec(), "or only a part of one"),
        ("oversized", packed_text(&large)?, "the slot allows 16777216"),
        ("unpacked", guest("", "1")?, "is not metered"),
        ("other interface", packed_text(&score)?, "other extension points"),
        ("unknown import", packed_text(&unknown)?, "imports env.secrets"),
        ("trapping", packed_text(&always("unreachable"))?, "self-test failed"),
        ("looping", packed_text(&always("(loop (br 0))"))?, "fuel"),
        ("allocating", packed_text(&always("(loop (drop (memory.grow (i32.const 1))) (br 0))"))?, "fuel"),
    ];
    let before = swapping.report().await?["digest"].clone();
    for (name, module, why) in refusals {
        let load = format!("pod-{}", name.replace(' ', "-"));
        let (ended, placed) = swapping.under_load(&load, swapping.push(&module, &["--as-is"])).await?;
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.stdout);
        assert!(
            ended.stderr.contains(why) && ended.stderr.contains("the ConfigMap is as it was before"),
            "{name}: {}",
            ended.stderr
        );
        assert!(placed > 0, "{name}: pods were placed meanwhile");
        assert_eq!(swapping.report().await?["digest"], before, "{name}");
    }
    // Nothing of it stands in the way of a sound one.
    swapping.pushed(&sound).await
}

#[tokio::test]
async fn a_module_that_fails_for_some_pods_fails_those_alone_until_it_is_rolled_back() -> Result<()> {
    let swapping = Swapping::start(packed("", "0")?).await?;
    let sound = swapping.report().await?["digest"].clone();
    for (name, behaviour, said) in [
        ("loops", "(loop (br 0))", "fuel"),
        ("allocates", "(loop (drop (memory.grow (i32.const 1))) (br 0))", "fuel"),
        ("traps", "unreachable", "unreachable"),
    ] {
        swapping.pushed(&packed(behaviour, name)?).await?;
        let pods = swapping.ns.pods();
        // One kind of pod may be strange. After the third kind the version before is in force again without anybody's
        // doing, and then all are placed.
        let bound = async {
            let mut names = Vec::new();
            for kind in ["x", "y", "z"] {
                let mut large = weir_pod(&format!("large-{name}-{kind}")).build()?;
                large.metadata.annotations = Some([("padding".to_owned(), kind.repeat(5000))].into());
                pods.create(&PostParams::default(), &large).await?;
                names.extend(large.metadata.name);
            }
            for name in &names {
                swapping.ns.until_bound(name).await?;
            }
            anyhow::Ok(())
        };
        let (_, placed) = swapping.under_load(&format!("small-{name}"), bound).await?;
        assert!(placed > 0, "{name}: the others were placed meanwhile");

        let report = reported(&swapping, "RolledBack", |report| report["lastSwap"]["result"] == "RolledBack").await?;
        assert_eq!(report["digest"], sound, "{name}");
        let log = report["log"].as_array().context("the log")?;
        let trapped = log.iter().rev().find(|entry| entry["event"] == "Trapped").context("no trap in the log")?;
        assert!(trapped["reason"].as_str().is_some_and(|reason| reason.contains(said)), "{name}: {trapped}");
    }
    Ok(())
}

/// The report, as soon as it says `what`: it follows what happened by half a second.
async fn reported(swapping: &Swapping, what: &str, says: impl Fn(&Value) -> bool) -> Result<Value> {
    let last = RefCell::new(Value::Null);
    let asked = async {
        loop {
            let report = swapping.report().await?;
            if says(&report) {
                return Ok(report);
            }
            *last.borrow_mut() = report;
            // One more pod is as good a pause as any, and shows that scheduling goes on.
            swapping.ns.placed(&weir_pod("pause").cpu("1m")).await?;
            swapping.ns.delete_pod("pause").await?;
        }
    };
    wait::until(format!("the report says {what}"), asked, || last.borrow().to_string()).await?
}

#[tokio::test]
async fn a_candidate_in_the_shadow_is_compared_promoted_and_rolled_back() -> Result<()> {
    let swapping = Swapping::start(packed("", "0")?).await?;
    let sound = swapping.report().await?["digest"].clone();
    // It would reject every pod.
    let rejects =
        wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "filter") (result i32) (i32.const 2)))"#)?;
    let file = swapping.sandbox.file("rejects.wasm", rejects)?.display().to_string();
    let shadow = swapping.plugins(&["shadow", &file, "--plugin", "Guest"]).await?;
    assert_eq!(shadow.code, Some(0), "{}{}", shadow.stdout, shadow.stderr);
    let report =
        reported(&swapping, "that they disagree", |report| report["candidate"]["disagreements"].as_u64() > Some(0))
            .await?;
    assert_eq!((&report["digest"], &report["candidate"]["examples"][0]["point"]), (&sound, &json!("filter")));

    let promoted = swapping.plugins(&["promote", "Guest"]).await?;
    assert_eq!(promoted.code, Some(0), "{}{}", promoted.stdout, promoted.stderr);
    let why = swapping.ns.unschedulable(&weir_pod("rejected")).await?;
    assert!(why.starts_with("0/9 nodes are available"), "{why}");
    let rolled_back = swapping.plugins(&["rollback", "Guest"]).await?;
    assert_eq!(rolled_back.code, Some(0), "{}{}", rolled_back.stdout, rolled_back.stderr);
    swapping.ns.until_bound("rejected").await?;
    let log = swapping.plugins(&["log", "Guest"]).await?.stdout;
    let events: Vec<_> = log.lines().filter_map(|line| line.split("  ").nth(3)).collect();
    assert_eq!(events, ["Loaded", "Shadowed", "InForce", "ShadowEnded", "InForce"], "{log}");
    Ok(())
}

#[tokio::test]
async fn without_its_config_map_the_last_good_version_works_on() -> Result<()> {
    let swapping = Swapping::start(packed("", "0")?).await?;
    let before = swapping.report().await?["digest"].clone();
    let maps: Api<ConfigMap> = Api::namespaced(swapping.ns.client.clone(), "weir-system");
    maps.delete("gpu-filter", &DeleteParams::default()).await?;
    let report = reported(&swapping, "Refused", |report| report["lastSwap"]["result"] == "Refused").await?;
    assert_eq!(report["digest"], before);
    swapping.ns.placed(&weir_pod("after")).await?;
    Ok(())
}
