//! `weir entitlement` as a program: its exit status, and what goes to stdout and stderr.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn weir(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let file = r#"{"capacity": {"cpu": 10}, "pools": [{"name": "a", "demand": {"cpu": 4}}]}"#;
    let output = weir(&["entitlement", "--tree", "-", "-o", "json"], file);
    assert_eq!(output.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["pools"]["a"]["cpu"]["entitlement"], 10);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_pipe_gets_a_tree_without_colours() {
    let file = r#"{"capacity": {"nvidia.com/gpu": 10}, "pools": [{"name": "research"}]}"#;
    let output = weir(&["entitlement", "--tree", "-"], file);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("└ research      ░░░"));
    assert!(!text(&output.stdout).contains('\u{1b}'));
}

#[test]
fn a_bad_file_ends_with_2_and_one_sentence_on_stderr() {
    let broken = r#"{"capacity": {"cpu": 10}, "pools": [{"name": "a", "usage": {"cpu": -4}}]}"#;
    let output = weir(&["entitlement", "--tree", "-", "-o", "json"], broken);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(text(&output.stderr).lines().count(), 1);
    assert!(text(&output.stderr).starts_with(r#"weir entitlement: pools[0].usage["cpu"]: is -4; "#));
}

#[test]
fn a_file_that_is_not_there_ends_with_2_and_its_name() {
    let output = weir(&["entitlement", "--tree", "no/such/file.json"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("weir entitlement: --tree no/such/file.json: "));
}

#[test]
fn help_shows_a_file_that_works() {
    let help = weir(&["entitlement", "--help"], "");
    let page = text(&help.stdout);
    let example = &page[page.find("  {\n").unwrap()..page.find("\n  }\n").unwrap() + 5];
    let output = weir(&["entitlement", "--tree", "-"], example);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}
