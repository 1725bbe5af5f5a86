use std::time::Duration;

use weir_model::Amount;

use super::evictions::EvictionRow;
use super::setup::{SetupState, SetupStep};
use super::steps::StepState;
use super::{Event, Phase, RunState};
use crate::At;
use crate::cluster_state::levels::Levels;
use crate::cluster_state::pod::{Gate, Origin, Outlook, Pod, PodState};
use crate::cluster_state::{Change, queue};
use crate::example::{self, doomed, ended, gated, gone, host, of_trio, on, pod, waiting};

fn at(seconds: u64) -> At {
    Duration::from_secs(seconds)
}

fn refused(name: &str, gpus: i64) -> Change {
    example::refused("0/2 nodes are available: 2 Insufficient cpu.", pod(name, gpus, 4))
}

fn of_story(name: &str, gpus: i64) -> Pod {
    Pod { origin: Origin::Other, ..pod(name, gpus, 4) }
}

fn told(changes: impl IntoIterator<Item = Change>) -> RunState {
    let mut run = RunState::new();
    let hosts = [host("c1", None, 0, 32), host("g1", Some("T4"), 8, 32)];
    hosts.into_iter().for_each(|host| run.tell(at(1), Event::Cluster(host)));
    run.tell(at(1), Event::ReplayStarted);
    changes.into_iter().for_each(|change| run.tell(at(1), Event::Cluster(change)));
    run
}

fn lines(run: &RunState) -> Vec<&str> {
    run.feed().lines().map(|line| line.text.as_str()).collect()
}

#[test]
fn each_pod_of_the_trace_counts_once_even_when_it_is_recreated() {
    let again = Pod { key: "a-again".into(), ..pod("a", 1, 4) };
    let run =
        told([waiting(pod("a", 1, 4)), on("g1", pod("a", 1, 4)), gone("a"), waiting(again), waiting(pod("b", 0, 4))]);
    let counts = run.counts();
    assert_eq!((counts.created, counts.bound_gpu, counts.bound_cpu, counts.never_bound()), (2, 1, 0, 1));
    assert_eq!((counts.waiting, counts.running), (2, 0), "the recreated one waits, and was still bound once");
}

#[test]
fn pods_that_the_demonstration_adds_take_room_and_are_in_no_sum() {
    let run = told([waiting(of_story("extra", 2)), on("g1", of_story("extra", 2))]);
    let counts = run.counts();
    assert_eq!((counts.created, counts.bound(), counts.running), (0, 0, 1));
    assert_eq!(run.levels().gpu.used, Amount::new(2));
}

#[test]
fn a_relist_that_tells_everything_again_changes_nothing() {
    let changes = || {
        [
            host("g1", Some("T4"), 8, 32),
            on("g1", pod("a", 1, 4)),
            refused("b", 0),
            on("g1", pod("c", 1, 4)),
            ended("g1", pod("c", 1, 4)),
        ]
    };
    let again = [on("g1", pod("a", 1, 4)), refused("b", 0), ended("g1", pod("c", 1, 4))];
    let (once, twice) = (told(changes()), told(changes().into_iter().chain(again)));
    assert_eq!(once.counts(), twice.counts());
    assert_eq!(once.levels(), twice.levels());
    assert_eq!(queue::refusals(once.cluster()), queue::refusals(twice.cluster()));
    assert!(once.feed().lines().eq(twice.feed().lines()));
}

#[test]
fn what_is_said_of_an_unknown_pod_is_dropped() {
    let run = told([gone("ghost")]);
    assert_eq!((run.counts(), lines(&run).len()), (super::counts::Counts::default(), 0));
}

#[test]
fn a_pod_that_ended_gives_back_what_it_held_and_one_that_never_ran_what_it_asked_for() {
    let run = told([
        on("g1", pod("ran", 3, 4)),
        ended("g1", pod("ran", 3, 4)),
        gone("ran"),
        waiting(pod("waited", 0, 4)),
        gone("waited"),
    ]);
    let Levels { gpu, cpu, gpu_host_cpu } = run.levels();
    assert_eq!([gpu, cpu, gpu_host_cpu].map(|level| level.used + level.demand), [Amount::ZERO; 3]);
    assert_eq!(run.counts().finished, 1, "a pod that was deleted while it waited did not finish");
}

#[test]
fn a_pod_that_was_refused_and_then_bound_is_no_longer_refused() {
    let mut run = told([waiting(pod("a", 0, 4)), refused("a", 0)]);
    assert_eq!((run.counts().refused, queue::refusals(run.cluster()).len()), (1, 1));
    let bound = PodState { node: Some("c1".into()), ..state_of(refused("a", 0)) };
    run.tell(at(2), Event::Cluster(Change::Pod(Box::new(bound))));
    assert_eq!((run.counts().refused, queue::refusals(run.cluster()).len()), (0, 0));
}

fn state_of(change: Change) -> PodState {
    match change {
        Change::Pod(pod) => *pod,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pods_per_second_is_over_the_last_three_seconds_and_falls_to_zero() {
    let mut run = told([]);
    for number in 0..12 {
        let pod = pod(&number.to_string(), 0, 4);
        run.tell(at(10), Event::Cluster(waiting(pod.clone())));
        run.tell(Duration::from_millis(10_000 + number * 250), Event::Cluster(on("c1", pod)));
    }
    run.advance(at(13));
    assert_eq!(run.rate().per_second(), 4.0);
    run.advance(at(20));
    // The peak is the first second, both ends of which had a pod.
    assert_eq!((run.rate().per_second(), run.rate().peak()), (0.0, 5.0));
}

#[test]
fn time_never_runs_backwards_and_stands_still_at_the_end() {
    let mut run = told([]);
    run.tell(at(11), Event::Note("late".into()));
    run.tell(at(5), Event::Note("early".into()));
    assert_eq!(run.clock().now(), at(11));
    run.tell(at(21), Event::Ended { why: "done".into() });
    run.tell(at(30), Event::Ended { why: "again".into() });
    let clock = run.clock();
    assert_eq!((clock.replayed(), clock.ending(), clock.phase()), (at(20), Some("done"), Phase::Ended));
}

#[test]
fn a_step_is_one_line_however_often_its_progress_is_told() {
    let mut run = RunState::new();
    let step = |state| Event::SetUp(SetupStep { name: "building etcd".into(), state });
    run.tell(at(0), step(SetupState::Planned));
    for second in 0..5 {
        run.tell(at(second), step(SetupState::Running { elapsed: at(second), expected: None }));
    }
    run.tell(at(5), step(SetupState::Done { took: at(5) }));
    run.tell(at(6), step(SetupState::Done { took: at(5) }));
    assert_eq!((run.setup_steps().len(), &run.setup_steps()[0].state), (1, &SetupState::Done { took: at(5) }));
    assert_eq!(lines(&run), ["building etcd"]);
}

#[test]
fn the_feed_names_the_shortage_not_the_nodes_that_were_never_meant() {
    let message = "0/2 nodes are available: 1 pod asks for GPUs, 1 Insufficient nvidia.com/gpu.";
    let run = told([waiting(pod("a", 1, 4)), example::refused(message, pod("a", 1, 4))]);
    assert_eq!(lines(&run).last(), Some(&"a waits: Insufficient nvidia.com/gpu"));
}

#[test]
fn a_pod_is_in_the_queue_until_its_gate_goes_and_that_is_told_once() {
    let mut run = example::divided();
    assert_eq!((run.counts().queued, run.counts().waiting), (3, 3));
    for _ in 0..2 {
        run.tell(at(66), Event::Cluster(waiting(example::large())));
    }
    assert_eq!((run.counts().queued, run.counts().waiting), (2, 3), "admitted, and without a node");
    let told = lines(&run);
    assert_eq!(told.iter().filter(|text| text.contains("large admitted")).count(), 1, "{told:?}");
    run.tell(at(67), Event::Cluster(gone("a")));
    assert_eq!(run.counts().queued, 1);
}

#[test]
fn it_is_known_who_waits_in_vain_and_who_ends_by_itself() {
    let mut run = example::divided();
    let gate = Some(Gate { outlook: Outlook::ForGood, ..Gate::default() });
    let huge = PodState { gate, ..PodState::new(pod("huge", 99, 1)) };
    run.tell(at(66), Event::Cluster(Change::Pod(Box::new(huge))));
    let counts = run.counts();
    assert_eq!((counts.queued, counts.unexplained, counts.for_good, counts.incomplete), (4, 1, 1, 2));
    assert_eq!((counts.running, counts.ending), (1, 1));
}

#[test]
fn a_pod_that_had_to_go_and_went_is_counted_with_its_reason_and_has_not_finished() {
    let run = example::with_story();
    let [row] = run.totals().evictions().rows().try_into().unwrap();
    let EvictionRow { pool, reason, to, pods, message } = row;
    assert_eq!(
        (pool.as_str(), reason.as_str(), to.as_deref(), pods),
        ("labs-research", "Reclaimed", Some("labs-production"), 1)
    );
    let said = format!("research evicted (Reclaimed): {message}");
    assert!(lines(&run).contains(&said.as_str()), "{said}");
    assert!(!lines(&run).contains(&"research finished"));
    assert_eq!(run.levels().gpu.used, Amount::ZERO);
}

#[test]
fn a_pod_that_was_spared_and_ends_was_not_evicted() {
    let (a, b) = (pod("a", 1, 4), pod("b", 1, 4));
    let doomed_and_ended = PodState { ended: true, ..state_of(doomed("g1", "why", b.clone())) };
    let run = told([
        on("g1", a.clone()),
        doomed("g1", "why", a.clone()),
        on("g1", a.clone()),
        ended("g1", a),
        on("g1", b.clone()),
        ended("g1", b),
        Change::Pod(Box::new(doomed_and_ended)),
        gone("a"),
        gone("b"),
    ]);
    assert_eq!((run.totals().evictions().rows(), run.counts().finished), (vec![], 2));
}

#[test]
fn a_step_of_the_story_is_told_when_it_begins_and_when_it_is_over() {
    let run = example::with_story();
    let steps = run.steps();
    assert_eq!(steps.iter().map(|step| step.began).collect::<Vec<_>>(), [at(71), at(75)]);
    assert_eq!(steps[0].state, StepState::Done);
    assert_eq!(
        steps[0].sentence,
        "labs-production uses 0 → 6 GPUs of its own; research brought back: labs-research 7 → 1 (entitled to 1), 1 pod \
         evicted"
    );
    let told = |text: &str| lines(&run).contains(&text);
    assert!(told("production returns …") && told("production returns") && told("a node is drained …"));
    assert!(!told("a node is drained"));
}

#[test]
fn a_gang_that_becomes_whole_is_told() {
    let mut run = example::divided();
    run.tell(at(70), Event::Cluster(gated("WaitingForGang", of_trio("c"))));
    assert!(lines(&run).contains(&"gang trio is whole: 3 pods"));
    assert_eq!(queue::gangs(run.cluster()), []);
}
