use weir_model::Amount;

use super::*;
use crate::example;

fn at(seconds: u64) -> At {
    Duration::from_secs(seconds)
}

fn host(name: &str, gpus: i64) -> Event {
    let model = (gpus > 0).then(|| "T4".to_owned());
    let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(32_000));
    Event::NodeSeen(Node { name: name.into(), model, special: false, cordoned: false, gpus, cpu_milli })
}

fn created(key: &str, origin: Origin, gpus: i64) -> Event {
    let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(4_000));
    Event::PodCreated(Pod::plain(key, origin, gpus, cpu_milli))
}

fn of_trace(key: &str, gpus: i64) -> Event {
    created(key, Origin::Trace(key.into()), gpus)
}

fn bound(pod: &str, node: &str) -> Event {
    Event::PodBound { pod: pod.into(), node: node.into() }
}

fn refused(pod: &str) -> Event {
    let message = "0/2 nodes are available: 2 Insufficient cpu.".into();
    Event::PodUnschedulable { pod: pod.into(), message }
}

fn told(events: impl IntoIterator<Item = Event>) -> RunState {
    let mut run = RunState::new();
    for event in [host("c1", 0), host("g1", 8), Event::ReplayStarted].into_iter().chain(events) {
        run.tell(at(1), event);
    }
    run
}

#[test]
fn each_pod_of_the_trace_counts_once_even_when_it_is_recreated() {
    let run = told([
        of_trace("a", 1),
        bound("a", "g1"),
        Event::PodDeleted { pod: "a".into() },
        created("a-again", Origin::Trace("a".into()), 1),
        of_trace("b", 0),
    ]);
    let counts = run.counts();
    assert_eq!((counts.created, counts.bound_gpu, counts.bound_cpu, counts.never_bound()), (2, 1, 0, 1));
    assert_eq!((counts.waiting, counts.running), (2, 0), "the recreated one waits, and was still bound once");
}

#[test]
fn pods_that_the_demonstration_adds_take_room_and_are_in_no_sum() {
    let run = told([created("extra", Origin::Added, 2), bound("extra", "g1")]);
    let counts = run.counts();
    assert_eq!((counts.created, counts.bound(), counts.running), (0, 0, 1));
    assert_eq!(run.levels().gpu.used, Amount::new(2));
}

#[test]
fn a_relist_that_tells_everything_again_changes_nothing() {
    let events = || {
        [
            host("g1", 8),
            of_trace("a", 1),
            bound("a", "g1"),
            of_trace("b", 0),
            refused("b"),
            of_trace("c", 1),
            bound("c", "g1"),
            Event::PodFinished { pod: "c".into() },
        ]
    };
    let (once, twice) = (told(events()), told(events().into_iter().chain(events())));
    assert_eq!(once.counts(), twice.counts());
    assert_eq!(once.levels(), twice.levels());
    assert_eq!(once.refusals(), twice.refusals());
    assert!(once.feed().lines().eq(twice.feed().lines()));
}

#[test]
fn what_is_said_of_an_unknown_pod_is_dropped() {
    let run = told([
        bound("ghost", "g1"),
        refused("ghost"),
        Event::PodFinished { pod: "ghost".into() },
        Event::PodDeleted { pod: "ghost".into() },
    ]);
    assert_eq!((run.counts(), run.feed().lines().len()), (Counts::default(), 0));
}

#[test]
fn a_pod_that_ended_gives_back_what_it_held_and_one_that_never_ran_what_it_asked_for() {
    let run = told([
        of_trace("ran", 3),
        bound("ran", "g1"),
        Event::PodFinished { pod: "ran".into() },
        Event::PodDeleted { pod: "ran".into() },
        of_trace("waited", 0),
        Event::PodDeleted { pod: "waited".into() },
    ]);
    let Levels { gpu, cpu, gpu_host_cpu } = run.levels();
    assert_eq!([gpu, cpu, gpu_host_cpu].map(|level| level.used + level.demand), [Amount::ZERO; 3]);
    assert_eq!(run.counts().finished, 1, "a pod that was deleted while it waited did not finish");
}

#[test]
fn a_pod_that_was_refused_and_then_bound_is_no_longer_refused() {
    let mut run = told([of_trace("a", 0), refused("a")]);
    assert_eq!((run.counts().refused, run.refusals().len()), (1, 1));
    run.tell(at(2), bound("a", "c1"));
    run.tell(at(2), refused("a"));
    assert_eq!((run.counts().refused, run.refusals().len()), (0, 0));
}

#[test]
fn pods_per_second_is_over_the_last_three_seconds_and_falls_to_zero() {
    let mut run = told([]);
    for pod in 0..12 {
        run.tell(at(10), of_trace(&pod.to_string(), 0));
        run.tell(Duration::from_millis(10_000 + pod * 250), bound(&pod.to_string(), "c1"));
    }
    run.advance(at(13));
    assert_eq!(run.rate(), 4.0);
    run.advance(at(20));
    // The peak is the first second, both ends of which had a pod.
    assert_eq!((run.rate(), run.peak_rate()), (0.0, 5.0));
}

#[test]
fn time_never_runs_backwards_and_stands_still_at_the_end() {
    let mut run = told([]);
    run.tell(at(11), Event::Note("late".into()));
    run.tell(at(5), Event::Note("early".into()));
    assert_eq!(run.now(), at(11));
    run.tell(at(21), Event::Ended { why: "done".into() });
    run.tell(at(30), Event::Ended { why: "again".into() });
    assert_eq!((run.replayed(), run.ending(), run.phase()), (at(20), Some("done"), Phase::Ended));
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
    assert_eq!(run.feed().lines().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["building etcd"]);
}

#[test]
fn the_feed_names_the_shortage_not_the_nodes_that_were_never_meant() {
    let message = "0/2 nodes are available: 1 pod asks for GPUs, 1 Insufficient nvidia.com/gpu.".into();
    let run = told([of_trace("a", 1), Event::PodUnschedulable { pod: "a".into(), message }]);
    let last = run.feed().lines().next_back().map(|line| line.text.as_str());
    assert_eq!(last, Some("a waits: Insufficient nvidia.com/gpu"));
}

#[test]
fn a_pod_is_in_the_queue_until_its_gate_goes_and_that_is_told_once() {
    let mut run = example::divided();
    assert_eq!((run.counts().queued, run.counts().waiting), (3, 3));
    for _ in 0..2 {
        run.tell(at(66), Event::PodAdmitted { pod: "large".into() });
    }
    assert_eq!((run.counts().queued, run.counts().waiting), (2, 3), "admitted, and without a node");
    let told: Vec<&str> = run.feed().lines().map(|line| line.text.as_str()).collect();
    assert_eq!(told.iter().filter(|text| text.contains("large admitted")).count(), 1, "{told:?}");
    run.tell(at(67), Event::PodDeleted { pod: "a".into() });
    run.tell(at(67), example::queued("a", "WaitingForGang", None));
    assert_eq!(run.counts().queued, 1, "what is said of a pod that is gone is dropped");
}

#[test]
fn it_is_known_who_waits_in_vain_and_who_ends_by_itself() {
    let mut run = example::divided();
    let gate = Gate { outlook: Outlook::ForGood, ..Gate::default() };
    run.tell(at(66), example::pod("huge", 99, 1));
    run.tell(at(66), Event::PodQueued { pod: "huge".into(), gate });
    let counts = run.counts();
    assert_eq!((counts.queued, counts.unexplained, counts.for_good, counts.incomplete), (4, 1, 1, 2));
    assert_eq!((counts.running, counts.ending), (1, 1));
}

#[test]
fn a_pod_that_had_to_go_and_went_is_counted_with_its_reason_and_has_not_finished() {
    let run = example::acted();
    let [row] = run.evictions().try_into().unwrap();
    let EvictionRow { pool, reason, to, pods, message } = row;
    assert_eq!(
        (pool.as_str(), reason.as_str(), to.as_deref(), pods),
        ("labs-research", "Reclaimed", Some("labs-production"), 1)
    );
    let said = format!("research evicted (Reclaimed): {message}");
    assert!(run.feed().lines().any(|line| line.text == said), "{said}");
    assert!(!run.feed().lines().any(|line| line.text == "research finished"));
    assert_eq!(run.levels().gpu.used, Amount::ZERO);
}

#[test]
fn a_pod_that_was_spared_and_ends_was_not_evicted() {
    let eviction = Eviction { reason: "Reclaimed".into(), message: "why".into() };
    let run = told([
        of_trace("a", 1),
        bound("a", "g1"),
        Event::PodDoomed { pod: "a".into(), eviction: eviction.clone() },
        Event::PodSpared { pod: "a".into() },
        Event::PodFinished { pod: "a".into() },
        of_trace("b", 1),
        bound("b", "g1"),
        Event::PodFinished { pod: "b".into() },
        Event::PodDoomed { pod: "b".into(), eviction },
        Event::PodDeleted { pod: "a".into() },
        Event::PodDeleted { pod: "b".into() },
    ]);
    assert_eq!((run.evictions(), run.counts().finished), (vec![], 2));
}

#[test]
fn an_act_is_told_when_it_begins_and_when_it_is_over() {
    let run = example::acted();
    let steps = run.steps();
    assert_eq!(steps.iter().map(|step| step.began).collect::<Vec<_>>(), [at(71), at(75)]);
    assert_eq!(steps[0].state, StepState::Done);
    assert_eq!(
        steps[0].sentence,
        "labs-production uses 0 → 6 GPUs of its own; research brought back: labs-research 7 → 1 (entitled to 1), 1 pod \
         evicted"
    );
    let told = |text: &str| run.feed().lines().any(|line| line.text == text);
    assert!(told("production returns …") && told("production returns") && told("a node is drained …"));
    assert!(!told("a node is drained"));
}

#[test]
fn a_gang_that_becomes_whole_is_told() {
    let mut run = example::divided();
    run.tell(at(70), example::pod("c", 1, 1));
    run.tell(at(70), example::queued("c", "WaitingForGang", Some(("trio", 3))));
    assert!(run.feed().lines().any(|line| line.text == "gang trio is whole: 3 pods"));
    assert_eq!(run.gangs(), []);
}
