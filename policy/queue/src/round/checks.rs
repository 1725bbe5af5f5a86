//! What numbers alone say of a request (B3, B4): a list of checks, each of which says yes, or no with its numbers.

use weir_model::PoolId;

use crate::state::State;
use crate::state::ids::RequestId;
use crate::state::queues::Candidate;
use crate::state::refusal::Refusal;
use crate::state::sums::amount;

/// One condition of admission that can be judged by numbers alone.
type Check = fn(&State, Candidate) -> Result<(), Refusal>;

/// In this order, because the first no is what the pod is told: never before not now.
const CHECKS: [Check; 2] = [within_entitlement, within_reservation];

/// What numbers alone say of a request.
pub(super) fn numbers_allow(state: &State, candidate: Candidate) -> Result<(), Refusal> {
    CHECKS.iter().try_for_each(|check| check(state, candidate))
}

/// Whether B4 alone would let a request go.
pub(super) fn reservation_allows(state: &State, leaf: PoolId, request: RequestId) -> bool {
    within_reservation(state, Candidate::new(leaf, request)).is_ok()
}

/// Whether a request is larger than what its pool or an ancestor is entitled to: it keeps nothing and is in no
/// pod's way, because it waits for others to ask for less and not for room.
pub(super) fn exceeds_entitlement(state: &State, leaf: PoolId, request: RequestId) -> bool {
    let State { pools, shapes, .. } = state;
    let amounts = &shapes.request_of(request).amounts;
    pools.tree.path(leaf).any(|pool| {
        let mut checked = amounts.iter().filter(|&(dim, _)| pools.checks(pool, dim));
        checked.any(|(dim, asked)| asked > pools.entitled(pool, dim))
    })
}

/// B3: usage and request within the entitlement of the pool and every ancestor, in every dimension it asks for.
/// What other pools of an ancestor use above their own entitlements does not count there: it is taken back where
/// a pod needs the room, and not for the sake of the sum. Limits count all of it.
fn within_entitlement(state: &State, Candidate { leaf, request, .. }: Candidate) -> Result<(), Refusal> {
    let State { pools, usage, .. } = state;
    for pool in pools.tree.path(leaf) {
        for (dim, asked) in state.shapes.request_of(request).amounts.iter() {
            if !pools.checks(pool, dim) {
                continue;
            }
            let entitled = pools.entitled(pool, dim);
            if asked > entitled {
                return Err(Refusal::Entitlement { pool, dim, asked, entitled });
            }
            let used = usage.admitted.exact(pool, dim);
            let claimed = usage.claimed.exact(pool, dim);
            let more = claimed + i128::from(asked.units());
            let counts = used - usage.over_entitlement.below(pools, pool, dim);
            let limited = used + more > i128::from(pools.cap(pool, dim).units());
            if limited || counts + more > i128::from(entitled.units()) {
                let used = if limited { used } else { counts };
                let [used, claimed] = [used, claimed].map(amount);
                return Err(Refusal::Quota { pool, dim, asked, used, claimed, entitled });
            }
        }
    }
    Ok(())
}

/// B4: the non-preemptible usage and request within min(reservation, entitlement) of the pool and of every
/// ancestor, in the dimensions that each of them lists.
fn within_reservation(state: &State, Candidate { leaf, request, .. }: Candidate) -> Result<(), Refusal> {
    let request = state.shapes.request_of(request);
    if request.preemptible {
        return Ok(());
    }
    for pool in state.pools.tree.path(leaf) {
        for (dim, asked) in request.amounts.iter() {
            let Some(reserved) = state.pools.reserved(pool, dim) else { continue };
            let reserved = reserved.min(state.pools.entitled(pool, dim));
            let used = state.usage.non_preemptible.amount(pool, dim);
            if used + asked > reserved {
                return Err(Refusal::Reserved { pool, dim, asked, used, reserved });
            }
        }
    }
    Ok(())
}
