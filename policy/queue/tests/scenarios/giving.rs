//! What becomes of evictions that are under way: claims that end, leaders that change, budgets that are used
//! up, and clusters in which nothing is enforced.

use std::collections::BTreeSet;
use std::time::Duration;

use weir_queue::{
    Admitted, Budget, Config, Decision, Enforcement, Event, Eviction, Grounds, Phase, PoolSettings, PoolState, Record,
    RecordedClaim, Released, Time, Uid,
};

use crate::cluster::*;

/// ```text
/// cluster        4 hosts × 8 GPUs = 32
/// ├─ production  reserves 16
/// └─ research
/// ```
fn pools() -> Vec<weir_queue::PoolConfig> {
    vec![pool("production").reserves(GPU, 16), pool("research")]
}

fn drains(settings: &mut PoolSettings) {
    settings.state = PoolState::Drain;
}

/// One step, of which nothing is carried out.
fn decide(cluster: &mut Cluster) -> Vec<Decision> {
    let events = std::mem::take(&mut cluster.events);
    cluster.queue.step(cluster.now, events)
}

fn evictions(decisions: &[Decision]) -> Vec<&Eviction> {
    let evicts = decisions.iter().filter_map(|decision| match decision {
        Decision::Evict(eviction) => Some(eviction),
        _ => None,
    });
    evicts.collect()
}

fn releases(decisions: &[Decision]) -> Vec<&Released> {
    let released = decisions.iter().filter_map(|decision| match decision {
        Decision::Release(released) => Some(released),
        _ => None,
    });
    released.collect()
}

/// Research fills the cluster, production waits for a host, and a victim was decided on but is not evicted.
fn under_way() -> (Cluster, Uid, Uid) {
    let mut cluster = Cluster::new(pools(), gpu_nodes(4, 8));
    cluster.recreate = false;
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(59);
    cluster.now = cluster.now.after(Duration::from_secs(2));
    let decisions = decide(&mut cluster);
    let victim = evictions(&decisions)[0].victims[0].uid;
    let claimant = cluster.jobs["prod"][0];
    (cluster, claimant, victim)
}

#[test]
fn a_victim_stays_when_the_claimant_found_room_elsewhere() {
    let (mut cluster, claimant, victim) = under_way();
    let other = *cluster.jobs["run"].iter().find(|&&uid| uid != victim).unwrap();
    cluster.delete(other);
    let decisions = decide(&mut cluster);
    assert!(matches!(&decisions[0], Decision::Admit(admission) if admission.pods[0].0 == claimant), "{decisions:?}");
    assert_eq!(releases(&decisions), [&Released { claimant: vec![claimant], spared: vec![victim] }]);
    assert_eq!(cluster.used("research", GPU), 24);
}

/// Research runs this, production waits with that, and the plan for it was decided on.
fn gang_under_way(run: Job, production: Job) -> (Cluster, Uid, Vec<Uid>) {
    let mut cluster = Cluster::new(pools(), gpu_nodes(4, 8));
    cluster.recreate = false;
    cluster.submit("run", run);
    cluster.settle(5);
    cluster.submit("prod", production);
    cluster.settle(59);
    cluster.now = cluster.now.after(Duration::from_secs(2));
    let decisions = decide(&mut cluster);
    let victims = evictions(&decisions)[0].victims.iter().map(|victim| victim.uid).collect();
    let claimant = cluster.jobs["prod"][0];
    (cluster, claimant, victims)
}

#[test]
fn the_rest_of_a_gang_follows_even_if_the_claimant_fits_as_soon_as_one_is_gone() {
    let host = || job("production", asks(&[(GPU, 8)]));
    let (mut cluster, claimant, victims) = gang_under_way(job("research", asks(&[(GPU, 8)])).gang(4), host());
    assert_eq!(victims.len(), 4);
    cluster.delete(victims[0]);
    let decisions = decide(&mut cluster);
    assert!(matches!(&decisions[0], Decision::Admit(admission) if admission.pods[0].0 == claimant), "{decisions:?}");
    assert_eq!(releases(&decisions), [&Released { claimant: vec![claimant], spared: Vec::new() }]);
    // Where no pod is gone, no pod has to go.
    let (mut cluster, claimant, victims) = gang_under_way(job("research", asks(&[(GPU, 8)])).gang(4), host());
    cluster.delete(claimant);
    let decisions = decide(&mut cluster);
    let [released] = releases(&decisions)[..] else { panic!("{decisions:?}") };
    assert_eq!(released.spared.iter().collect::<BTreeSet<_>>(), victims.iter().collect());
    assert_eq!(cluster.used("research", GPU), 32);
}

#[test]
fn the_other_host_of_a_worker_follows_even_if_the_claimant_fits_as_soon_as_one_is_gone() {
    // A head and one worker of two hosts are needed; the two others fill the cluster, and one host goes too many.
    let ray = job("research", asks(&[(GPU, 4)])).times(7).needs(3, 2);
    let (mut cluster, claimant, victims) = gang_under_way(ray, job("production", asks(&[(GPU, 8)])));
    assert_eq!(victims.len(), 2, "one worker with both its hosts");
    let whole = cluster.used("research", GPU);
    cluster.delete(victims[0]);
    let decisions = decide(&mut cluster);
    let spared = releases(&decisions).iter().map(|released| released.spared.len()).sum::<usize>();
    assert_eq!((spared, whole, cluster.running("prod")), (0, 28, 0));
    cluster.delete(victims[1]);
    let decisions = decide(&mut cluster);
    assert!(
        decisions.iter().any(|it| matches!(it, Decision::Admit(one) if one.pods[0].0 == claimant)),
        "{decisions:?}"
    );
}

#[test]
fn a_refusal_keeps_the_rest_of_a_gang_of_which_some_are_gone() {
    let hosts = job("production", asks(&[(GPU, 8)])).gang(2);
    let (mut cluster, _, victims) = gang_under_way(job("research", asks(&[(GPU, 8)])).gang(4), hosts);
    cluster.delete(victims[0]);
    assert_eq!(releases(&decide(&mut cluster)), [] as [&Released; 0]);
    let decisions = cluster.queue.step(cluster.now, [Event::EvictionRefused(victims[1])]);
    let spared = victims[2..].to_vec();
    assert_eq!(releases(&decisions), [&Released { claimant: cluster.jobs["prod"].clone(), spared }]);
}

#[test]
fn when_the_claimant_is_gone_its_claim_ends_under_its_name_and_its_victims_stay() {
    let (mut cluster, claimant, victim) = under_way();
    cluster.delete(claimant);
    // Another pod, that takes the number of the one that is gone.
    cluster.submit("next", job("production", asks(&[(GPU, 8)])));
    let decisions = decide(&mut cluster);
    assert_eq!(releases(&decisions), [&Released { claimant: vec![claimant], spared: vec![victim] }]);
}

/// What a new leader knows after the one before recorded this.
fn new_leader(cluster: &Cluster, record: Record) -> Cluster {
    let mut next = Cluster::new(pools(), gpu_nodes(4, 8));
    next.recreate = false;
    (next.now, next.jobs, next.pods) = (cluster.now, cluster.jobs.clone(), cluster.pods.clone());
    next.events.extend(next.pods.values().cloned().map(Event::Pod));
    next.events.push(Event::Restored(record));
    next
}

#[test]
fn a_new_leader_goes_on_with_the_recorded_claim_and_evicts_no_other_pod() {
    let (cluster, claimant, victim) = under_way();
    let node = match &cluster.pods[&victim].phase {
        Phase::Admitted(Admitted { node: Some(node), .. }) => node.to_string(),
        other => panic!("{other:?}"),
    };
    let claim = RecordedClaim { claimant: vec![claimant], nodes: vec![node], held: vec![], victims: vec![victim] };
    let record = Record { claims: vec![claim], victims: vec![victim], ..Record::default() };
    let mut next = new_leader(&cluster, record);
    next.settle(200);
    assert_eq!(next.evictions.len(), 0, "the victim that is recorded is enough");
    next.jobs.get_mut("run").unwrap().retain(|&uid| uid != victim);
    next.delete(victim);
    next.settle(1);
    assert_eq!([next.running("prod"), next.running("run")], [1, 3]);
}

#[test]
fn budgets_allow_less_while_evictions_are_under_way() {
    let mut cluster = Cluster::new(pools(), gpu_nodes(4, 8));
    cluster.recreate = false;
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    let budget = Budget { name: "default/run".into(), allowed: 1, pods: cluster.jobs["run"].clone() };
    cluster.events.push(Event::Budgets(vec![budget]));
    cluster.submit("one", job("production", asks(&[(GPU, 8)])));
    cluster.settle(1);
    cluster.submit("two", job("production", asks(&[(GPU, 8)])));
    cluster.now = cluster.now.after(Duration::from_secs(70));
    let mut going = 0;
    for _ in 0..5 {
        going += evictions(&decide(&mut cluster)).iter().map(|eviction| eviction.victims.len()).sum::<usize>();
        cluster.now = cluster.now.after(Duration::from_secs(70));
    }
    assert_eq!(going, 1, "the budget was not heard of since, and one eviction is under way");
}

#[test]
fn pods_of_a_draining_pool_do_not_use_up_a_budget_together() {
    let mut cluster = Cluster::new(vec![pool("old")], gpu_nodes(4, 8));
    cluster.submit("run", job("old", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    let budget = Budget { name: "default/run".into(), allowed: 2, pods: cluster.jobs["run"].clone() };
    cluster.events.push(Event::Budgets(vec![budget]));
    cluster.events.push(Event::Pools(vec![pool("old").with(drains)]));
    assert_eq!(evictions(&decide(&mut cluster)).len(), 2);
    assert_eq!(evictions(&decide(&mut cluster)).len(), 0);
}

#[test]
fn the_rest_of_a_draining_gang_stays_with_the_member_that_has_to() {
    let mut cluster = Cluster::new(vec![pool("old")], gpu_nodes(4, 8));
    cluster.submit("train", job("old", asks(&[(GPU, 8)])).gang(3));
    cluster.settle(1);
    cluster.events.push(Event::Pools(vec![pool("old").with(drains)]));
    let decisions = decide(&mut cluster);
    assert_eq!(evictions(&decisions)[0].victims.len(), 3);
    let refused = cluster.jobs["train"][1];
    let decisions = cluster.queue.step(cluster.now, [Event::EvictionRefused(refused)]);
    let spared: Vec<Uid> = cluster.jobs["train"].iter().copied().filter(|&uid| uid != refused).collect();
    assert_eq!(releases(&decisions), [&Released { claimant: vec![], spared }]);
    assert_eq!(evictions(&decisions).len(), 0, "it is left alone for a while");
}

#[test]
fn where_nothing_is_enforced_it_is_said_once_which_pods_would_have_to_go() {
    let config = Config { enforcement: Enforcement::Off, ..Config::default() };
    let mut cluster = Cluster::with_config(pools(), gpu_nodes(4, 8), config);
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(100);
    assert_eq!((cluster.evictions.len(), cluster.spoken_of.len()), (0, 1));
    assert_eq!(cluster.spoken_of[0].victims.len(), 1);
    assert_eq!([cluster.running("prod"), cluster.running("run")], [1, 4]);
    let tree = vec![pool("production").reserves(GPU, 16), pool("research").with(drains)];
    cluster.events.push(Event::Pools(tree));
    cluster.settle(100);
    let spoken_of: Vec<_> = cluster.spoken_of.iter().flat_map(|eviction| &eviction.victims).collect();
    assert_eq!((cluster.evictions.len(), spoken_of.len()), (0, 4), "of each pod once");
}

/// A leader that comes after 25 minutes knows from old marks how long the scheduler has worked.
#[test]
fn a_new_leader_kills_what_was_not_placed_for_25_minutes_under_the_one_before() {
    let mut cluster = Cluster::new(vec![pool("a")], gpu_nodes(2, 8));
    cluster.submit("late", job("a", asks(&[(GPU, 8)])));
    let mut pod = cluster.pods[&cluster.jobs["late"][0]].clone();
    let (at, grounds) = (cluster.now, Grounds::WithinEntitlement);
    pod.phase = Phase::Admitted(Admitted { at, grounds, node: None, started: None, terminating: None });
    cluster.change(pod);
    let minute = |minute: u64| Time::from_millis(1_000_000 + minute * 60_000);
    cluster.now = minute(26);
    for mark in [20, 0, 5, 10, 15] {
        cluster.events.push(Event::SchedulerWorked(minute(mark)));
    }
    cluster.settle(0);
    assert_eq!(cluster.evictions.len(), 1);
    assert_eq!(
        cluster.evictions[0].to_string(),
        "admitted and not placed for 1560 s; 0 of 1 placed: killed to give the resources back"
    );
}
