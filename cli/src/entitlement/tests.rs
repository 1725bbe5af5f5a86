//! The command as people meet it: the page's examples, the answer's form, and what bad files are told.

use serde_json::Value;
use weir_entitlement::{Document, Entitlements, entitle};
use weir_model::dimension::SKU_PREFIX;

use super::view::draw;
use super::write_json;
use crate::draw::Paint;

/// The page that explains the rule; its examples are computed here.
const PAGE: &str = include_str!("../../../docs/entitlement.md");

fn computed(document: &str) -> (Document, Entitlements) {
    let cluster = Document::read(document.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{document}"));
    let entitlements = entitle(&cluster.tree, &cluster.dims, &cluster.input);
    (cluster, entitlements)
}

fn json(document: &str) -> Value {
    let (cluster, entitlements) = computed(document);
    let mut out = Vec::new();
    write_json(&mut out, &cluster, &entitlements).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn complaint(document: &str) -> String {
    Document::read(document.as_bytes())
        .err()
        .map_or_else(|| format!("nothing is said about {document}"), |e| e.to_string())
}

/// The blocks of the page that are fenced as `language`, with what follows each.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let fence = format!("```{language}\n");
    let starts = PAGE.match_indices(&fence).map(|(at, _)| &PAGE[at + fence.len()..]);
    starts.map(|rest| rest.split_once("```").unwrap()).collect()
}

#[test]
fn the_pages_drawings_are_what_the_command_draws() {
    let examples = blocks("json");
    assert_eq!(examples.len(), 2);
    for (document, after) in examples {
        let drawing = after.split_once("```text\n").unwrap().1.split_once("```").unwrap().0;
        let (cluster, entitlements) = computed(document);
        assert_eq!(draw(&cluster, &entitlements, Paint::Plain), drawing, "docs/entitlement.md");
    }
}

#[test]
fn the_pages_steps_are_the_traces() {
    let (example, after) = blocks("json")[0];
    let answer = json(example);
    let rows = after.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| pool")).take(5);
    let mut compared = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let trace = &answer["pools"][cells[0]]["nvidia.com/gpu"];
        let keys = ["requirement", "nonPreemptible", "fromReservation", "borrowed", "spread", "entitlement"];
        for (key, written) in keys.iter().zip(&cells[1..]) {
            assert_eq!(trace[key].to_string(), *written, "docs/entitlement.md: {key} of {}", cells[0]);
            compared += 1;
        }
    }
    assert_eq!(compared, 5 * 6);
    let language = &answer["pools"]["language"]["nvidia.com/gpu"];
    let lenders = serde_json::json!({ "unreserved": 5, "pools": { "production": 15, "vision": 10 } });
    assert_eq!(language["borrowedFrom"], lenders);
}

#[test]
fn the_answer_has_every_pool_in_every_resource_and_not_the_root() {
    let answer = json(
        r#"{"capacity": {"cpu": 4000}, "pools": [
            {"name": "a", "resources": {"memory": {"reservation": 1024}}},
            {"name": "b", "parent": "a", "demand": {"nvidia.com/gpu": 1}}]}"#,
    );
    let pools = answer["pools"].as_object().unwrap();
    assert_eq!(pools.keys().collect::<Vec<_>>(), ["a", "b"]);
    for pool in pools.values() {
        assert_eq!(pool.as_object().unwrap().keys().collect::<Vec<_>>(), ["cpu", "memory", "nvidia.com/gpu"]);
    }
    assert_eq!(answer["pools"]["b"]["cpu"]["entitlement"], 4000);
    assert_eq!(answer["pools"]["b"]["cpu"]["cappedBy"], "requirement");
    assert_eq!(answer["pools"]["b"]["nvidia.com/gpu"]["cappedBy"], "parent");
    assert_eq!(
        answer["conditions"],
        serde_json::json!([{ "type": "OverReserved", "resource": "memory", "reserved": 1024, "available": 0 }])
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let sku = format!("{SKU_PREFIX}H100");
    let file = r#"{"capacity": {"cpu": 10, "SKU": 8}, "pools": [
        {"name": "listed", "parent": null, "resources": {"SKU": {"limit": null}}},
        {"name": "unlisted"}]}"#;
    let answer = json(&file.replace("SKU", &sku));
    let of = |pool: &str, key: &str| answer["pools"][pool][&sku][key].clone();
    assert_eq!([of("listed", "share"), of("listed", "entitlement")], [1, 8]);
    assert_eq!([of("unlisted", "share"), of("unlisted", "entitlement")], [0, 0]);
    assert_eq!(of("listed", "kind"), "Elastic");
    assert_eq!(answer["pools"]["unlisted"]["cpu"]["entitlement"], 5);
}

#[test]
fn the_largest_numbers_are_divided_exactly() {
    let answer = json(
        r#"{"capacity": {"cpu": 9223372036854775807}, "pools": [
            {"name": "a", "resources": {"cpu": {"reservation": 9223372036854775807}}, "demand": {"cpu": 9223372036854775807}},
            {"name": "b", "resources": {"cpu": {"reservation": 9223372036854775807}}, "demand": {"cpu": 9223372036854775807}}]}"#,
    );
    assert_eq!(answer["pools"]["a"]["cpu"]["entitlement"], 4_611_686_018_427_387_904_i64);
    assert_eq!(answer["pools"]["b"]["cpu"]["entitlement"], 4_611_686_018_427_387_903_i64);
    assert_eq!(answer["conditions"][0]["type"], "OverReserved");
    assert_eq!(answer["conditions"][1]["lambda"], "1/2");
}

#[test]
fn colours_change_nothing_but_colour() {
    let (cluster, entitlements) = computed(blocks("json")[0].0);
    let coloured = draw(&cluster, &entitlements, Paint::Coloured);
    assert!(coloured.contains("\x1b["));
    let mut plain = String::new();
    let mut parts = coloured.split("\x1b[");
    plain.push_str(parts.next().unwrap());
    parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
    assert_eq!(plain, draw(&cluster, &entitlements, Paint::Plain));
}

/// A document with these pools.
fn with(pools: &str) -> String {
    format!(r#"{{"capacity": {{"cpu": 1}}, "pools": [{pools}]}}"#)
}

#[test]
fn a_tree_that_cannot_be_one_is_refused_at_its_cause() {
    let cases = [
        (
            r#"{"name": "aa", "parent": "b"}, {"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}"#,
            r#"pools[1].parent: is "b", which leads back to "a"; put one of them under another pool"#,
        ),
        (
            r#"{"name": "a", "parent": "a"}"#,
            r#"pools[0].parent: is "a", which leads back to "a"; put one of them under another pool"#,
        ),
        (
            r#"{"name": "a", "parent": "b"}, {"name": "b", "parent": "nowhere"}"#,
            r#"pools[1].parent: is "nowhere", which is no pool of this file; add it or name another"#,
        ),
        (
            r#"{"name": "a"}, {"name": "b"}, {"name": "a"}"#,
            r#"pools[2].name: is "a", as is that of pools[0]; give each its own"#,
        ),
        (
            r#"{"name": "a"}, {"name": "b", "resources": {"cpu": {"reservation": 4, "limit": 3}}}"#,
            r#"pools[1].resources["cpu"].limit: is 3, below the reservation 4; raise the limit or lower the reservation"#,
        ),
        (
            r#"{"name": "a", "usage": {"cpu": 1}}, {"name": "b", "parent": "a"}"#,
            r#"pools[0].usage["cpu"]: is 1, but "a" has children and only leaves hold pods; give it to one of them"#,
        ),
        (
            r#"{"name": "a", "demand": {"cpu": 2}}, {"name": "b", "parent": "a"}"#,
            r#"pools[0].demand["cpu"]: is 2, but "a" has children and only leaves hold pods; give it to one of them"#,
        ),
        (
            r#"{"name": "a", "usage": {"cpu": 1}, "nonPreemptibleUsage": {"cpu": 2}}"#,
            r#"pools[0].nonPreemptibleUsage["cpu"]: is 2, a part of the usage, which is 1; raise the usage"#,
        ),
    ];
    for (pools, sentence) in cases {
        assert_eq!(complaint(&with(pools)), sentence);
    }
}

#[test]
fn a_number_that_is_not_whole_or_below_zero_or_too_large_is_refused() {
    let amount = "give a whole number from 0 to 9223372036854775807, in the resource's base unit";
    for (written, shown) in [
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("1e3", "1000.0"),
        (r#""4Gi""#, r#""4Gi""#),
        ("true", "true"),
        ("9223372036854775808", "9223372036854775808"),
        ("[1]", "a list"),
    ] {
        let capacity = format!(r#"{{"capacity": {{"cpu": {written}}}, "pools": []}}"#);
        assert_eq!(complaint(&capacity), format!(r#"capacity["cpu"]: is {shown}; {amount}"#));
        let reservation = with(&format!(r#"{{"name": "a", "resources": {{"cpu": {{"reservation": {written}}}}}}}"#));
        let sentence = format!(r#"pools[0].resources["cpu"].reservation: is {shown}; {amount}"#);
        assert_eq!(complaint(&reservation), sentence);
    }
    assert_eq!(
        complaint(&with(r#"{"name": "a", "resources": {"cpu": {"share": -1}}}"#)),
        r#"pools[0].resources["cpu"].share: is -1; give a whole number from 0 to 4294967295, where 0 never borrows"#
    );
}

#[test]
fn what_stands_twice_is_refused_wherever_it_matters() {
    let cases = [
        (r#"{"capacity": {"cpu": 1, "cpu": 2}, "pools": []}"#.to_owned(), r#"capacity["cpu"]"#),
        (r#"{"capacity": {}, "pools": [], "pools": []}"#.to_owned(), "pools"),
        (with(r#"{"name": "a", "name": "b"}"#), "pools[0].name"),
        (with(r#"{"name": "a", "resources": {"cpu": {}, "cpu": {}}}"#), r#"pools[0].resources["cpu"]"#),
        (with(r#"{"name": "a", "demand": {"cpu": 1, "cpu": 1}}"#), r#"pools[0].demand["cpu"]"#),
        (
            with(r#"{"name": "a", "resources": {"cpu": {"limit": 1, "limit": 2}}}"#),
            r#"pools[0].resources["cpu"].limit"#,
        ),
    ];
    for (document, field) in cases {
        assert_eq!(complaint(&document), format!("{field}: stands twice; keep one of them"));
    }
}

#[test]
fn a_field_that_is_unknown_missing_or_of_another_kind_is_named() {
    let cases = [
        (
            with(r#"{"name": "a", "weight": 1}"#),
            "pools[0].weight: is no known field; there are name, parent, resources, usage, nonPreemptibleUsage, demand",
        ),
        (
            with(r#"{"name": "a", "resources": {"cpu": {"weight": 1}}}"#),
            r#"pools[0].resources["cpu"].weight: is no known field; there are reservation, limit, share, kind"#,
        ),
        (
            with(r#"{"name": "a", "resources": {"cpu": {"kind": "ELASTIC"}}}"#),
            r#"pools[0].resources["cpu"].kind: is "ELASTIC"; give "Elastic" or "Static""#,
        ),
        (
            with(r#"{"name": "a", "resources": {"": {}}}"#),
            r#"pools[0].resources[""]: is a resource without a name; give it one"#,
        ),
        (with(r#"{"name": ""}"#), "pools[0].name: is empty; a pool needs a name"),
        (with("{}"), "pools[0].name: is missing; add it"),
        (with("7"), "pools[0]: is 7; give an object"),
        (r#"{"pools": []}"#.to_owned(), "capacity: is missing; add it"),
        (r#"{"capacity": {}}"#.to_owned(), "pools: is missing; add it"),
        (r#"{"capacity": {}, "pools": {}}"#.to_owned(), "pools: is an object; give a list of pools"),
        (
            r#"{"capacity": [], "pools": []}"#.to_owned(),
            "capacity: is a list; give an object with a key for each resource",
        ),
        ("[]".to_owned(), "the file: is a list; give an object"),
        ("{".to_owned(), "the file: is not one JSON document: EOF while parsing an object at line 1 column 1"),
        ("{} {}".to_owned(), "the file: is not one JSON document: trailing characters at line 1 column 4"),
    ];
    for (document, sentence) in cases {
        assert_eq!(complaint(&document), sentence);
    }
}
