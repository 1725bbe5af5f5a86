//! How much fuel the plugins need, and what packing costs in time: one line of JSON for each plugin.
//!
//! | size | settings | pod | node |
//! |---|---|---|---|
//! | `usual` | 16 special models, 32 typical pods | 4 affinity terms | 40 labels, 12 resources |
//! | `extreme` | 64 special models with 4 aliases each, 200 typical pods | 50 affinity terms | 100 labels, 40 resources |
//!
//! The fuel of a call (`weir_packer::FUEL_PER_CALL`) is to be a hundred times what the usual ones need, and more than
//! what the extreme ones need. `start` is what it takes to read the settings, once for each instance; `most` is what the
//! most expensive call takes, that one included. The ratio of times is that of an interpreter.

#![allow(clippy::unwrap_used, reason = "an example that cannot go on should stop")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube_scheduler_guest::testing::{node, pod};
use kube_scheduler_guest::{Node, Pod};
use weir_agreement::Guest;
use weir_packer::{FUEL_PER_CALL, Settings, pack};

const CALLS: u32 = 2000;
const ROUNDS: usize = 9;

/// A plugin with settings that are hard to read, and the points at which it is called.
struct Case {
    plugin: &'static str,
    config: String,
    points: &'static [&'static str],
}

/// How much of everything there is.
struct Size {
    name: &'static str,
    models: usize,
    aliases: usize,
    typical_pods: usize,
    terms: usize,
    labels: usize,
    resources: usize,
}

const SIZES: [Size; 2] = [
    Size { name: "usual", models: 16, aliases: 1, typical_pods: 32, terms: 4, labels: 40, resources: 12 },
    Size { name: "extreme", models: 64, aliases: 4, typical_pods: 200, terms: 50, labels: 100, resources: 40 },
];

fn cases(size: &Size) -> [Case; 4] {
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let resources = list(size.resources, &|at| format!("\"vendor-{at}.example.com/gpu\""));
    let models = list(size.models, &|at| {
        let aliases = list(size.aliases, &|alias| format!("\"MODEL_{at}_ALIAS_{alias}\""));
        format!(r#"{{"model": "VENDOR_MODEL_{at}_80GB_HBM3", "aliases": [{aliases}], "gpusPerHost": 8}}"#)
    });
    let typical = list(size.typical_pods, &|at| {
        format!(r#"{{"cpu": "{at}", "gpuMilli": {}, "weight": {}}}"#, at * 4 + 1, at + 1)
    });
    [
        Case { plugin: "gpu-filter", config: format!(r#"{{"gpuResources": [{resources}]}}"#), points: &["filter"] },
        Case { plugin: "sku-exclusion-filter", config: format!(r#"{{"models": [{models}]}}"#), points: &["filter"] },
        Case {
            plugin: "binpack-score",
            config: format!(r#"{{"strategy": "FragmentationAware", "typicalPods": [{typical}]}}"#),
            points: &["prescore", "score"],
        },
        Case { plugin: "loadaware-score", config: String::new(), points: &["prescore", "score"] },
    ]
}

fn pod_of(size: &Size, gpus: &str) -> Pod {
    let mut large = pod("p").request("cpu", "64").request("memory", "512Gi").request("nvidia.com/gpu", gpus);
    for at in 0..size.terms {
        let models = [format!("VENDOR_MODEL_{at}_80GB_HBM3"), format!("MODEL_{at}_ALIAS_3"), "T4".to_owned()];
        large = large.affinity_in("gpu-node-label-model", &models.each_ref().map(String::as_str));
        large = large.toleration(&format!("example.com/taint-{at}"), "Exists", "", "NoSchedule");
    }
    large.build()
}

fn node_of(size: &Size) -> Node {
    let mut large = node("n").capacity("cpu", "96").allocatable("cpu", "95500m").allocatable("memory", "1Ti");
    for at in 0..size.labels {
        large = large.label(&format!("feature.example.com/number-{at}"), &format!("value-{at}"));
    }
    for at in 0..size.resources {
        large = large.capacity(&format!("example.com/resource-{at}"), "8");
        large = large.annotation(&format!("node.weir.dev/requested.example.com/resource-{at}"), "3");
    }
    for (key, value) in [("requested.cpu", "40000"), ("requested.nvidia.com/gpu", "3"), ("load.cpu", "20000")] {
        large = large.annotation(&format!("node.weir.dev/{key}"), value);
    }
    large = large.label("gpu-node-label-model", &format!("VENDOR_MODEL_{}_80GB_HBM3", size.models - 1));
    large.capacity("nvidia.com/gpu", "8").allocatable("nvidia.com/gpu", "8").build()
}

impl Case {
    fn module(&self) -> Vec<u8> {
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
        std::fs::read(built.join(format!("{}.wasm", self.plugin))).unwrap()
    }

    fn packed(&self, fuel_per_call: u64) -> Vec<u8> {
        pack(&self.module(), &Settings { fuel_per_call, ..Settings::default() }).unwrap()
    }

    fn load(&self, wasm: &[u8]) -> Option<Guest> {
        Guest::load(wasm, &self.config).ok()
    }

    /// Calls all points with each pod; false when one of them did not answer.
    fn call(&self, guest: &mut Guest, pods: &[Pod], node: &Node) -> bool {
        pods.iter().all(|pod| {
            guest.set(pod.protobuf(), "n", node.protobuf());
            self.points.iter().all(|point| match *point {
                "score" => guest.score().is_ok(),
                point => guest.verdict(point).is_ok(),
            })
        })
    }

    /// The least fuel with which `works` is true.
    fn least(&self, works: impl Fn(&[u8]) -> bool) -> u64 {
        let (mut too_little, mut enough) = (0, FUEL_PER_CALL * 100);
        while enough - too_little > enough / 100 {
            let middle = u64::midpoint(too_little, enough);
            if works(&self.packed(middle)) { enough = middle } else { too_little = middle }
        }
        enough
    }

    /// The time of all points with each pod, in the quickest of the rounds.
    fn time(&self, guests: &mut [Guest; 2], pods: &[Pod], node: &Node) -> [Duration; 2] {
        let mut least = [Duration::MAX; 2];
        for _ in 0..ROUNDS {
            for (guest, least) in guests.iter_mut().zip(&mut least) {
                let began = Instant::now();
                for _ in 0..CALLS {
                    self.call(guest, pods, node);
                }
                *least = began.elapsed().min(*least);
            }
        }
        least
    }
}

fn main() {
    let [usual, extreme] = SIZES;
    for (case, hard) in cases(&usual).into_iter().zip(cases(&extreme)) {
        let [usual_fuel, extreme_fuel] = [(&case, &usual), (&hard, &extreme)].map(|(case, size)| fuel(case, size));
        let packed = case.packed(FUEL_PER_CALL);
        let mut guests = [case.module(), packed.clone()].map(|wasm| Guest::load(&wasm, &case.config).unwrap());
        let pod = pod("p").request("cpu", "8").request("nvidia.com/gpu", "1").build();
        let [before, after] = case.time(&mut guests, &[pod], &node_of(&usual));
        println!(
            r#"{{"plugin":"{}","fuel":{{{usual_fuel},{extreme_fuel}}},"bytes":{{"before":{},"after":{}}},"time_ratio":{:.2}}}"#,
            case.plugin,
            case.module().len(),
            packed.len(),
            after.as_secs_f64() / before.as_secs_f64(),
        );
    }
}

fn fuel(case: &Case, size: &Size) -> String {
    let (pods, node) = ([pod_of(size, "8"), pod_of(size, "0")], node_of(size));
    let start = case.least(|wasm| case.load(wasm).is_some());
    let most = case.least(|wasm| case.load(wasm).is_some_and(|mut guest| case.call(&mut guest, &pods, &node)));
    format!(r#""{}":{{"start":{start},"most":{most}}}"#, size.name)
}
