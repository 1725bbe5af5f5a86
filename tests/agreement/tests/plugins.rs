//! Puts random pods and nodes to each module, as it is and packed, and to the same code compiled natively; every
//! verdict, score and reason has to be the same. The random objects are such that all branches are taken, and a few
//! are broken. Packed modules get a hundredth of the usual fuel: what is left is head room.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube_scheduler_guest::testing::{FakeHost, NodeBuilder, PodBuilder, node, pod};
use kube_scheduler_guest::{Filter, Node, Plugin, Pod, PreScore, Status};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use weir_agreement::{Guest, Verdict};
use weir_packer::{FUEL_PER_CALL, Settings, pack};

const CASES: usize = 1000;

fn module(name: &str) -> Vec<u8> {
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("WEIR_PLUGINS").map_or(built, PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make plugins` first", path.display()))
}

const MODELS: [&str; 4] = ["T4", "H100", "NVIDIA_H100_80GB_HBM3", "A100"];

fn random_pod(random: &mut ChaCha8Rng) -> PodBuilder {
    let mut pod = pod("p");
    for (resource, quantities) in [
        ("cpu", ["0", "500m", "2", "64"]),
        ("memory", ["1", "2Gi", "100Gi", "1TB"]),
        ("nvidia.com/gpu", ["0", "1", "8", "one"]),
    ] {
        // The last of each is rare: most of them do not parse.
        let most = if random.random_ratio(1, 20) { 4 } else { 3 };
        if random.random_ratio(1, 2) {
            pod = pod.request(resource, quantities[..most].choose(random).unwrap());
        }
    }
    if random.random_ratio(1, 4) {
        pod = pod.init_request("nvidia.com/gpu", ["0", "1", "2"].choose(random).unwrap());
    }
    if random.random_ratio(1, 3) {
        pod = pod.selector("gpu-node-label-model", MODELS.choose(random).unwrap());
    }
    for _ in 0..random.random_range(0..3) {
        let models: Vec<_> = MODELS.sample(random, 2).copied().collect();
        pod = pod.affinity_in("gpu-node-label-model", &models);
    }
    if random.random_ratio(1, 8) {
        pod = pod.bound_to(["n", "m"].choose(random).unwrap());
    }
    pod
}

fn random_node(random: &mut ChaCha8Rng) -> NodeBuilder {
    let mut node = node("n").capacity("cpu", "96").allocatable("cpu", "95500m").allocatable("memory", "512Gi");
    if random.random_ratio(1, 2) {
        let allocatable = ["8", "4", "0"].choose(random).unwrap();
        node = node.capacity("nvidia.com/gpu", "8").allocatable("nvidia.com/gpu", allocatable);
    }
    if random.random_ratio(1, 2) {
        node = node.label("gpu-node-label-model", MODELS.choose(random).unwrap());
    }
    for (key, most) in [
        ("requested.cpu", 100_000),
        ("requested.memory", 600_000_000_000),
        ("requested.nvidia.com/gpu", 9),
        ("load.cpu", 100_000),
        ("load-sampled-requested.cpu", 100_000),
        ("load.memory", 600_000_000_000),
        ("load-sampled-requested.memory", 600_000_000_000_i64),
    ] {
        let value = match random.random_range(0..20) {
            0 => continue,
            1 => "unknown".to_string(),
            _ => random.random_range(-1..most).to_string(),
        };
        node = node.annotation(&format!("node.weir.dev/{key}"), &value);
    }
    node
}

/// The module as it is, and packed.
fn both(name: &str) -> [Vec<u8>; 2] {
    let module = module(name);
    let settings = Settings { fuel_per_call: FUEL_PER_CALL / 100, ..Settings::default() };
    let packed = pack(&module, &settings).unwrap();
    [module, packed]
}

/// What a module is told as the name of a node: its name, or the node itself.
enum Telling {
    Name,
    Node,
}

/// What a module and the native code said to the same questions.
#[derive(Default)]
struct Report {
    /// How often each thing was said natively.
    seen: BTreeMap<String, usize>,
    /// Where they differ: pod and node as they were built, and both answers.
    differences: Vec<String>,
}

impl Report {
    /// All that was said, by both worlds alike.
    fn agreed(self) -> BTreeMap<String, usize> {
        assert_eq!(self.differences, [""; 0], "{} answers of {CASES} cases differ", self.differences.len());
        self.seen
    }
}

/// Puts each case to a module with its settings and to the native code with its own; `answers` gives what both
/// say.
fn compare<P: Plugin>(
    (name, module_settings): (&str, &str),
    native_settings: &str,
    mut answers: impl FnMut(&mut Guest, &mut FakeHost, &P) -> (String, String),
) -> Report {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let [plain, packed] = both(name).map(|wasm| Guest::load(&wasm, module_settings).unwrap());
    let inline = Guest::load(&module(name), module_settings).unwrap();
    let mut guests = [(plain, Telling::Name), (packed, Telling::Name), (inline, Telling::Node)];
    let mut pod = random_pod(&mut random);
    let plugin = FakeHost::new().config(native_settings).load::<P>().unwrap();
    let mut report = Report::default();
    for _ in 0..CASES {
        // A scheduler asks about one pod and many nodes.
        if random.random_ratio(1, 2) {
            pod = random_pod(&mut random);
        }
        let node = random_node(&mut random);
        let question = format!("{pod:?} on {node:?}");
        let mut said = String::new();
        for (guest, telling) in &mut guests {
            let (pod, node): (Pod, Node) = (pod.clone().build(), node.clone().build());
            match telling {
                Telling::Name => guest.set(pod.protobuf(), "n", node.protobuf()),
                Telling::Node => guest.set_inline(pod.protobuf(), node.protobuf()),
            }
            let mut host = FakeHost::new().pod(pod).node(node);
            let (module, native) = answers(guest, &mut host, &plugin);
            if module != native {
                report.differences.push(format!("{question}: the module says {module}, natively {native}"));
            }
            said = native;
        }
        *report.seen.entry(said).or_default() += 1;
    }
    report
}

fn as_text(Verdict { code, reason }: Verdict) -> String {
    format!("{code} {reason}")
}

fn verdict(status: &Status) -> String {
    as_text(Verdict { code: status.code() as i32, reason: status.reason().to_owned() })
}

fn filters<P: Plugin + Filter>(module: (&str, &str), native_settings: &str) -> Report {
    compare::<P>(module, native_settings, |guest, host, plugin| {
        (as_text(guest.verdict("filter").unwrap()), verdict(&host.filter(plugin, "n")))
    })
}

fn scores<P: Plugin + PreScore>(module: (&str, &str), native_settings: &str) -> Report {
    compare::<P>(module, native_settings, |guest, host, plugin| {
        let (score, beside) = guest.score().unwrap();
        let module = format!("{} {score} {}", as_text(guest.verdict("prescore").unwrap()), as_text(beside));
        let (score, beside) =
            host.score(plugin, "n").map_or_else(|status| (0, status), |score| (score, Status::success()));
        (module, format!("{} {score} {}", verdict(&host.pre_score(plugin)), verdict(&beside)))
    })
}

fn filters_agree<P: Plugin + Filter>(name: &str, settings: &str) -> BTreeMap<String, usize> {
    filters::<P>((name, settings), settings).agreed()
}

fn scores_agree<P: Plugin + PreScore>(name: &str, settings: &str) -> BTreeMap<String, usize> {
    scores::<P>((name, settings), settings).agreed()
}

#[test]
fn gpu_filter_says_the_same_in_both_worlds() {
    let seen = filters_agree::<gpu_filter::GpuFilter>("gpu-filter", "");
    assert!(seen.len() >= 4 && seen["0 "] > 100, "{seen:?}");
}

#[test]
fn sku_exclusion_filter_says_the_same_in_both_worlds() {
    let list = r#"{"models": [
        {"model": "NVIDIA_H100_80GB_HBM3", "aliases": ["H100"], "gpusPerHost": 8},
        {"model": "A100", "gpusPerHost": 8}]}"#;
    let seen = filters_agree::<sku_exclusion_filter::SkuExclusionFilter>("sku-exclusion-filter", list);
    assert!(seen.len() >= 4 && seen["0 "] > 100, "{seen:?}");
}

#[test]
fn binpack_score_says_the_same_in_both_worlds() {
    let fragmentation = r#"{"strategy": "FragmentationAware", "typicalPods": [
        {"cpu": "8", "gpus": 1, "weight": 3}, {"cpu": "500m", "gpuMilli": 500, "weight": 2}, {"cpu": "64", "gpus": 8, "weight": 1}]}"#;
    for config in ["", fragmentation] {
        let seen = scores_agree::<binpack_score::BinPackScore>("binpack-score", config);
        assert!(seen.len() >= 8, "{seen:?}");
    }
}

#[test]
fn loadaware_score_says_the_same_in_both_worlds() {
    let seen = scores_agree::<loadaware_score::LoadAwareScore>("loadaware-score", "");
    assert!(seen.len() >= 30, "{seen:?}");
}

/// A module that decides by another policy than the native code is found out, however small the difference.
#[test]
fn another_policy_is_found_out() {
    let list = |model: &str| format!(r#"{{"models": [{{"model": "{model}", "gpusPerHost": 8}}]}}"#);
    let reports = [
        filters::<gpu_filter::GpuFilter>(("gpu-filter", ""), r#"{"modelLabels": []}"#),
        filters::<sku_exclusion_filter::SkuExclusionFilter>(("sku-exclusion-filter", &list("T4")), &list("A100")),
        scores::<binpack_score::BinPackScore>(("binpack-score", ""), r#"{"gpuResources": ["amd.com/gpu"]}"#),
        scores::<loadaware_score::LoadAwareScore>(("loadaware-score", ""), r#"{"bandPercent": 3}"#),
    ];
    for (report, at_least) in reports.iter().zip([100, 100, 100, 100]) {
        assert!(report.differences.len() >= at_least, "{} differences", report.differences.len());
        // Each case is put to the module as it is, packed, and with the node in place of its name.
        assert!(report.differences.len() < 3 * CASES, "not even what both must say is the same");
    }
    let said = &reports[0].differences[0];
    assert!(said.contains("PodBuilder") && said.contains("the module says") && said.contains("natively"), "{said}");
}

#[test]
fn settings_are_refused_with_the_same_words_in_both_worlds() {
    let config = r#"{"gpuResources": ["nvidia.com/gpu", 5]}"#;
    let native = FakeHost::new().config(config).load::<gpu_filter::GpuFilter>().err().unwrap();
    for wasm in both("gpu-filter") {
        let refused = Guest::load(&wasm, config).err().unwrap().to_string();
        assert!(refused.starts_with(&native), "{refused}");
    }
    assert_eq!(native, "settings.gpuResources[1]: expected a string, found the number 5");
}
