//! Resource names that begin or cease to exist (A2), with a node or in what pools list.

use std::collections::BTreeSet;

use crate::state::State;
use crate::state::ids::{PodId, ShapeId};

use super::super::claims;
use super::super::context::Round;
use super::super::enqueue::enqueue;

/// Reads all that names resources again, where other names exist than before the event.
pub(super) fn reread(round: &mut Round<'_>, generation: u64) {
    let state = &mut *round.state;
    if state.shapes.names.generation == generation {
        return;
    }
    let outdated = state.shapes.outdated();
    let ids: BTreeSet<ShapeId> = outdated.iter().map(|&(id, _)| id).collect();
    let mut pods = state.pods.ids();
    pods.retain(|&pod| state.pods.record(pod).is_some_and(|record| ids.contains(&record.shape)));
    let claims = if outdated.is_empty() { Vec::new() } else { state.claims.take() };
    claims.iter().for_each(|claim| state.give_back(claim));
    for &pod in &pods {
        state.dequeue(pod);
        state.withdraw(pod);
    }
    state.shapes.replace(outdated);
    let State { nodes, shapes, .. } = state;
    nodes.reread(shapes);
    state.forget_caches();
    for &pod in &pods {
        count_anew(state, pod);
        state.enter(pod);
    }
    pods.into_iter().for_each(|pod| enqueue(round, pod));
    claims.into_iter().for_each(|claim| claims::keep(round, claim));
}

/// Reads again what an admitted pod counts for.
fn count_anew(state: &mut State, pod: PodId) {
    let Some(record) = state.pods.record(pod) else { return };
    let (shape, Some(node)) = (record.shape, record.running().map(|running| running.node)) else { return };
    let counted = state.counted_on(shape, node);
    if let Some(running) = state.pods.running_mut(pod) {
        running.counted = counted;
    }
}
