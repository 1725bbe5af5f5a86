//! What always holds, whatever the tree: the invariants of the rule, on random trees.

use proptest::prelude::*;
use weir_entitlement::{CappedBy, Condition, Entitler};
use weir_model::{Amount, PoolId, ResourceKind};

use crate::forest::{self, Planted, name};
use crate::oracle;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn caps_requirements_and_entitlements_are_the_oracles_to_the_unit(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        let verdict = oracle::judge(&forest);
        for at in 0..forest.pools.len() {
            let pool = planted.tree.find(&name(at)).unwrap();
            let computed = [
                entitlements.cap(pool, planted.dim),
                entitlements.requirement(pool, planted.dim),
                entitlements.amount(pool, planted.dim),
            ];
            let judged = [verdict.cap[at].min(i64::MAX.into()), verdict.requirement[at], verdict.entitlement[at]];
            prop_assert_eq!(computed.map(|amount| i128::from(amount.units())), judged, "{}", name(at));
        }
    }

    #[test]
    fn children_never_exceed_their_parent_and_nobody_their_cap(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        for pool in planted.tree.iter() {
            let children: Amount = planted.tree.children(pool).map(|child| entitlements.amount(child, planted.dim)).sum();
            let own = entitlements.amount(pool, planted.dim);
            prop_assert!(children <= own);
            prop_assert!(pool == PoolId::ROOT || own <= entitlements.cap(pool, planted.dim));
        }
    }

    #[test]
    fn what_is_not_preemptible_is_never_taken(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        for pool in planted.tree.iter() {
            let fixed = entitlements.non_preemptible(pool, planted.dim);
            prop_assert!(entitlements.amount(pool, planted.dim) >= fixed);
        }
    }

    #[test]
    fn only_scaling_keeps_a_pool_that_asks_below_its_reservation_and_all_by_one_factor(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        for parent in planted.tree.iter() {
            let scaled = lambda(&planted, parent);
            for child in planted.tree.children(parent) {
                let trace = entitlements.trace(child, planted.dim);
                let spec = planted.spec(child);
                let first = match spec.kind {
                    ResourceKind::Static => spec.reservation,
                    ResourceKind::Elastic => spec.reservation.min(trace.requirement),
                };
                let Some((above, below)) = scaled else {
                    prop_assert!(trace.entitlement >= first, "not scaled");
                    continue;
                };
                prop_assert!(above < below, "λ is below 1");
                let exact = i128::from(first.units()) * above;
                let amount = i128::from(trace.entitlement.max(Amount::new(1)).units());
                let floor = trace.entitlement == trace.non_preemptible && trace.non_preemptible.units() as i128 * below >= exact;
                let within_a_unit = (amount - 1) * below <= exact && exact < (i128::from(trace.entitlement.units()) + 1) * below;
                prop_assert!(floor || within_a_unit, "λ times what it would get, to the unit");
            }
        }
    }

    #[test]
    fn nothing_is_idle_that_a_pool_with_a_share_asks_for(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        let trace = |pool| entitlements.trace(pool, planted.dim);
        let unmet = |pool| trace(pool).entitlement < trace(pool).requirement.min(trace(pool).cap);
        for parent in planted.tree.iter() {
            // A child with a share that asks within its cap and goes short: no sibling has more than it
            // asks for, except a static pool what it reserves.
            let short = planted.tree.children(parent).any(|child| planted.spec(child).share > 0 && unmet(child));
            if !short {
                continue;
            }
            prop_assert_eq!(trace(parent).undivided, Amount::ZERO);
            for child in planted.tree.children(parent) {
                let spec = planted.spec(child);
                let kept = if spec.kind == ResourceKind::Static { spec.reservation } else { Amount::ZERO };
                prop_assert_eq!(trace(child).spread, Amount::ZERO);
                prop_assert!(trace(child).entitlement <= trace(child).requirement.max(kept));
            }
        }
    }

    #[test]
    fn without_static_pools_one_unmet_leaf_means_nothing_is_idle_anywhere(mut forest in forest::small()) {
        forest.pools.iter_mut().for_each(|pool| pool.kind = ResourceKind::Elastic);
        let planted = forest.planted();
        let entitlements = planted.entitle();
        let trace = |pool| entitlements.trace(pool, planted.dim);
        let leaves = || planted.tree.iter().filter(|&pool| planted.tree.is_leaf(pool) && pool != PoolId::ROOT);
        // Short although neither its own cap nor that of a pool above it is in the way.
        let short = leaves().any(|leaf| {
            let uncapped = planted.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT)
                .all(|pool| trace(pool).entitlement < trace(pool).cap);
            uncapped && trace(leaf).entitlement < trace(leaf).requirement
        });
        if short {
            for leaf in leaves() {
                prop_assert!(trace(leaf).entitlement <= trace(leaf).requirement, "{}", planted.tree.name(leaf));
            }
            for pool in planted.tree.iter() {
                prop_assert_eq!(trace(pool).undivided, Amount::ZERO);
            }
        }
    }

    #[test]
    fn the_order_in_which_pools_are_listed_changes_nothing(forest in forest::small(), seed in any::<u64>()) {
        let count = forest.pools.len();
        let mut order: Vec<_> = (0..count).collect();
        order.sort_by_key(|&at| seed.rotate_left(u32::try_from(at * 7).unwrap()).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (first, second) = (forest.planted(), forest.plant(order.into_iter()));
        prop_assert_eq!(&first.tree, &second.tree);
        prop_assert_eq!(first.entitle(), second.entitle());
    }

    #[test]
    fn more_capacity_takes_at_most_a_unit_for_each_level(forest in forest::small(), more in 1..20i64) {
        let planted = forest.planted();
        let dim = planted.dim;
        let grown = forest.with_capacity(forest.capacity + more).planted().entitle();
        let before = planted.entitle();
        for pool in planted.tree.iter() {
            let level = Amount::new(i64::try_from(planted.tree.depth(pool)).unwrap());
            prop_assert!(grown.amount(pool, dim) + level >= before.amount(pool, dim), "{}", planted.tree.name(pool));
        }
    }

    #[test]
    fn traces_and_lenders_add_up_to_the_unit(forest in forest::small()) {
        add_up(&forest.planted())?;
    }

    #[test]
    fn at_the_ends_of_what_can_be_written_nothing_overflows(forest in forest::extreme()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        for pool in planted.tree.iter() {
            // Sums saturate: twice "very much" is "very much".
            let children: Amount = planted.tree.children(pool).map(|child| entitlements.amount(child, planted.dim)).sum();
            prop_assert!(children <= entitlements.amount(pool, planted.dim));
            prop_assert!(entitlements.amount(pool, planted.dim) >= entitlements.non_preemptible(pool, planted.dim));
        }
        add_up(&planted)?;
    }

    #[test]
    fn what_the_root_has_is_divided_to_the_unit_or_stays_with_a_parent(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        let trace = |pool| entitlements.trace(pool, planted.dim);
        let leaves: Amount = planted.tree.iter().filter(|&pool| planted.tree.is_leaf(pool))
            .map(|pool| trace(pool).entitlement).sum();
        let undivided: Amount = planted.tree.iter().map(|pool| trace(pool).undivided).sum();
        prop_assert_eq!(leaves + undivided, trace(PoolId::ROOT).entitlement);
    }

    #[test]
    fn share_zero_never_has_more_than_its_reservation_or_what_cannot_be_taken(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        for pool in planted.tree.iter().skip(1).filter(|&pool| planted.spec(pool).share == 0) {
            let trace = entitlements.trace(pool, planted.dim);
            prop_assert!(trace.entitlement <= planted.spec(pool).reservation.max(trace.non_preemptible));
            prop_assert_eq!(trace.borrowed + trace.spread, Amount::ZERO);
        }
    }

    #[test]
    fn what_capped_a_pool_is_true(forest in forest::small()) {
        let planted = forest.planted();
        let entitlements = planted.entitle();
        for pool in planted.tree.iter().skip(1) {
            let trace = entitlements.trace(pool, planted.dim);
            let spec = planted.spec(pool);
            let below: Amount = planted.tree.children(pool).map(|child| entitlements.cap(child, planted.dim)).sum();
            match trace.capped_by {
                CappedBy::Limit => prop_assert!(spec.limit.is_some_and(|limit| trace.entitlement >= limit)),
                CappedBy::Share => prop_assert!(spec.share == 0 && trace.entitlement >= spec.reservation),
                CappedBy::Children => prop_assert!(!planted.tree.is_leaf(pool) && trace.entitlement >= below),
                CappedBy::Requirement => prop_assert!(trace.entitlement >= trace.requirement),
                CappedBy::Parent => prop_assert!(trace.entitlement < trace.requirement),
            }
        }
    }

    #[test]
    fn a_reused_entitler_gives_what_a_new_one_gives(
        forest in forest::small(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, 0..60i64), 1..8),
    ) {
        let Planted { tree, mut dims, dim, mut input } = forest.planted();
        let other = dims.intern("memory");
        input.capacity.set(other, Amount::new(50));
        let mut entitler = Entitler::new(&tree, &dims);
        for (pool, what, amount) in changes {
            let pool = tree.find(&name(pool.index(forest.pools.len()))).unwrap();
            match what {
                0 => input.demand.set(pool, dim, Amount::new(amount)),
                1 => input.usage.set(pool, other, Amount::new(amount)),
                _ => input.capacity.set(dim, Amount::new(amount)),
            }
            prop_assert_eq!(entitler.entitle(&input), &weir_entitlement::entitle(&tree, &dims, &input));
        }
    }
}

/// λ of a parent whose children's reservations were cut.
fn lambda(planted: &Planted, parent: PoolId) -> Option<(i128, i128)> {
    planted.entitle().conditions().find_map(|condition| match condition {
        Condition::ReservationsScaled { pool, lambda, .. } if pool == parent => {
            Some((lambda.numerator().try_into().unwrap(), lambda.denominator().try_into().unwrap()))
        }
        _ => None,
    })
}

/// Every trace sums to its entitlement, every list of lenders to what was borrowed, and no pool lends to itself
/// or lends more than it does not use (whole numbers may add a unit for each borrower).
fn add_up(planted: &Planted) -> Result<(), TestCaseError> {
    let entitlements = planted.entitle();
    let mut lent = vec![0i128; planted.tree.len()];
    for pool in planted.tree.iter() {
        let trace = entitlements.trace(pool, planted.dim);
        let parts = [trace.non_preemptible, trace.from_reservation, trace.borrowed, trace.spread];
        let sum: i128 = parts.iter().map(|part| i128::from(part.units())).sum();
        prop_assert_eq!(sum, i128::from(trace.entitlement.units()));
        let lenders = entitlements.lenders(pool, planted.dim);
        let sum: i128 = lenders.iter().map(|borrowing| i128::from(borrowing.amount.units())).sum();
        prop_assert_eq!(sum, i128::from(trace.borrowed.units()), "{}", planted.tree.name(pool));
        for borrowing in lenders {
            let weir_entitlement::Lender::Pool(lender) = borrowing.lender else { continue };
            prop_assert!(lender != pool, "{} lends to itself", planted.tree.name(pool));
            let same_parent = planted.tree.parent(pool) == planted.tree.parent(lender);
            lent[lender.index()] += if same_parent { i128::from(borrowing.amount.units()) } else { 0 };
        }
    }
    for pool in planted.tree.iter() {
        let guaranteed = entitlements.trace(pool, planted.dim);
        let used = guaranteed.non_preemptible + guaranteed.from_reservation;
        let idle = i128::from(planted.spec(pool).reservation.minus(used).units());
        let siblings = planted.tree.parent(pool).map_or(0, |parent| planted.tree.children(parent).len());
        prop_assert!(lent[pool.index()] <= idle + i128::try_from(siblings).unwrap());
    }
    Ok(())
}
