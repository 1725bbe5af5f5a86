use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::holder::{Change, Module, Place, Versions};
use super::judge::{Judge, Progress, Wanted};
use super::report::{Report, living};
use super::{place_of, view};
use crate::digest::digest;
use crate::draw::Paint;

const NOW: &str = "2030-01-01T12:00:00Z";
const SOURCE: &str = "configmap://weir-system/gpu-filter/gpu-filter.wasm";

/// A replica's report, through its ConfigMap.
fn report(replica: &str, renewed_at: &str, plugins: Value) -> Report {
    let text = json!({ "replica": replica, "renewedAt": renewed_at, "plugins": plugins }).to_string();
    let object: ConfigMap = serde_json::from_value(json!({ "data": { "plugins.json": text } })).unwrap();
    Report::of(&object).unwrap()
}

fn plugin(digest: &str, more: Value) -> Value {
    let mut row = json!({ "plugin": "GPUFilter", "profile": "weir-scheduler", "digest": digest, "version": "0.1.0",
        "mode": "Active", "source": SOURCE, "since": "2030-01-01T09:00:00Z", "points": {}, "memoHitRate": 0.0, "traps": 0,
        "configHash": "sha256:0", "log": [] });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn refused(digest: &str) -> Value {
    json!({ "lastSwap": { "result": "Refused", "at": "2030-01-01T11:59:00Z", "digest": digest, "reason": "it traps" } })
}

#[test]
fn the_table_shows_each_plugin_of_each_replica_with_its_points_and_its_shadow() {
    let busy = json!({
        "points": { "filter": { "calls": 20000, "remembered": 19800, "p50_us": 1.5, "p99_us": 4096.0 },
            "prefilter": { "calls": 0, "remembered": 0, "p50_us": 0.0, "p99_us": 0.0 } },
        "memoHitRate": 0.99, "traps": 2, "configMap": "weir-system/special-hardware", "configRevision": "77",
        "candidate": { "digest": "sha256:cccccccccccccccc", "mode": "Shadow", "source": "", "since": "2030-01-01T11:58:00Z",
            "comparisons": 500, "disagreements": 3, "failures": 1, "skipped": 0, "examples": [{ "at": NOW, "point": "filter",
                "pod": "team/p", "node": "n1", "inForce": "Success, score 0", "candidate": "Unschedulable: no" }] },
    });
    let reports = [
        report("a", NOW, json!([plugin("sha256:aaaaaaaaaaaaaaaa", busy)])),
        report("b", "2030-01-01T11:59:30Z", json!([plugin("sha256:bbbbbbbbbbbbbbbb", refused("sha256:dd"))])),
    ];
    let expected = "\
a (0s ago)                         module  version    mode  calls  remembered    p50    p99  traps  since
GPUFilter of weir-scheduler  aaaaaaaaaaaa    0.1.0  Active  20000      99.0 %                    2   3h0m  settings of weir-system/special-hardware, revision 77
├ filter                                                    20000      99.0 %  1.5µs  4.1ms
├ prefilter                                                     0       0.0 %
└ in its shadow              cccccccccccc        -  Shadow    500                                1   2m0s  3 answers differ, such as team/p on n1: Unschedulable: no and not Success, score 0

b (30s ago)                        module  version    mode  calls  remembered  p50  p99  traps  since
GPUFilter of weir-scheduler  bbbbbbbbbbbb    0.1.0  Active      0       0.0 %                0   3h0m  refused 1m0s ago: it traps
";
    assert_eq!(view::table(&reports, NOW.parse().unwrap(), Paint::Plain), expected);
    assert_eq!(view::table(&[], NOW.parse().unwrap(), Paint::Plain), view::NO_REPORT);
}

#[test]
fn the_log_says_when_and_where_and_why() {
    let log = json!({ "log": [{ "at": NOW, "event": "Refused", "digest": "sha256:1234567890abcdef", "reason": "it traps" }] });
    let report = report("a", NOW, json!([plugin("sha256:aa", log)]));
    let row = &report.plugins[0];
    assert_eq!(
        view::log(&[("a", row, &row.log[0])], Paint::Plain),
        "2030-01-01T12:00:00Z  a  GPUFilter of weir-scheduler  Refused  1234567890ab  it traps\n"
    );
}

#[test]
fn a_change_is_done_when_every_living_replica_says_so() {
    let gone = report("gone", "2030-01-01T11:50:00Z", json!([plugin("sha256:old", json!({}))]));
    let says = |a: &str, b: &str| {
        let row = |digest| json!([plugin(digest, json!({}))]);
        [gone.clone(), report("a", NOW, row(a)), report("b", "2030-01-01T11:59:00Z", row(b))]
    };
    let before = says("sha256:old", "sha256:old");
    assert_eq!(living(&before).map(|report| report.replica.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let judge = Judge::new("GPUFilter", SOURCE, &before);
    let wanted = Wanted::InForce("sha256:new".to_owned());
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(judge.progress(&before, &wanted), Progress::Waiting(names(&["a", "b"])));
    assert_eq!(judge.progress(&says("sha256:new", "sha256:old"), &wanted), Progress::Waiting(names(&["b"])));
    assert_eq!(judge.progress(&says("sha256:new", "sha256:new"), &wanted), Progress::Done(names(&["a", "b"])));
    assert_eq!(judge.progress(&[], &wanted), Progress::Waiting(Vec::new()));
}

#[test]
fn a_refusal_is_one_of_this_module_that_was_not_there_before() {
    let row = |more: Value| [report("a", NOW, json!([plugin("sha256:old", more)]))];
    let wanted = Wanted::InForce("sha256:new".to_owned());
    let says_no = Progress::Refused("a: it traps; old stays in force".to_owned());
    let waits = Progress::Waiting(vec!["a".to_owned()]);

    let judge = Judge::new("GPUFilter", SOURCE, &row(json!({})));
    assert_eq!(judge.progress(&row(refused("sha256:new")), &wanted), says_no);
    assert_eq!(judge.progress(&row(refused("")), &wanted), says_no, "it could not be read");
    assert_eq!(judge.progress(&row(refused("sha256:other")), &wanted), waits);

    let judge = Judge::new("GPUFilter", SOURCE, &row(refused("sha256:new")));
    assert_eq!(judge.progress(&row(refused("sha256:new")), &wanted), waits, "that was said before");
    assert_eq!(judge.without_memory().progress(&row(refused("sha256:new")), &wanted), says_no);
}

#[test]
fn a_plugin_is_changed_where_its_config_map_is_and_nowhere_else() {
    let from = |source: &str| report("a", NOW, json!([plugin("sha256:aa", json!({ "source": source }))]));
    let (source, place) = place_of(&[from(SOURCE)], "GPUFilter").unwrap();
    assert_eq!((source.as_str(), place.key.as_str()), (SOURCE, "gpu-filter.wasm"));
    let why = |reports: &[Report], plugin: &str| place_of(reports, plugin).unwrap_err().to_string();
    assert!(
        why(&[from("file:///plugins/gpu-filter.wasm")], "GPUFilter").starts_with("GPUFilter is loaded from file:///")
    );
    assert!(why(&[from(SOURCE), from("configmap://a/b/c")], "GPUFilter").contains("several ConfigMaps"));
    assert_eq!(why(&[from(SOURCE)], "GpuFilter"), "no replica has a plugin \"GpuFilter\"; there are GPUFilter");
    assert!(why(&[], "GPUFilter").starts_with("no scheduler reports its plugins"));
}

fn module(text: &str) -> Module {
    Module { bytes: text.as_bytes().to_vec(), signature: None }
}

fn versions(current: &str, previous: &str, shadow: &str) -> Versions {
    let of = |text: &str| (!text.is_empty()).then(|| module(text));
    Versions { current: of(current), previous: of(previous), shadow: of(shadow) }
}

#[test]
fn every_change_keeps_what_it_takes_to_go_back() {
    let after = |before: Versions, change: Change| before.after(change).unwrap();
    assert_eq!(after(versions("a", "", ""), Change::Push(module("b"))), versions("b", "a", ""));
    assert_eq!(
        after(versions("b", "a", "c"), Change::Push(module("b"))),
        versions("b", "a", "c"),
        "it is there already"
    );
    assert_eq!(after(versions("b", "a", "c"), Change::Push(module("c"))), versions("c", "b", ""));
    assert_eq!(after(versions("b", "a", ""), Change::Shadow(module("c"))), versions("b", "a", "c"));
    assert_eq!(after(versions("b", "a", "c"), Change::EndShadow), versions("b", "a", ""));
    assert_eq!(after(versions("b", "a", "c"), Change::Promote), versions("c", "b", ""));
    assert_eq!(after(versions("b", "a", "c"), Change::RollBack), versions("a", "b", "c"));
    for (change, why) in [
        (Change::Promote, "nothing runs in its shadow"),
        (Change::EndShadow, "nothing runs in its shadow"),
        (Change::RollBack, "there is no version before the one in force"),
        (Change::Shadow(module("a")), "that module is in force already"),
    ] {
        let refused = versions("a", "", "").after(change).unwrap_err().to_string();
        assert!(refused.starts_with(why), "{refused}");
    }
}

fn holder(content: Value) -> ConfigMap {
    let mut object = content;
    object["metadata"] = json!({ "name": "gpu-filter", "namespace": "weir-system", "resourceVersion": "7",
        "annotations": { "weir.dev/plugin-digests": r#"{"other.wasm":"sha256:1"}"# } });
    serde_json::from_value(object).unwrap()
}

#[test]
fn the_patch_says_all_three_modules_with_their_signatures_and_digests() {
    let place = Place::read(SOURCE).unwrap();
    // "YQ==" is "a", "cw==" is "s".
    let before = holder(json!({ "binaryData": { "gpu-filter.wasm": "YQ==", "gpu-filter.wasm.shadow": "Yg==" },
        "data": { "gpu-filter.wasm.sig": "s" } }));
    let signed = Module { bytes: b"a".to_vec(), signature: Some(b"s".to_vec()) };
    let found = place.versions(&before);
    assert_eq!(found, Versions { current: Some(signed), previous: None, shadow: Some(module("b")) });

    let patch = place.patch(&before, &found.after(Change::Promote).unwrap()).unwrap();
    assert_eq!(
        patch["binaryData"],
        json!({ "gpu-filter.wasm": "Yg==", "gpu-filter.wasm.sig": null, "gpu-filter.wasm.previous": "YQ==",
            "gpu-filter.wasm.previous.sig": "cw==", "gpu-filter.wasm.shadow": null, "gpu-filter.wasm.shadow.sig": null })
    );
    assert_eq!(patch["data"]["gpu-filter.wasm.sig"], Value::Null, "the old signature would be taken for the new one's");
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    let digests: Value =
        serde_json::from_str(patch["metadata"]["annotations"]["weir.dev/plugin-digests"].as_str().unwrap()).unwrap();
    let expected =
        json!({ "other.wasm": "sha256:1", "gpu-filter.wasm": digest(b"b"), "gpu-filter.wasm.previous": digest(b"a") });
    assert_eq!(digests, expected);
}

#[test]
fn what_a_config_map_cannot_hold_is_refused_before_it_is_written() {
    let place = Place::read(SOURCE).unwrap();
    let other = holder(json!({ "data": { "other": "x".repeat(1000) } }));
    let large = Module { bytes: vec![0; (1 << 20) - 1000], signature: None };
    let fits = Versions { current: Some(large), ..Versions::default() };
    assert!(place.patch(&other, &fits).is_ok());
    let too_much = Versions { previous: Some(module("a")), ..fits };
    assert_eq!(
        place.patch(&other, &too_much).unwrap_err().to_string(),
        "ConfigMap weir-system/gpu-filter would have 1048577 bytes, 1000 of them of others, and may have 1048576; give each \
         plugin a ConfigMap of its own, or end its shadow"
    );
}
