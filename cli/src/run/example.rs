//! A small run whose numbers can be checked by hand.

use std::time::Duration;

use weir_model::Amount;

use crate::run::checker::Violation;
use crate::run::story::{Event, Node, Origin, Plan, PluginFigures, Pod, Step, StepState, Story};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn node(name: &str, model: Option<&str>, gpus: i64, cores: i64) -> Event {
    let (model, gpus, cpu_milli) = (model.map(Into::into), Amount::new(gpus), Amount::new(cores * 1000));
    Event::NodeSeen(Node { name: name.into(), model, gpus, cpu_milli })
}

pub(crate) fn pod(name: &str, gpus: i64, cores: i64) -> Event {
    let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(cores * 1000));
    let origin = Origin::Trace(name.into());
    Event::PodCreated(Pod { key: name.into(), name: name.into(), origin, gpus, cpu_milli, models: Vec::new() })
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
pub(crate) fn run() -> Story {
    let mut story = Story::new();
    let plan =
        Plan { title: "two hosts <small> & four pods".into(), nodes: 2, pods: 4, rounded_up: 1, pace: String::new() };
    let message = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 pod asks for GPUs, node has none.";
    let digest = "sha256:0123456789abcdef0123".to_owned();
    for (second, event) in [
        (0, Event::Planned(plan)),
        (0, Event::Step(Step { name: "building etcd".into(), state: StepState::Done { took: at(1) } })),
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
        story.tell(at(second), event);
    }
    story
}
