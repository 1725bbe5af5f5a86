//! Elastic pods of a gang: those beyond what the gang needs.
//!
//! Once the gang has all that it needs, its elastic pods stand in the queue like any other pod, as many at a time
//! as one worker has hosts, and they are the first to go. Which pods are elastic is in `state::gang_members`.

use crate::contract::explanation::Explanation;
use crate::contract::time::Time;
use crate::state::State;
use crate::state::gang_members::{GangMembers, Lacking};
use crate::state::gangs::{Group, QueuePosition};
use crate::state::ids::{GangId, PodId};
use crate::state::pods::PodRecord;
use crate::state::queues::{Position, QueueKey, QueuedWorkload, Rank, Workload};

use super::context::Round;
use super::enqueue::{self, enqueue_pod};

/// Puts elastic pods into the queue if their gang has all that it needs, and tells them so otherwise.
pub(super) fn enqueue_elastic(round: &mut Round<'_>, gang: GangId, members: &GangMembers) {
    if !members.has_parts {
        return;
    }
    if let Some(why) = gang_comes_first(round.state, gang, members) {
        let all = members.elastic.iter().chain(members.lacking.iter().map(|lacking| &lacking.pods)).flatten();
        return round.tell(all.copied(), &why);
    }
    for lacking in &members.lacking {
        round.tell(lacking.pods.iter().copied(), &incomplete(lacking));
    }
    for pods in &members.elastic {
        match pods.as_slice() {
            [alone] => enqueue_pod(round, *alone, Rank::Ordinary),
            pods => enqueue_group(round, gang, pods),
        }
    }
}

/// Why elastic pods of a gang wait for the others, if they do.
fn gang_comes_first(state: &State, gang: GangId, members: &GangMembers) -> Option<Explanation> {
    let gang = &state.gangs[gang];
    let has_needed = members.needed as usize >= members.size && members.waiting.is_empty();
    let complete = gang.whole && !gang.evicting && has_needed;
    (!complete).then_some(Explanation::Elastic { admitted: members.needed, size: members.size as u32 })
}

const fn incomplete(Lacking { pods, step }: &Lacking) -> Explanation {
    Explanation::Gang { created: pods.len() as u32, size: *step }
}

/// What keeps an elastic pod from standing in a queue; `None` for a pod that its gang needs.
pub(super) fn elastic_obstacle(
    state: &State,
    now: Time,
    gang: GangId,
    members: &GangMembers,
    pod: PodId,
) -> Option<Option<Explanation>> {
    let lacking = members.lacking.iter().find(|lacking| lacking.pods.contains(&pod));
    let group = members.elastic.iter().find(|pods| pods.contains(&pod));
    if lacking.is_none() && group.is_none() {
        return None;
    }
    let of_group = || state.pods.records(group?.iter().copied()).find_map(|pod| enqueue::obstacle(state, now, pod));
    let own = || lacking.map(incomplete).or_else(of_group);
    Some(gang_comes_first(state, gang, members).or_else(own))
}

/// Puts elastic pods that go together into the queue, at the place of the first of them.
fn enqueue_group(round: &mut Round<'_>, gang: GangId, pods: &[PodId]) {
    let Some(&head) = pods.first() else { return };
    let state = &*round.state;
    let records: Vec<&PodRecord> = state.pods.records(pods.iter().copied()).collect();
    if let Some(why) = records.iter().find_map(|record| enqueue::obstacle(state, round.now, record)) {
        return round.tell(pods.iter().copied(), &why);
    }
    let Some(first) = records.first() else { return };
    let Some(leaf) = state.leaf_of(first) else { return };
    let key = QueueKey { rank: Rank::Ordinary, ..first.queue_key() };
    let (pool, preemptible) = (std::sync::Arc::clone(&first.pool), first.preemptible);
    let since = records.iter().map(|record| record.created).max().unwrap_or_default();
    let shapes: Vec<_> = records.iter().map(|record| record.shape).collect();
    let request = round.state.shapes.request(shapes.into_iter(), preemptible);
    round.state.push(Position { leaf, request, key }, QueuedWorkload { workload: Workload::Group(gang, head), since });
    let group = Group { pods: pods.to_vec(), position: QueuePosition { pool, request, key } };
    round.state.gangs[gang].groups.insert(head, group);
}
