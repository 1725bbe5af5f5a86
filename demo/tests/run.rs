//! `weir-demo` from outside: what it prints, how it exits, and that nothing stays behind.
//!
//! Each test has a folder for temporary files of its own, which is where clusters live. Clusters are started
//! one after the other: each takes 280 MB.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    // Another test that failed is no reason to fail here.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("run-").tempdir().unwrap()
}

fn weir_demo(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-demo"));
    command.args(arguments).env("TMPDIR", folder.path()).stdin(Stdio::null());
    command
}

fn to_its_end(folder: &TempDir, arguments: &[&str]) -> Output {
    weir_demo(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A run that is replaying, and everything that was started for it: what works in its folder, and its shells.
fn replaying(folder: &TempDir) -> (Child, Vec<OwnedFd>) {
    let mut run = weir_demo(folder, &["--nodes", "20", "--pods", "400"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("replaying")), "the run ended before it began");
    let mine = format!("PPid:\t{}", run.id());
    let started = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        let works_here = std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder.path()));
        let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
        works_here || status.lines().any(|line| line == mine)
    });
    let pids = started.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?));
    let processes: Vec<_> = pids.map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap()).collect();
    // etcd, API server, controller manager, kwok, scheduler, sidecar; anchor and warden
    assert_eq!(processes.len(), 8);
    (run, processes)
}

/// Waits until every process has ended; the kernel says when.
fn await_end(processes: &[OwnedFd]) {
    for process in processes {
        poll(&mut [PollFd::new(process, PollFlags::IN)], None).unwrap();
    }
}

fn signal(run: &Child, signal: Signal) {
    kill_process(Pid::from_child(run), signal).unwrap();
}

/// The modules that `make plugins` packed, and one more that no profile names, with its settings beside it. It is one
/// of the others under a name of its own.
fn modules_and_one_more() -> TempDir {
    let (built, folder) =
        (Path::new(env!("CARGO_BIN_EXE_weir-demo")).ancestors().nth(2).unwrap().join("plugins/packed"), folder());
    for module in entries(&built).into_iter().filter(|module| module.ends_with(".wasm")) {
        std::fs::copy(built.join(&module), folder.path().join(module)).unwrap();
    }
    std::fs::copy(built.join("gpu-filter.wasm"), folder.path().join("begun-just-now.wasm")).unwrap();
    let entry = "name: BegunJustNow\nargs:\n  guestURL: file://${WEIR_PLUGINS}/begun-just-now.wasm\n";
    std::fs::write(folder.path().join("begun-just-now.yaml"), entry).unwrap();
    folder
}

/// The numbers in a text, in their order.
fn numbers(text: &str) -> Vec<i64> {
    let digits = text.replace(',', "");
    digits.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// What the lines and the chart say of the three acts, of which each came to its end.
fn tells_the_story(stdout: &str, chart: &str) {
    assert!(!stdout.contains("cut short"), "{stdout}");
    let said = |words: &str| {
        let line =
            stdout.lines().find_map(|line| line.split_once(words)).unwrap_or_else(|| panic!("{words}: {stdout}"));
        line.1
    };
    let filled = said("act 1: research fills the cluster: ");
    assert!(filled.ends_with("; production borrows nothing"), "{filled}");
    let [before, after, _, _, beyond] = numbers(filled)[..] else { panic!("{filled}") };
    assert!(before < after && after >= 80 && beyond > 0, "{filled}");

    let returned = said("act 2: production returns: vision-production uses ");
    let (own, research) = returned.split_once("; research brought back: ").unwrap();
    let [before, after, ..] = numbers(own)[..] else { panic!("{own}") };
    assert!(before < after, "{returned}");
    // Room that opens meanwhile is taken again, so only the evicted pods tell what was given back.
    let went = |giver: &str| matches!(numbers(giver)[..], [_, _, _, pods] if pods > 0);
    assert!(research.split_inclusive(" evicted").all(went), "{returned}");
    let why = said("(Reclaimed), the last because pool ");
    // Research pools bring each other back, too, so the last may have gone for either.
    let (over, to) = why.split_once("; the room goes to pod default/").unwrap_or_else(|| panic!("{why}"));
    let beyond = numbers(over).chunks(2).all(|pair| matches!(pair, [used, entitled] if used > entitled));
    let claimant = to.ends_with("of pool \"vision-production\"") || to.ends_with("-research\"");
    assert!(beyond && claimant, "{why}");

    let drained = said("act 3: a node is drained: openb-node-");
    let [_, pods, before, after] = numbers(drained)[..] else { panic!("{drained}") };
    assert_eq!((pods > 0, before - after), (true, 8), "{drained}");
    assert_eq!(chart.matches("<path class=\"act\"").count(), 3);
}

#[test]
fn a_small_run_accounts_for_every_pod() {
    let (_turn, folder, plugins) = (one_at_a_time(), folder(), modules_and_one_more());
    let (chart, plugins) = (plugins.path().join("run.svg"), plugins.path().to_str().unwrap());
    let chart = chart.to_str().unwrap();
    let arguments = ["--nodes", "60", "--pods", "200", "--plugins", plugins, "--chart", chart];
    let ended = to_its_end(&folder, &arguments);
    assert!(ended.status.success(), "{}\n{}", text(&ended.stdout), text(&ended.stderr));
    let stdout = text(&ended.stdout);
    let result: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let number = |pointer: &str| result.pointer(pointer).and_then(Value::as_u64).unwrap();
    assert_eq!((number("/nodes"), number("/pods"), number("/violations")), (60, 200, 0));
    assert_eq!(number("/bound/cpu") + number("/bound/gpu") + number("/refused"), 200);
    let digest = result["plugins"]["GPUFilter"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert!(number("/plugins/GPUFilter/calls") >= 200);
    assert_eq!(entries(folder.path()), [""; 0]);
    // a module that no profile names is taken along
    assert!(number("/plugins/BegunJustNow/calls") >= 200, "{result}");
    tells_the_story(stdout, &std::fs::read_to_string(chart).unwrap());
    // every pod asked for admission, and all but the refused ones were admitted to one of the six pools; so were
    // those of the story
    let admitted = |pool: &str| -> u64 {
        let row = stdout.lines().find(|line| line.trim_start().starts_with(&format!("{pool} "))).unwrap();
        row.split_ascii_whitespace().last().unwrap().parse().unwrap()
    };
    let pools = ["vision-production", "vision-research", "speech-production", "speech-research"];
    let all: u64 = pools.into_iter().chain(["ranking-production", "ranking-research"]).map(admitted).sum();
    assert!(all > number("/bound/cpu") + number("/bound/gpu"), "{all} of {result}");
    // special hardware stayed free of those that do not name it
    assert!(stdout.lines().any(|line| line.contains(" special: ") && line.contains(", 0 by others, ")), "{stdout}");
}

#[test]
fn of_two_ray_jobs_one_waits_as_a_whole_and_one_runs_and_goes_as_a_whole() {
    let (_turn, folder, chart) = (one_at_a_time(), folder(), folder());
    let chart = chart.path().join("run.svg");
    let ended = to_its_end(&folder, &["--nodes", "60", "--pods", "50", "--ray", "--chart", chart.to_str().unwrap()]);
    let stdout = text(&ended.stdout);
    assert!(ended.status.success(), "{stdout}\n{}", text(&ended.stderr));
    // An act's number stands before what it came to in the end.
    let said = |words: &str| stdout.lines().find_map(|line| line.split_once(words)).map(|said| said.1);
    // for quota or, where pods of the trace ended meanwhile, for whole hosts
    let waits = |said: &str| said.starts_with("all or none, 3 of 3 pods wait (Waiting") && said.ends_with(" and 0 run");
    let runs = said("act 1: a RayJob runs: RayJob nightly: ");
    assert_eq!(runs, Some("3 of the 3 pods of its cluster run, its head among them"), "{stdout}");
    assert!(said("act 3: a RayJob waits as a whole: RayJob sweep: ").is_some_and(waits), "{stdout}");
    let went = said("act 5: a RayJob is preempted as a whole: RayJob nightly: 3 pods were evicted, head and workers; ");
    let again = went.and_then(|went| went.strip_prefix("KubeRay made them again: "));
    assert!(again.is_some_and(waits), "{stdout}");
    // What operators make is in no sum.
    let result: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&result["pods"], &result["violations"]), (&Value::from(50), &Value::from(0)));
}

#[test]
fn pods_without_room_are_refused_with_the_reason_and_that_is_no_failure() {
    let (_turn, folder) = (one_at_a_time(), folder());
    let pods = folder.path().join("pods.csv");
    // one pod that fits the trace's largest host, and one that fits none
    std::fs::write(&pods, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\nfits,1000,1024,0,0\nhuge,999000,1024,0,0\n")
        .unwrap();
    let arguments =
        ["--nodes", "20", "--pods", "2", "-o", "json", "--trace-only", "--pod-list", pods.to_str().unwrap()];
    let ended = to_its_end(&folder, &arguments);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    // With -o json the document is all there is.
    let result: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&result["bound"]["cpu"], &result["refused"]), (&Value::from(1), &Value::from(1)));
    // A pod that no host would take even when it is empty is not admitted, to stand in no other pod's way.
    let said = text(&ended.stderr);
    let after = said.lines().skip_while(|line| !line.starts_with("not admitted")).nth(1);
    assert_eq!(after.map(|row| row.split_ascii_whitespace().next()), Some(Some("1")), "{said}");
}

#[test]
fn a_run_that_is_told_to_stop_leaves_nothing_behind() {
    let (_turn, folder) = (one_at_a_time(), folder());
    let (mut run, processes) = replaying(&folder);
    signal(&run, Signal::TERM);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    await_end(&processes);
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn a_run_that_is_killed_leaves_nothing_behind() {
    let (_turn, folder) = (one_at_a_time(), folder());
    let (mut run, processes) = replaying(&folder);
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    await_end(&processes);
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn a_module_that_is_not_there_is_named_and_nothing_is_left() {
    let (_turn, folder, nothing) = (one_at_a_time(), folder(), folder());
    let ended = to_its_end(&folder, &["--nodes", "2", "--pods", "2", "--plugins", nothing.path().to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(1));
    let said = text(&ended.stderr);
    // kube-scheduler makes its plugins in no order, so any of the modules may be the first that is missed.
    let missing = format!("file://{}/", nothing.path().display());
    assert!(said.contains("weir-demo: start weir-scheduler: ") && said.contains(&missing), "{said}");
    assert!(said.contains(".wasm: no such file or directory"), "{said}");
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn a_malformed_line_of_a_trace_is_named_before_anything_starts() {
    let folder = folder();
    let pods = folder.path().join("pods.csv");
    std::fs::write(&pods, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,0,0\nb,many,1,0,0\n").unwrap();
    let ended = to_its_end(&folder, &["--pods", "1", "--pod-list", pods.to_str().unwrap()]);
    assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(2), ""));
    let said = format!(
        "weir-demo: {}: line 3, column \"cpu_milli\": \"many\" is not a whole number of 0 or more\n",
        pods.display()
    );
    assert_eq!(text(&ended.stderr), said);
}
