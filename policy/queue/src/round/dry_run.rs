//! `enforce: false`: every pod goes, and is told what would have happened (A14).

use std::sync::Arc;

use weir_model::PoolId;
use weir_model::reason::Grounds;

use crate::contract::decision::{Admission, Decision};
use crate::contract::explanation::Explanation;
use crate::state::ids::PodId;
use crate::state::queues::{Candidate, Workload};

use super::admission::{admit, become_admitted};
use super::assumed::find_nodes;
use super::context::Round;
use super::explain;

/// Admits every pod that is left waiting, one by one, with the reason for which it would have waited.
pub(super) fn admit_unenforced(round: &mut Round<'_>) {
    if round.enforces() {
        return;
    }
    round.decisions.retain(|decision| !matches!(decision, Decision::Wait(_)));
    let mut waiting = round.state.pods.ids();
    waiting.retain(|&pod| round.state.pods.waits(pod));
    // Asked of all before the first goes: a gang that passes in part would look as if it ran.
    let whys: Vec<_> = waiting.iter().map(|&pod| explain::pod(round.state, round.now, pod)).collect();
    for (pod, why) in waiting.into_iter().zip(whys) {
        admit_one(round, pod, why);
    }
}

fn admit_one(round: &mut Round<'_>, pod: PodId, would_have: Option<Explanation>) {
    let Some(record) = round.state.pods.record(pod) else { return };
    let (shape, preemptible, gang, uid) = (record.shape, record.preemptible, record.gang_id(), record.uid);
    let (pool, leaf): (String, Option<PoolId>) = (record.pool.as_ref().to_owned(), round.state.leaf_of(record));
    let request = round.state.shapes.request(std::iter::once(shape), preemptible);
    let nodes = find_nodes(round, request).unwrap_or_default();
    round.state.dequeue(pod);
    if let Some(gang) = gang {
        round.state.gangs[gang].admitted_whole(round.now);
    }
    if let Some(leaf) = leaf {
        let candidate = Candidate::new(leaf, request);
        return admit(round, candidate, Workload::Pod(pod), nodes, Grounds::NotEnforced, would_have);
    }
    let node = nodes.first().map(|&(_, node)| node);
    become_admitted(round, pod, node, Grounds::NotEnforced);
    let name = node.map(|node| Arc::clone(&round.state.nodes.host(node).name));
    round.decisions.push(Decision::Admit(Admission {
        round: round.number,
        pods: vec![(uid, name)],
        pool,
        amounts: round.state.shapes.amounts(request),
        grounds: Grounds::NotEnforced,
        decided_on: Vec::new(),
        would_have,
    }));
}
