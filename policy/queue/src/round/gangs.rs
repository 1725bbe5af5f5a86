//! Where a gang stands (B5): whole in its queue, its replacements ahead of it, or outside with a reason.
//!
//! A gang takes one place in the queue when all the members it announces are there and agree; before that its
//! pods stand outside and move no entitlement. Once it was admitted whole, a member that was lost and made again
//! stands alone, ahead of the queue, for the quota that it left.

use std::sync::Arc;
use std::time::Duration;

use crate::contract::explanation::Explanation;
use crate::contract::time::Time;
use crate::state::State;
use crate::state::gang_members::{GangMembers, needed_among};
use crate::state::gangs::QueuePosition;
use crate::state::ids::{GangId, PodId};
use crate::state::pods::{GangSeat, PodRecord};
use crate::state::queues::{Position, QueueKey, QueuedWorkload, Rank, Workload};

use super::context::Round;
use super::elastic;
use super::enqueue::{enqueue_pod, obstacle, set_backoff_timer};

/// For how long a gang without pods is remembered.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// Puts gangs where they belong: once for all that happened to their members.
pub(super) fn requeue_gangs(round: &mut Round<'_>) {
    for gang in std::mem::take(&mut round.state.gangs.to_requeue) {
        round.state.dequeue_gang(gang);
        enqueue_gang(round, gang);
    }
}

/// Forgets gangs that have had no pod for an hour.
pub(super) fn forget_gangs(round: &mut Round<'_>) {
    let now = round.now;
    round.state.gangs.forget_empty(|since| now.since(since) >= FORGET_AFTER);
}

/// Remembers whether all that a gang needs ran at once.
pub(super) fn note_bound(state: &mut State, GangSeat { gang, size }: GangSeat) {
    let bound = |pod: &PodId| state.pods.running(*pod).is_some_and(|running| running.bound);
    let count = needed_among(&state.pods, state.gangs[gang].members.iter().copied().filter(bound));
    // A gang that ran whole and announces more members since has not ceased to have run whole.
    state.gangs[gang].ran_whole |= count >= size;
}

/// Puts a gang that stands nowhere where it belongs.
fn enqueue_gang(round: &mut Round<'_>, id: GangId) {
    let state = &mut *round.state;
    let members = GangMembers::of(&state.gangs[id], &state.pods);
    let gang = &mut state.gangs[id];
    let all_terminating = gang.evicting && members.terminating > 0;
    let none_admitted = members.staying + members.terminating == 0;
    // Where all of it is gone and all of it is there again, it is a new gang of the old name. Where only some
    // are, the others finished: a Job's last pod that is tried again must not wait for the seven that succeeded.
    let anew = gang.whole && none_admitted && members.size > 0 && members.waiting.len() >= members.size;
    if (gang.evicting && !all_terminating) || anew {
        gang.begin_anew();
    }
    gang.whole |= members.staying > 0 && !all_terminating;
    gang.most_needed = if gang.whole { gang.most_needed.max(members.needed).min(members.size as u32) } else { 0 };
    let lost = gang.most_needed.saturating_sub(members.needed) as usize;
    if gang.whole && !all_terminating {
        enqueue_replacements(round, &members, lost);
    } else if let Some(why) = gang_obstacle(round.state, round.now, id, &members) {
        members.waiting.iter().for_each(|&pod| set_backoff_timer(round, pod));
        round.tell(members.waiting.iter().copied(), &why);
    } else {
        enqueue_whole(round, id, &members);
    }
    elastic::enqueue_elastic(round, id, &members);
}

/// Puts the waiting members of a gang that runs into the queue one by one, the lost ones ahead of it.
fn enqueue_replacements(round: &mut Round<'_>, members: &GangMembers, lost: usize) {
    for (at, &pod) in members.waiting.iter().enumerate() {
        // A member that comes on top of what a gang had stands in the queue like any other pod.
        let rank = if members.has_parts && at >= lost { Rank::Ordinary } else { Rank::Replacement };
        match surplus(members, at) {
            None => enqueue_pod(round, pod, rank),
            Some(why) => round.tell([pod], &why),
        }
    }
}

/// Puts a gang into the queue in one piece, at the place of its oldest member.
fn enqueue_whole(round: &mut Round<'_>, id: GangId, members: &GangMembers) {
    let state = &*round.state;
    let records: Vec<&PodRecord> = state.pods.records(members.waiting.iter().copied()).collect();
    let Some(first) = records.iter().min_by_key(|record| record.queue_key()) else { return };
    let since = records.iter().map(|record| record.created).max().unwrap_or_default();
    let Some(leaf) = state.leaf_of(first) else { return };
    let key = QueueKey { rank: Rank::Ordinary, ..first.queue_key() };
    let (pool, preemptible) = (Arc::clone(&first.pool), first.preemptible);
    let shapes: Vec<_> = records.iter().map(|record| record.shape).collect();
    let request = round.state.shapes.request(shapes.into_iter(), preemptible);
    let gang = &mut round.state.gangs[id];
    gang.piece = members.has_parts.then(|| members.waiting.clone());
    gang.position = Some(QueuePosition { pool, request, key });
    round.state.push(Position { leaf, request, key }, QueuedWorkload { workload: Workload::Gang(id), since });
}

/// What is said to the waiting pod at this position of a gang that runs, if there is no place for it.
fn surplus(GangMembers { size, staying, terminating, has_parts, .. }: &GangMembers, at: usize) -> Option<Explanation> {
    let full = !has_parts && at + staying + terminating >= *size;
    full.then(|| Explanation::Misconfigured {
        what: format!(
            "the gang announces {size} members and all of them are there; raise the number or delete this pod"
        ),
    })
}

/// What keeps a pod from standing in a queue; `None` if it stands in one, or is not known.
pub(super) fn inadmissible(state: &State, now: Time, pod: PodId) -> Option<Explanation> {
    let record = state.pods.record(pod)?;
    let Some(id) = record.gang_id() else { return obstacle(state, now, record) };
    let gang = &state.gangs[id];
    let members = GangMembers::of(gang, &state.pods);
    if let Some(why) = elastic::elastic_obstacle(state, now, id, &members, pod) {
        return why;
    }
    if gang.whole && !(gang.evicting && members.terminating > 0) {
        let at = members.waiting.iter().position(|&one| one == pod)?;
        return surplus(&members, at).or_else(|| obstacle(state, now, record));
    }
    gang_obstacle(state, now, id, &members)
}

/// What keeps a gang from standing in the queue.
fn gang_obstacle(state: &State, now: Time, id: GangId, members: &GangMembers) -> Option<Explanation> {
    let GangMembers { size, terminating, waiting, .. } = members;
    let gang = &state.gangs[id];
    if gang.evicting && *terminating > 0 {
        return Some(Explanation::GangLeaving { left: *terminating as u32 });
    }
    let first = state.pods.record(*waiting.first()?)?;
    let size = *size as u32;
    let misconfigured = |what: String| Some(Explanation::Misconfigured { what });
    if let Some(at_most) = gang.at_most.filter(|&at_most| at_most < size) {
        return misconfigured(format!(
            "the gang announces {size} members, but its owner never has more than {at_most} pods at once"
        ));
    }
    let records = || state.pods.records(waiting.iter().copied());
    // Before any member is counted: of two sizes, neither says how many are to come.
    if records().any(|record| record.gang != first.gang) {
        return misconfigured("the members of the gang disagree about its size".to_owned());
    }
    if waiting.len() < size as usize {
        return Some(Explanation::Gang { created: waiting.len() as u32, size });
    }
    if waiting.len() > size as usize {
        let there = waiting.len();
        return misconfigured(format!(
            "{there} pods say that they belong to a gang of {size}; delete what is too many"
        ));
    }
    records().find_map(|record| disagreement(first, record).or_else(|| obstacle(state, now, record)))
}

/// What the members of a gang disagree about.
fn disagreement(first: &PodRecord, record: &PodRecord) -> Option<Explanation> {
    let field = match () {
        () if record.pool != first.pool => "the pool",
        () if record.preemptible != first.preemptible => "preemptible",
        () if record.priority != first.priority => "the priority",
        () => return None,
    };
    Some(Explanation::Misconfigured { what: format!("the members of the gang disagree about {field}") })
}
