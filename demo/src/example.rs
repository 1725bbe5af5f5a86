//! A small run whose numbers can be checked by hand, and builders for others in tests.

use weir_checker::Violation;
use weir_model::Amount;

use crate::At;
use crate::cluster_state::eviction::Eviction;
use crate::cluster_state::levels::Levels;
use crate::cluster_state::node::NodeState;
use crate::cluster_state::pod::{GangOf, Gate, Origin, Outlook, Pod, PodState};
use crate::cluster_state::pool::{PoolLevel, PoolState};
use crate::cluster_state::refusal::Refusal;
use crate::cluster_state::{Change, ClusterState};
use crate::run_state::event::{Plan, PluginFigures};
use crate::run_state::setup::{SetupState, SetupStep};
use crate::run_state::steps::{Step, StepState};
use crate::run_state::{Event, RunState};
use crate::scenario::role::Role;

/// A time, where it does not matter.
pub(crate) const NOW: At = At::ZERO;

fn at(seconds: u64) -> At {
    At::from_secs(seconds)
}

/// A node with these GPUs and cores; the model `G3` is special.
pub(crate) fn host(name: &str, model: Option<&str>, gpus: i64, cores: i64) -> Change {
    let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(cores * 1000));
    let model: Option<String> = model.map(Into::into);
    let special = model.as_deref() == Some("G3");
    Change::Node(NodeState { name: name.into(), model, special, cordoned: false, gpus, cpu_milli })
}

/// A pod of the trace that asks for these GPUs and cores.
pub(crate) fn pod(name: &str, gpus: i64, cores: i64) -> Pod {
    Pod::plain(name, Origin::Trace, Amount::new(gpus), Amount::new(cores * 1000))
}

fn told(state: PodState) -> Change {
    Change::Pod(Box::new(state))
}

/// The pod exists, is admitted and has no node.
pub(crate) fn waiting(pod: Pod) -> Change {
    told(PodState::new(pod))
}

/// The pod is bound to a node.
pub(crate) fn on(node: &str, pod: Pod) -> Change {
    told(PodState { node: Some(node.into()), ..PodState::new(pod) })
}

/// The pod has run to its end on a node.
pub(crate) fn ended(node: &str, pod: Pod) -> Change {
    told(PodState { node: Some(node.into()), ended: true, ..PodState::new(pod) })
}

/// The pod waits for admission for a reason; a member of a gang for the rest of it.
pub(crate) fn gated(reason: &str, pod: Pod) -> Change {
    let outlook = if pod.gang.is_some() { Outlook::Incomplete } else { Outlook::MayPass };
    told(PodState { gate: Some(Gate { reason: Some(reason.into()), outlook }), ..PodState::new(pod) })
}

/// The pod waits for admission, and the sidecar has not looked at it.
pub(crate) fn looked_at_by_nobody(pod: Pod) -> Change {
    told(PodState { gate: Some(Gate::default()), ..PodState::new(pod) })
}

/// The scheduler found no node for the pod.
pub(crate) fn refused(message: &str, pod: Pod) -> Change {
    told(PodState { refusal: Some(Refusal::parse(message)), ..PodState::new(pod) })
}

/// The pod on a node has to go.
pub(crate) fn doomed(node: &str, message: &str, pod: Pod) -> Change {
    let eviction = Some(Eviction { reason: "Reclaimed".into(), message: message.into() });
    told(PodState { node: Some(node.into()), eviction, ..PodState::new(pod) })
}

/// The pod is gone.
pub(crate) fn gone(key: &str) -> Change {
    Change::PodGone(key.into())
}

/// What a pool is entitled to, uses, asks for and borrows of GPUs; it reserves what it does not borrow.
pub(crate) fn pool(name: &str, parent: Option<&str>, [entitlement, usage, demand, borrowed]: [i64; 4]) -> Change {
    let [entitlement, usage, demand, borrowed] = [entitlement, usage, demand, borrowed].map(Amount::new);
    let gpus = PoolLevel { reserved: entitlement.minus(borrowed), entitlement, usage, demand, borrowed };
    let resources = [("nvidia.com/gpu".to_owned(), gpus)].into();
    Change::Pool(PoolState { name: name.into(), parent: parent.map(Into::into), resources })
}

/// A cluster that was told this.
pub(crate) fn seen(changes: impl IntoIterator<Item = Change>) -> ClusterState {
    let mut cluster = ClusterState::default();
    changes.into_iter().for_each(|change| drop(cluster.apply(NOW, change)));
    cluster
}

/// How full a cluster is that was told this.
pub(crate) fn levels(changes: impl IntoIterator<Item = Change>) -> Levels {
    Levels::of(&seen(changes))
}

fn told_in_order(run: &mut RunState, events: impl IntoIterator<Item = (u64, Event)>) {
    events.into_iter().for_each(|(second, event)| run.tell(at(second), event));
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
    let (web, train, small, large) = (pod("web", 0, 8), pod("train", 6, 48), pod("small", 1, 6), pod("large", 8, 16));
    let violation = Violation {
        invariant: "D1",
        pod: "default/web".into(),
        node: "g1".into(),
        sentence: "asks for no GPU, but this is a GPU host".into(),
    };
    let built = SetupStep { name: "building etcd".into(), state: SetupState::Done { took: at(1) } };
    let cluster = |second, change| (second, Event::Cluster(change));
    let events = [
        (0, Event::Planned(plan)),
        (0, Event::SetUp(built)),
        cluster(1, host("c1", None, 0, 32)),
        cluster(1, host("g1", Some("T4"), 8, 64)),
        (1, Event::ReplayStarted),
        cluster(2, waiting(web.clone())),
        cluster(2, waiting(train.clone())),
        cluster(2, on("c1", web)),
        cluster(2, on("g1", train.clone())),
        cluster(3, waiting(small.clone())),
        cluster(3, waiting(large.clone())),
        cluster(3, on("g1", small)),
        cluster(3, refused(message, large)),
        cluster(12, ended("g1", train)),
        (20, Event::Plugin(PluginFigures { name: "GPUFilter".into(), digest, calls: 8 })),
        (20, Event::Violated(violation)),
        (21, Event::Ended { why: "all pods of the trace had their turn".into() }),
    ];
    told_in_order(&mut run, events);
    run
}

/// A member of the gang `trio`, which is not whole before `c` comes.
pub(crate) fn of_trio(name: &str) -> Pod {
    Pod { gang: Some(GangOf { name: "trio".into(), size: 3 }), pool: Some("labs-research".into()), ..pod(name, 1, 1) }
}

/// The pod of [`divided`] that waits for quota.
pub(crate) fn large() -> Pod {
    Pod { pool: Some("labs-research".into()), ..pod("large", 8, 16) }
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
    let plan = Plan { title: "divided".into(), nodes: 1, pods: 5, rounded_up: 0, pace: String::new() };
    let train = Pod { pool: Some("labs-research".into()), ..pod("train", 6, 48) };
    let cluster = |second, change| (second, Event::Cluster(change));
    let events = [
        (0, Event::Planned(plan)),
        cluster(1, host("g1", Some("T4"), 8, 64)),
        (1, Event::ReplayStarted),
        cluster(1, pool("labs", None, [8, 7, 10, 0])),
        cluster(1, pool("labs-research", Some("labs"), [7, 7, 8, 2])),
        cluster(1, pool("labs-production", Some("labs"), [1, 0, 2, 0])),
        cluster(2, gated("WaitingForQuota", train.clone())),
        cluster(2, waiting(train.clone())),
        cluster(2, on("g1", train)),
        cluster(3, gated("WaitingForQuota", large())),
        cluster(4, gated("WaitingForGang", of_trio("a"))),
        cluster(5, gated("WaitingForGang", of_trio("b"))),
    ];
    told_in_order(&mut run, events);
    run.advance(at(65));
    run
}

/// [`divided`], and then the story: research, which has seven GPUs, gives `train` back for `labs-production`, and the
/// host is cordoned.
pub(crate) fn with_story() -> RunState {
    let mut run = divided();
    let returned = || Step::Return { pool: "labs-production".into() };
    let drained = || Step::Drain { node: "g1".into() };
    let message = "pool \"labs-research\" uses 7 nvidia.com/gpu and is entitled to 1; the room goes to pod default/a of \
                   pool \"labs-production\"";
    let research = Pod {
        origin: Origin::Story(Role::Research),
        pool: Some("labs-research".into()),
        preemptible: true,
        ..pod("research", 6, 6)
    };
    let cluster = |second, change| (second, Event::Cluster(change));
    let events = [
        cluster(70, ended("g1", Pod { pool: Some("labs-research".into()), ..pod("train", 6, 48) })),
        cluster(70, on("g1", research.clone())),
        (71, Event::Step { step: returned(), state: StepState::Playing }),
        cluster(72, doomed("g1", message, research)),
        cluster(73, gone("research")),
        cluster(73, pool("labs-research", Some("labs"), [1, 1, 14, 0])),
        cluster(73, pool("labs-production", Some("labs"), [7, 6, 0, 0])),
        (74, Event::Step { step: returned(), state: StepState::Done }),
        (75, Event::Step { step: drained(), state: StepState::Playing }),
        (76, Event::Ended { why: "over".into() }),
    ];
    told_in_order(&mut run, events);
    run
}
