//! Nodes, and pods that Weir does not manage.

use std::sync::Arc;

use crate::contract::hosts::Node;
use crate::contract::pod::{PodShape, Uid};
use crate::state::State;

/// Takes over what a node says of itself, or that it is gone. Pods that are bound to it may now count in another
/// class, and pods that are only assumed on a node that is gone need another one.
pub(super) fn changed(state: &mut State, name: &str, spec: Option<Node>) {
    let id = state.nodes.named(name);
    let class = state.nodes.host(id).class.clone();
    let gone = spec.is_none();
    let overdue = state.overdue_on(id);
    overdue.iter().for_each(|&pod| state.withdraw(pod));
    state.nodes.describe(id, spec, &mut state.shapes);
    overdue.into_iter().for_each(|pod| state.enter(pod));
    if !gone && class == state.nodes.host(id).class {
        return;
    }
    for pod in state.nodes.host(id).pods.clone() {
        let bound = state.pods.running(pod).is_some_and(|running| running.bound);
        state.assume(pod, if gone && !bound { None } else { Some(id) });
    }
}

/// Counts an unmanaged pod on its node, wherever it was before.
pub(super) fn unmanaged(state: &mut State, uid: Uid, node: &str, shape: &Arc<PodShape>) {
    let node = state.nodes.named(node);
    state.nodes.put_unmanaged(uid, node, shape, &mut state.shapes);
}
