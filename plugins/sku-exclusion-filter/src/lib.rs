//! SKUExclusionFilter: special hardware is kept for the pods that name it.
//!
//! The rule is `policy/placement/src/sku.rs` and the settings are its list; this file reads them, asks and
//! answers. README.md says what it means for users and operators.
#![no_std]

extern crate alloc;

use alloc::string::ToString;
use alloc::vec::Vec;

use kube_scheduler_guest::{
    ActionType, ClusterEvent, EnqueueExtensions, Filter, Node, Plugin, Pod, Resource, Status, export,
};
use weir_placement::sku::{SpecialHardware, SpecialHardwareList};

/// The plugin, with the special hardware of this cluster.
#[derive(Debug)]
pub struct SkuExclusionFilter {
    special: SpecialHardware,
}

impl Plugin for SkuExclusionFilter {
    type Settings = SpecialHardwareList;

    fn new(list: SpecialHardwareList) -> anyhow::Result<Self> {
        Ok(Self { special: SpecialHardware::new(list)? })
    }
}

impl Filter for SkuExclusionFilter {
    fn filter(&self, pod: &Pod, node: &Node) -> Status {
        match self.special.judge(pod, node) {
            Ok(()) => Status::success(),
            // What hardware a node has does not change when pods leave it, so preemption cannot help.
            Err(refusal) => Status::unresolvable(refusal.to_string()),
        }
    }
}

impl EnqueueExtensions for SkuExclusionFilter {
    fn events_to_register(&self) -> Vec<ClusterEvent> {
        let node = ActionType::ADD
            | ActionType::UPDATE_NODE_LABEL
            | ActionType::UPDATE_NODE_ALLOCATABLE
            | ActionType::UPDATE_NODE_TAINT;
        [ClusterEvent::new(Resource::Node, node)].into()
    }
}

export!(pure SkuExclusionFilter: Filter, EnqueueExtensions);
