//! Why a pod waits, with the names and numbers that its condition shows.

use crate::contract::explanation::Explanation;
use crate::contract::time::Time;
use crate::state::State;
use crate::state::fit::Shortfall;
use crate::state::ids::PodId;
use crate::state::queues::Workload;
use crate::state::refusal::{Refusal, Refused};

use super::context::Round;
use super::gangs;

/// The numbers of a refusal, with names.
pub(super) fn refusal(state: &State, refusal: Refusal) -> Explanation {
    let (named, name) = (|pool| state.pools.named(pool), |dim| state.shapes.dims.name(dim).to_owned());
    match refusal {
        Refusal::Held { pool } => Explanation::PoolHeld { pool: named(pool) },
        Refusal::MaxWorkload { pool, dim, asked, largest } => {
            Explanation::MaxWorkload { pool: named(pool), dim: name(dim), asked, largest }
        }
        Refusal::Limit { pool, dim, asked, limit } => {
            Explanation::Limit { pool: named(pool), dim: name(dim), asked, limit }
        }
        Refusal::Reservation { pool, dim, asked, reserved } => {
            Explanation::Reservation { pool: named(pool), dim: name(dim), asked, reserved }
        }
        Refusal::Never(Shortfall { fit, of }) => Explanation::NeverPlaced { fit, of },
        Refusal::Quota { pool, dim, asked, used, claimed, entitled } => {
            Explanation::Quota { pool: named(pool), dim: name(dim), asked, used, claimed, entitled }
        }
        Refusal::Entitlement { pool, dim, asked, entitled } => {
            Explanation::Entitlement { pool: named(pool), dim: name(dim), asked, entitled }
        }
        Refusal::Reserved { pool, dim, asked, used, reserved } => {
            Explanation::Reserved { pool: named(pool), dim: name(dim), asked, used, reserved }
        }
        Refusal::Placement(Shortfall { fit, of }) => Explanation::Placement { fit, of },
        Refusal::Behind { pool, head } => Explanation::Behind { pool: named(pool), head },
    }
}

/// Why a pod waits, in the numbers of the last round; `None` if it does not wait.
pub(crate) fn pod(state: &State, now: Time, pod: PodId) -> Option<Explanation> {
    let record = state.pods.record(pod).filter(|record| record.waits())?;
    let workload = state.workload_of(pod);
    let stands = |_: &_| record.request.is_some() || state.members(workload).contains(&pod);
    let Some(at) = state.position(workload).filter(stands) else { return gangs::inadmissible(state, now, pod) };
    if let Some(claim) = state.claims.with_victims_for(workload) {
        return Some(Explanation::Preemption { victims: state.victims_left(claim) });
    }
    let bucket = state.queues[at.leaf].buckets.get(&at.request)?;
    bucket.refusal.map(|why| refusal(state, why))
}

/// Tells every pod that waits why, where the reason changed.
pub(super) fn tell_all(round: &mut Round<'_>, refused: &[Refused]) {
    let claims: Vec<(Workload, u32)> =
        round.state.claims.iter().map(|claim| (claim.workload, round.state.victims_left(claim))).collect();
    for (workload, victims) in claims {
        if victims > 0 {
            let members = round.state.waiting_members(workload);
            round.tell(members, &Explanation::Preemption { victims });
        }
    }
    let from_plans = round.state.claims.iter().filter(|claim| !claim.is_patient());
    let served: Vec<Workload> = from_plans.map(|claim| claim.workload).collect();
    for refused in refused.iter().filter(|refused| !refused.again) {
        tell_bucket(round, refused, &served);
    }
}

/// Tells the workloads of a bucket, except those served, why they wait.
fn tell_bucket(
    round: &mut Round<'_>,
    &Refused { leaf, request, refusal: why, again: _ }: &Refused,
    served: &[Workload],
) {
    let number = round.number;
    let Some(bucket) = round.state.queues[leaf].buckets.get_mut(&request) else { return };
    // The claimant of a bucket was asked before the others; what it was told is nearest to its turn.
    if std::mem::replace(&mut bucket.told_in, number) == number {
        return;
    }
    bucket.refusal = Some(why);
    let reason = why.reason();
    if bucket.told == Some(reason) && bucket.fresh.is_empty() {
        return;
    }
    let fresh = std::mem::take(&mut bucket.fresh);
    let workloads: Vec<Workload> = match bucket.told.replace(reason) == Some(reason) {
        true => fresh,
        false => bucket.order.values().map(|queued| queued.workload).collect(),
    };
    let others = workloads.into_iter().filter(|workload| !served.contains(workload));
    let pods: Vec<PodId> = others.flat_map(|workload| round.state.waiting_members(workload)).collect();
    let why = refusal(round.state, why);
    round.tell(pods, &why);
}
