//! A small run whose numbers can be checked by hand.

use std::time::Duration;

use weir_checker::Violation;
use weir_model::Amount;

use crate::run_state::{
    Event, Eviction, GangOf, Gate, Node, Origin, Outlook, Plan, PluginFigures, Pod, PoolFigures, PoolLevel, RunState,
    SetupState, SetupStep, Step, StepState,
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn node(name: &str, model: Option<&str>, gpus: i64, cores: i64) -> Event {
    let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(cores * 1000));
    let model: Option<String> = model.map(Into::into);
    let special = model.as_deref() == Some("G3");
    Event::NodeSeen(Node { name: name.into(), model, special, cordoned: false, gpus, cpu_milli })
}

pub(crate) fn pod(name: &str, gpus: i64, cores: i64) -> Event {
    let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(cores * 1000));
    Event::PodCreated(Pod::plain(name, Origin::Trace(name.into()), gpus, cpu_milli))
}

pub(crate) fn bound(pod: &str, node: &str) -> Event {
    Event::PodBound { pod: pod.into(), node: node.into() }
}

/// ```text
/// c1: 32 cores   web 8 cores        2 s – the end
/// g1: 8 T4       train 6 GPUs       2 s – 12 s;  small 1 GPU  3 s – the end
///                large 8 GPUs       never placed
/// ```
/// The replay lasts from 1 s to 21 s.
pub(crate) fn run() -> RunState {
    let mut run = RunState::new();
    let plan =
        Plan { title: "two hosts <small> & four pods".into(), nodes: 2, pods: 4, rounded_up: 1, pace: String::new() };
    let message = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 pod asks for GPUs, node has none.";
    let digest = "sha256:0123456789abcdef0123".to_owned();
    for (second, event) in [
        (0, Event::Planned(plan)),
        (0, Event::SetUp(SetupStep { name: "building etcd".into(), state: SetupState::Done { took: at(1) } })),
        (1, node("c1", None, 0, 32)),
        (1, node("g1", Some("T4"), 8, 64)),
        (1, Event::ReplayStarted),
        (2, pod("web", 0, 8)),
        (2, pod("train", 6, 48)),
        (2, bound("web", "c1")),
        (2, bound("train", "g1")),
        (3, pod("small", 1, 6)),
        (3, pod("large", 8, 16)),
        (3, bound("small", "g1")),
        (3, Event::PodUnschedulable { pod: "large".into(), message: message.into() }),
        (12, Event::PodFinished { pod: "train".into() }),
        (20, Event::Plugin(PluginFigures { name: "GPUFilter".into(), digest, calls: 8 })),
        (
            20,
            Event::Violated(Violation {
                invariant: "D1",
                pod: "default/web".into(),
                node: "g1".into(),
                sentence: "asks for no GPU, but this is a GPU host".into(),
            }),
        ),
        (21, Event::Ended { why: "all pods of the trace had their turn".into() }),
    ] {
        run.tell(at(second), event);
    }
    run
}

/// What a pool is entitled to, uses, asks for and borrows of GPUs; it reserves what it does not borrow.
pub(crate) fn pool(name: &str, parent: Option<&str>, [entitlement, usage, demand, borrowed]: [i64; 4]) -> Event {
    let [entitlement, usage, demand, borrowed] = [entitlement, usage, demand, borrowed].map(Amount::new);
    let gpus = PoolLevel { reserved: entitlement.minus(borrowed), entitlement, usage, demand, borrowed };
    let resources = [("nvidia.com/gpu".to_owned(), gpus)].into();
    Event::PoolSeen(PoolFigures { name: name.into(), parent: parent.map(Into::into), resources })
}

pub(crate) fn queued(pod: &str, reason: &str, gang: Option<(&str, usize)>) -> Event {
    let gang = gang.map(|(name, size)| GangOf { name: name.into(), size });
    let outlook = if gang.is_some() { Outlook::Incomplete } else { Outlook::MayPass };
    Event::PodQueued {
        pod: pod.into(),
        gate: Gate { reason: Some(reason.into()), outlook, gang, pool: Some("labs-research".into()) },
    }
}

/// [`run`]'s cluster divided, in the middle of the run:
///
/// ```text
/// labs            uses 7 of 8, 2 of them borrowed
/// ├ research      train 6 GPUs, small 1 GPU; large waits for quota
/// └ production    a gang of 3 of which 2 are there
/// ```
pub(crate) fn divided() -> RunState {
    let mut run = RunState::new();
    for (second, event) in [
        (0, Event::Planned(Plan { title: "divided".into(), nodes: 1, pods: 5, rounded_up: 0, pace: String::new() })),
        (1, node("g1", Some("T4"), 8, 64)),
        (1, Event::ReplayStarted),
        (1, pool("labs", None, [8, 7, 10, 0])),
        (1, pool("labs-research", Some("labs"), [7, 7, 8, 2])),
        (1, pool("labs-production", Some("labs"), [1, 0, 2, 0])),
        (2, pod("train", 6, 48)),
        (2, queued("train", "WaitingForQuota", None)),
        (2, Event::PodAdmitted { pod: "train".into() }),
        (2, bound("train", "g1")),
        (3, pod("large", 8, 16)),
        (3, queued("large", "WaitingForQuota", None)),
        (4, pod("a", 1, 1)),
        (4, queued("a", "WaitingForGang", Some(("trio", 3)))),
        (5, pod("b", 1, 1)),
        (5, queued("b", "WaitingForGang", Some(("trio", 3)))),
    ] {
        run.tell(at(second), event);
    }
    run.advance(at(65));
    run
}

/// [`divided`], and then the story: research, which has seven GPUs, gives `train` back for `labs-production`, and
/// the host is cordoned.
pub(crate) fn acted() -> RunState {
    let mut run = divided();
    let returned = || Step::Return { pool: "labs-production".into() };
    let drained = || Step::Drain { node: "g1".into() };
    let message = "pool \"labs-research\" uses 7 nvidia.com/gpu and is entitled to 1; the room goes to pod default/a of \
                   pool \"labs-production\"";
    let Event::PodCreated(research) = pod("research", 6, 6) else { return run };
    let research = Pod { origin: Origin::Added, pool: Some("labs-research".into()), preemptible: true, ..research };
    let research = Event::PodCreated(research);
    let eviction = Eviction { reason: "Reclaimed".into(), message: message.into() };
    for (second, event) in [
        (70, Event::PodFinished { pod: "train".into() }),
        (70, research),
        (70, bound("research", "g1")),
        (71, Event::Step { step: returned(), state: StepState::Playing }),
        (72, Event::PodDoomed { pod: "research".into(), eviction }),
        (73, Event::PodDeleted { pod: "research".into() }),
        (73, pool("labs-research", Some("labs"), [1, 1, 14, 0])),
        (73, pool("labs-production", Some("labs"), [7, 6, 0, 0])),
        (74, Event::Step { step: returned(), state: StepState::Done }),
        (75, Event::Step { step: drained(), state: StepState::Playing }),
        (76, Event::Ended { why: "over".into() }),
    ] {
        run.tell(at(second), event);
    }
    run
}
