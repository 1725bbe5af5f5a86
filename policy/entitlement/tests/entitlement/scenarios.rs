//! What people live through, each with its tree drawn above the claims. The drawing is the input; an arrow
//! says what a pool must be entitled to (see `scene` for the words).

use weir_entitlement::{CappedBy, Input, Maintenance, NodeUse, capacity, entitle};
use weir_model::{Amount, Class, Dimensions, PoolSpec, PoolTree, ResourceVec};

use crate::scene::Scene;

const GPU: &str = "nvidia.com/gpu";

mod lending {
    use super::*;

    #[test]
    fn research_borrows_what_production_does_not_use() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ production  reserves 60  uses 20           → 20
            └ research    reserves 40  uses 40  asks 60  → 80
            ",
        );
        assert_eq!(scene.lenders("research"), "40 from production");
        assert_eq!(scene.trace("research").capped_by, CappedBy::Parent);
        assert_eq!(scene.conditions(), [""; 0]);
    }

    #[test]
    fn production_gets_its_reservation_back_as_soon_as_it_asks() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ production  reserves 60  uses 20  asks 40  → 60
            └ research    reserves 40  uses 80           → 40
            ",
        );
        assert_eq!(scene.lenders("research"), "");
        assert_eq!(scene.trace("research").requirement, Amount::new(80));
    }

    #[test]
    fn what_nobody_reserved_is_lent_first() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ production  reserves 50           → 15
            └ research    reserves 20  asks 70  → 85
            ",
        );
        assert_eq!(scene.trace("research").borrowed, Amount::new(50));
        assert_eq!(scene.lenders("research"), "30 unreserved, 20 from production");
    }

    #[test]
    fn siblings_lend_in_proportion_to_what_they_do_not_use() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ ads     reserves 40  uses 10  → 17
            ├ maps    reserves 30  uses 20  → 27
            └ vision  reserves 30  asks 50  → 56
            ",
        );
        assert_eq!(scene.lenders("vision"), "15 from ads, 5 from maps");
        assert_eq!(scene.trace("vision").spread, Amount::new(6));
    }

    #[test]
    fn when_siblings_have_no_more_the_parents_lenders_follow() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ labs          reserves 60           → 85
            │ ├ language    reserves 30  asks 70  → 78
            │ └ vision      reserves 30           → 7
            └ production    reserves 40           → 15
            ",
        );
        assert_eq!(scene.lenders("labs"), "10 from production");
        assert_eq!(scene.lenders("language"), "30 from vision, 10 from production");
    }

    #[test]
    fn a_reservation_without_a_parent_behind_it_lends_nothing() {
        // vision reserves 10, but labs' own 10 are all with language: what language borrows is production's.
        let scene = Scene::of(
            GPU,
            "
            cluster 30
            ├ labs          reserves 10                    → 30
            │ ├ language    reserves 10  uses 10  asks 20  → 30
            │ └ vision      reserves 10                    → 0
            └ production    reserves 20                    → 0
            ",
        );
        assert_eq!(scene.lenders("language"), "20 from production");
        assert_eq!(scene.conditions(), ["labs: 20 of 10 reserved"]);
    }
}

mod dividing {
    use super::*;

    #[test]
    fn unmet_requirement_is_met_by_share() {
        Scene::of(
            GPU,
            "
            cluster 90
            ├ ads   share 1  asks 100  → 30
            └ maps  share 2  asks 100  → 60
            ",
        );
    }

    #[test]
    fn a_share_weighs_what_comes_on_top_of_the_reservation() {
        Scene::of(
            GPU,
            "
            cluster 100
            ├ ads   reserves 60  asks 100  → 80
            └ maps               asks 100  → 20
            ",
        );
    }

    #[test]
    fn whoever_asks_for_little_gets_it_and_the_others_divide_the_rest() {
        Scene::of(
            GPU,
            "
            cluster 100
            ├ ads     asks 10   → 10
            ├ maps    asks 40   → 40
            └ vision  asks 100  → 50
            ",
        );
    }

    #[test]
    fn what_whole_numbers_leave_over_goes_to_the_largest_remainder_and_then_by_name() {
        Scene::of(
            GPU,
            "
            cluster 10
            ├ ads     asks 10  → 4
            ├ maps    asks 10  → 3
            └ vision  asks 10  → 3
            ",
        );
        // 11 × 1/4 = 2 3/4 and 11 × 3/4 = 8 1/4: the larger remainder is that of ads.
        Scene::of(
            GPU,
            "
            cluster 11
            ├ ads   share 1  asks 11  → 3
            └ maps  share 3  asks 11  → 8
            ",
        );
    }

    #[test]
    fn idle_pools_share_what_nobody_asks_for_and_what_a_limit_cuts_off_is_spread_again() {
        let scene = Scene::of(
            GPU,
            "
            cluster 90
            ├ ads     share 1           → 27
            ├ maps    share 2           → 53
            └ vision  share 3  limit 10  → 10
            ",
        );
        assert_eq!(scene.trace("maps").spread, Amount::new(53));
        assert_eq!(scene.trace("maps").capped_by, CappedBy::Requirement);
        assert_eq!(scene.trace("vision").capped_by, CappedBy::Limit);
    }

    #[test]
    fn a_parent_asks_for_no_more_than_its_children_may_have() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ labs          → 15
            │ ├ language    limit 10  asks 50  → 10
            │ └ vision      limit 5            → 5
            └ production    asks 10  → 85
            ",
        );
        assert_eq!(scene.trace("labs").requirement, Amount::new(10));
        assert_eq!(scene.trace("labs").cap, Amount::new(15));
        assert_eq!(scene.trace("labs").capped_by, CappedBy::Children);
        assert_eq!(scene.trace("language").capped_by, CappedBy::Limit);
    }
}

mod zero_share {
    use super::*;

    #[test]
    fn a_pool_with_share_zero_has_its_reservation_and_never_borrows() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ guests    reserves 10  share 0  asks 50  → 10
            └ research                        asks 20  → 90
            ",
        );
        assert_eq!(scene.trace("guests").capped_by, CappedBy::Share);
    }

    #[test]
    fn what_only_share_zero_could_take_stays_with_the_parent() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            └ guests    reserves 10  share 0  asks 50  → 10
            ",
        );
        assert_eq!(scene.trace("cluster").undivided, Amount::new(90));
    }

    #[test]
    fn an_unused_reservation_of_share_zero_is_lent_and_comes_back() {
        Scene::of(
            GPU,
            "
            cluster 100
            ├ guests    reserves 50  share 0            → 0
            └ research  reserves 50           asks 100  → 100
            ",
        );
        Scene::of(
            GPU,
            "
            cluster 100
            ├ guests    reserves 50  share 0  asks 50   → 50
            └ research  reserves 50           uses 100  → 50
            ",
        );
    }

    #[test]
    fn special_hardware_is_not_lent_to_who_does_not_list_it() {
        Scene::of(
            "sku.weir.dev/H100",
            "
            cluster 8
            ├ research                       asks 8  → 0
            └ vision    reserves 4  share 1          → 8
            ",
        );
    }
}

mod nesting {
    use super::*;

    #[test]
    fn a_reservation_inside_a_reservation_is_lent_outside_until_it_is_asked_for() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ labs          reserves 60            → 40
            │ ├ language    reserves 40  asks 40   → 40
            │ └ vision      reserves 20            → 0
            └ production    reserves 40  asks 100  → 60
            ",
        );
        assert_eq!(scene.lenders("production"), "20 from labs");
        Scene::of(
            GPU,
            "
            cluster 100
            ├ labs          reserves 60            → 60
            │ ├ language    reserves 40  asks 40   → 40
            │ └ vision      reserves 20  asks 20   → 20
            └ production    reserves 40  asks 100  → 40
            ",
        );
    }

    #[test]
    fn children_that_reserve_more_than_their_parent_are_cut_by_one_factor() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ labs          reserves 30           → 30
            │ ├ language    reserves 20  asks 20  → 10
            │ └ vision      reserves 40  asks 40  → 20
            └ production    reserves 70  asks 70  → 70
            ",
        );
        assert_eq!(scene.conditions(), ["labs: 60 of 30 reserved", "labs: scaled by 1/2"]);
        assert_eq!(scene.trace("vision").from_reservation, Amount::new(20));
        assert_eq!(scene.trace("vision").capped_by, CappedBy::Parent);
    }
}

mod staying {
    use super::*;

    #[test]
    fn a_static_pool_keeps_its_reservation_unused() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ research                            asks 100  → 60
            └ serving   reserves 40  static  uses 5         → 40
            ",
        );
        assert_eq!(scene.lenders("research"), "60 unreserved");
    }

    #[test]
    fn a_static_pool_that_needs_more_borrows_like_others() {
        Scene::of(
            GPU,
            "
            cluster 100
            ├ research  reserves 20  asks 100          → 50
            └ serving   reserves 20  static  asks 100  → 50
            ",
        );
    }

    #[test]
    fn a_parent_reserves_for_its_static_child_and_the_sibling_is_not_left_short() {
        Scene::of(
            GPU,
            "
            cluster 20
            ├ labs        reserves 10           → 10
            │ ├ serving   reserves 5   static   → 5
            │ └ vision    asks 5                → 5
            └ production  asks 30               → 10
            ",
        );
    }

    #[test]
    fn a_static_child_never_makes_its_parent_borrow() {
        Scene::of(
            GPU,
            "
            cluster 20
            ├ labs        reserves 10           → 10
            │ ├ serving   reserves 10  static   → 10
            │ └ vision    asks 5                → 0
            └ production  asks 30               → 10
            ",
        );
    }
}

mod losing_capacity {
    use super::*;

    #[test]
    fn what_cannot_be_taken_stays_and_the_others_are_cut() {
        // Half of the hosts are gone. 40 of production's cannot be taken; 40 + λ × 40 = 50.
        let scene = Scene::of(
            GPU,
            "
            cluster 50
            ├ production  reserves 60  uses 60  fixed 40  → 40
            └ research    reserves 40  uses 40            → 10
            ",
        );
        assert_eq!(scene.conditions(), ["cluster: 100 of 50 reserved", "cluster: scaled by 1/4"]);
        assert_eq!(scene.trace("production").non_preemptible, Amount::new(40));
        assert_eq!(scene.trace("production").from_reservation, Amount::ZERO);
    }

    #[test]
    fn non_preemptible_pods_are_covered_even_where_there_is_less_than_they_use() {
        let scene = Scene::of(
            GPU,
            "
            cluster 30
            ├ production  reserves 60  uses 60  fixed 40  → 40
            └ research    reserves 40  uses 40            → 0
            ",
        );
        assert_eq!(scene.trace("cluster").entitlement, Amount::new(40));
        assert_eq!(scene.conditions(), ["cluster: 100 of 30 reserved", "cluster: scaled by 0/1"]);
    }

    #[test]
    fn a_limit_that_was_lowered_under_non_preemptible_pods_stops_nothing() {
        let scene = Scene::of(
            GPU,
            "
            cluster 100
            ├ production  limit 10  uses 20  fixed 20  asks 5  → 20
            └ research                                 asks 90  → 80
            ",
        );
        assert_eq!(scene.trace("production").capped_by, CappedBy::Limit);
    }

    #[test]
    fn a_cordoned_rack_takes_only_what_was_free_on_it() {
        let mut dims = Dimensions::new();
        let gpu = dims.intern(GPU);
        let gpus = |count| ResourceVec::from_iter([(gpu, Amount::new(count))]);
        let host = |admitted, cordoned| NodeUse {
            allocatable: gpus(8),
            admitted: gpus(admitted),
            cordoned,
            ..NodeUse::default()
        };
        let usable = |rack_cordoned| {
            let nodes = [host(8, rack_cordoned), host(5, rack_cordoned), host(0, false), host(3, false)];
            capacity(&nodes, &Maintenance::default()).usable.amount(gpu)
        };
        assert_eq!(usable(false), Amount::new(32));
        assert_eq!(usable(true), Amount::new(8 + 5 + 8 + 8));
        // All 16 in use are still within what the pools are entitled to: no pool is above it, no pod goes.
        Scene::of(
            GPU,
            "
            cluster 29
            ├ production  reserves 16  uses 13  → 20
            └ research    reserves 16  uses 3   → 9
            ",
        );
    }
}

#[test]
fn cpu_of_gpu_hosts_is_not_counted_for_work_that_may_not_run_there() {
    // 2 CPU hosts with 16 cores and 4 GPU hosts with 64: etl runs on the former, training on the latter.
    //
    // cluster     cpu 32, gpu-hosts.weir.dev/cpu 256
    // ├ etl       asks 100 on CPU hosts
    // └ training  asks 200 on GPU hosts
    let mut dims = Dimensions::new();
    let [cpu_hosts, gpu_hosts] =
        [Class::CpuHosts, Class::GpuHosts].map(|class| dims.intern(&class.dimension("cpu", false)));
    let host = |dim, cores: i64| NodeUse {
        allocatable: ResourceVec::from_iter([(dim, Amount::new(cores * 1000))]),
        ..NodeUse::default()
    };
    let mut nodes = vec![host(cpu_hosts, 16); 2];
    nodes.extend(vec![host(gpu_hosts, 64); 4]);

    let pool = |name: &str| PoolSpec { name: name.into(), ..PoolSpec::default() };
    let (tree, _) = PoolTree::build(vec![pool("etl"), pool("training")], &dims);
    let (etl, training) = (tree.find("etl").unwrap(), tree.find("training").unwrap());
    let mut input = Input::new(&tree);
    input.capacity = capacity(&nodes, &Maintenance::default()).usable;
    input.demand.set(etl, cpu_hosts, Amount::new(100_000));
    input.demand.set(training, gpu_hosts, Amount::new(200_000));
    let entitlements = entitle(&tree, &dims, &input);

    assert_eq!(entitlements.amount(etl, cpu_hosts), Amount::new(32_000));
    assert_eq!(entitlements.amount(training, gpu_hosts), Amount::new(228_000));
    assert_eq!(entitlements.amount(training, cpu_hosts), Amount::ZERO);
}
