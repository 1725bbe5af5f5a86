//! A whole plugin: pods run in the zone that they name.
#![no_std]
use kube_scheduler_guest::{Filter, Node, Pod, Status, export};

#[derive(Default)]
struct SameZone;

impl Filter for SameZone {
    fn filter(&self, pod: &Pod, node: &Node) -> Status {
        match pod.labels().get("zone") == node.labels().get("zone") {
            true => Status::success(),
            false => Status::unresolvable("node(s) were in another zone"),
        }
    }
}
export!(pure SameZone: Filter);
