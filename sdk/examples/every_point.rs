//! A plugin at every extension point, which asks the host everything there is to ask and answers with what it
//! was told. `tests/extension/guesttest` runs it in the unmodified extension: what this file says and what
//! the Go test expects of it is the ABI.
//!
//! At each point it refuses pods whose label `refuse` names the point, and the reason is what it saw there.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use kube_scheduler_guest::handle::{self, Event, EventType};
use kube_scheduler_guest::{
    ActionType, Bind, ClusterEvent, Code, CycleState, EnqueueExtensions, Filter, Node, NodeStatuses, Nomination,
    Permission, Permit, Pod, PostBind, PostFilter, PreBind, PreFilter, PreFilterExtensions, PreFilterResult, PreScore,
    Reserve, Resource, Score, Status, export, klog,
};

/// The plugin, with how many filters of this cycle it has seen.
#[derive(Default)]
struct EveryPoint {
    filters: CycleState<u32>,
}

/// The answer at a point.
fn verdict(point: &str, pod: &Pod, saw: impl FnOnce() -> String) -> Status {
    match pod.labels().get("refuse") == Some(point) {
        true => Status::unschedulable(saw()),
        false => Status::success(),
    }
}

/// Records an event about a pod, with text that Go and Rust must spell alike.
fn tell(what: &str, pod: &Pod, node: &Node) {
    let zone = node.labels().get("zone").unwrap_or_default();
    let (event_type, note) = (EventType::Warning, format!("{what} {} on {} in {zone}, 100 %", pod.name(), node.name()));
    let (reason, action) = (String::from("Told"), what.to_string());
    let about_nothing_else = handle::ObjectReference::default();
    handle::record(&Event { regarding: pod.into(), related: about_nothing_else, event_type, reason, action, note });
}

impl EnqueueExtensions for EveryPoint {
    fn events_to_register(&self) -> Vec<ClusterEvent> {
        let gone = ClusterEvent::new(Resource::Pod, ActionType::DELETE);
        [ClusterEvent::new(Resource::Node, ActionType::ADD | ActionType::UPDATE_NODE_TAINT), gone].into()
    }
}

impl PreFilter for EveryPoint {
    fn pre_filter(&self, pod: &Pod) -> Result<PreFilterResult, Status> {
        klog::info("a cycle begins", &[("pod", pod.name())]);
        let nodes = handle::nodes()?;
        let (mut names, zones): (Vec<_>, Vec<_>) =
            nodes.iter().map(|node| (node.name().to_string(), node.labels().get("zone").unwrap_or("none"))).unzip();
        names.sort();
        let status = verdict("prefilter", pod, || format!("{} in {} zones", names.join("+"), zones.len()));
        if !status.is_success() {
            return Err(status);
        }
        Ok(match pod.labels().get("only") {
            Some(node) => PreFilterResult::Only([handle::node(node)?.name().to_string()].into()),
            None => PreFilterResult::AllNodes,
        })
    }
}

impl PreFilterExtensions for EveryPoint {
    fn add_pod(&self, pod: &Pod, added: &Pod, node: &Node) -> Status {
        verdict("addpod", pod, || format!("{} to {}", added.name(), node.name()))
    }

    fn remove_pod(&self, pod: &Pod, removed: &Pod, node: &Node) -> Status {
        verdict("removepod", pod, || format!("{} from {}", removed.name(), node.name()))
    }
}

impl Filter for EveryPoint {
    fn filter(&self, pod: &Pod, node: &Node) -> Status {
        let nth = self.filters.with(
            pod,
            || 0,
            |seen| {
                *seen += 1;
                *seen
            },
        );
        verdict("filter", pod, || format!("{nth}: {} on {}", pod.name(), node.name()))
    }
}

impl PostFilter for EveryPoint {
    fn post_filter(&self, pod: &Pod, nodes: &NodeStatuses) -> Result<Nomination, Status> {
        let hopeful = nodes.iter().filter(|(_, code)| *code == Code::Unschedulable).map(|(node, _)| node.to_string());
        match pod.labels().get("refuse") {
            Some("postfilter") => Err(Status::unschedulable(format!("{} nodes", nodes.iter().count()))),
            _ => Ok(hopeful.min().map_or(Nomination::Clear, Nomination::Node)),
        }
    }
}

impl PreScore for EveryPoint {
    fn pre_score(&self, pod: &Pod) -> Status {
        let mut passed = match handle::filtered_nodes() {
            Ok(passed) => passed,
            Err(status) => return status,
        };
        passed.sort();
        verdict("prescore", pod, || passed.join("+"))
    }
}

impl Score for EveryPoint {
    /// On how many nodes the images of this one are.
    fn score(&self, pod: &Pod, node: &Node) -> Result<i32, Status> {
        let images = handle::node_images(node.name())?;
        let status = verdict("score", pod, || format!("{images:?}"));
        if !status.is_success() {
            return Err(status);
        }
        Ok(images.iter().map(|(_, image)| image.num_nodes as i32).sum())
    }
}

impl Reserve for EveryPoint {
    fn reserve(&self, pod: &Pod, node: &Node) -> Status {
        verdict("reserve", pod, || format!("{} on {}", pod.name(), node.name()))
    }

    fn unreserve(&self, pod: &Pod, node: &Node) {
        tell("unreserve", pod, node);
    }
}

impl Permit for EveryPoint {
    /// A pod labelled `frees` rejects the pod of that UID, which waits, before it goes on itself.
    fn permit(&self, pod: &Pod, _: &Node) -> Permission {
        if let Some(uid) = pod.labels().get("frees") {
            let name = handle::waiting_pod(uid).map(|waiting| waiting.name().to_string()).unwrap_or_default();
            let was_there = handle::reject_waiting_pod(uid);
            return Permission::Reject(Status::unschedulable(format!("`{name}` waited: {was_there}")));
        }
        match pod.labels().get("waits") {
            Some(seconds) => Permission::Wait(Duration::from_secs(seconds.parse().unwrap_or_default())),
            None => Permission::Allow,
        }
    }
}

impl PreBind for EveryPoint {
    fn pre_bind(&self, pod: &Pod, node: &Node) -> Status {
        verdict("prebind", pod, || format!("{} on {}", pod.name(), node.name()))
    }
}

impl Bind for EveryPoint {
    fn bind(&self, pod: &Pod, node: &Node) -> Status {
        verdict("bind", pod, || format!("{} to {}", pod.name(), node.name()))
    }
}

impl PostBind for EveryPoint {
    fn post_bind(&self, pod: &Pod, node: &Node) {
        tell("postbind", pod, node);
    }
}

export!(EveryPoint: EnqueueExtensions, PreFilter, PreFilterExtensions, Filter, PostFilter, PreScore, Score, Reserve,
    Permit, PreBind, Bind, PostBind);
