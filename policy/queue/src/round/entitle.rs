//! What each pool is entitled to in this round. Entitlements do not move within a round.

use weir_entitlement::Input;
use weir_model::PoolId;

use crate::state::State;

/// Divides the capacity anew, and counts what leaves use above what they got.
pub(super) fn entitle(state: &mut State) {
    let State { pools, usage, demand, nodes, shapes, .. } = state;
    let leaves: Vec<PoolId> = pools.tree.iter().filter(|&pool| pools.tree.is_leaf(pool)).collect();
    let Input { capacity, usage: used, non_preemptible, demand: eligible } = pools.inputs_mut();
    for dim in shapes.dims.iter() {
        capacity.set(dim, nodes.capacity(dim));
        for &leaf in &leaves {
            used.set(leaf, dim, usage.admitted.amount(leaf, dim));
            non_preemptible.set(leaf, dim, usage.non_preemptible.amount(leaf, dim));
            eligible.set(leaf, dim, demand.of(leaf, dim));
        }
    }
    pools.divide();
    for &leaf in &leaves {
        shapes.dims.iter().for_each(|dim| usage.count_over_entitlement(pools, leaf, dim));
    }
}
