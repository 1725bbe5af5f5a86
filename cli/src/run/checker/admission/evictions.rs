//! C4 and C5: why somebody was evicted, for whom, and that it was not done twice.
//!
//! An eviction shows as the condition that the API server sets with it. Others evict too, such as whoever drains
//! a node, so only pods are judged that stood as victims in the AdmissionRound. Two watches have no common order,
//! so nearly everything is judged when nothing more happens.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};
use weir_api::condition::{self, Preempted, Spared};
use weir_api::{AdmissionRound, PodInfo, ResourcePool};
use weir_model::Quantity;

use super::super::{Breach, Invariant};
use super::facts::Admission;

/// Whether the API server has taken an eviction of it, whoever asked for that.
#[must_use]
pub fn is_evicted(pod: &Pod) -> bool {
    let set = PodInfo::of(pod).condition("DisruptionTarget");
    set.is_some_and(|set| set.status == "True" && set.reason.as_deref() == Some("EvictionByEvictionAPI"))
}

/// Whether it says, in a word of the contract and a sentence, why it has to go.
#[must_use]
pub fn says_why(pod: &Pod) -> bool {
    PodInfo::of(pod).condition(condition::PREEMPTED).is_some_and(|said| {
        let word = said.reason.as_deref().unwrap_or_default().parse::<Preempted>();
        said.status == "True" && word.is_ok() && said.message.as_deref().is_some_and(|text| !text.is_empty())
    })
}

/// Why it is not evicted after all, where it says so.
fn spared(pod: &Pod) -> Option<Spared> {
    let said = PodInfo::of(pod).condition(condition::PREEMPTED).filter(|said| said.status == "False")?;
    said.reason.as_deref()?.parse().ok()
}

/// C4: the condition stands on a victim before it is evicted.
#[derive(Clone, Debug, Default)]
pub struct ReasonFirst {
    victims: BTreeSet<String>,
    /// Evicted pods that had no condition at that moment: what to call them, by UID.
    silent: BTreeMap<String, String>,
    evicted: BTreeSet<String>,
}

impl Invariant for ReasonFirst {
    fn name(&self) -> &'static str {
        "C4"
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        self.victims.extend(round.spec.victims.iter().map(|victim| victim.uid.clone()));
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        // One that was spared before may be evicted by somebody else, without a word of ours.
        if is_evicted(pod) && self.evicted.insert(PodInfo::of(pod).key()) && !says_why(pod) && spared(pod).is_none() {
            self.silent.insert(PodInfo::of(pod).key(), PodInfo::of(pod).full_name());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Breach> {
        let ours = self.silent.iter().filter(|(uid, _)| self.victims.contains(*uid));
        let sentence = "it was evicted, and no condition said why before".to_owned();
        ours.map(|(_, pod)| Breach { pod: pod.clone(), sentence: sentence.clone() }).collect()
    }
}

/// C5: nobody stands in the record as a victim again after the eviction was taken.
#[derive(Clone, Debug, Default)]
pub struct EvictedOnce {
    evicted: BTreeMap<String, String>,
    /// The victims of the record as it was told last.
    standing: BTreeSet<String>,
    /// Victims that left the record after their eviction.
    done: BTreeSet<String>,
    again: BTreeSet<String>,
}

impl Invariant for EvictedOnce {
    fn name(&self) -> &'static str {
        "C5"
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        let now: BTreeSet<String> = round.spec.victims.iter().map(|victim| victim.uid.clone()).collect();
        self.again.extend(now.intersection(&self.done).cloned());
        let left = self.standing.difference(&now).filter(|uid| self.evicted.contains_key(*uid)).cloned();
        self.done.extend(left);
        self.standing = now;
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        if is_evicted(pod) {
            self.evicted.insert(PodInfo::of(pod).key(), PodInfo::of(pod).full_name());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Breach> {
        let sentence = "it was to be evicted again after it had been evicted".to_owned();
        let pods = self.again.iter().filter_map(|uid| self.evicted.get(uid));
        pods.map(|pod| Breach { pod: pod.clone(), sentence: sentence.clone() }).collect()
    }
}

/// C5: what is freed reaches whom it was freed for, and nobody more goes for the same demand.
///
/// A plan is not judged where the API server refused one of its evictions (C3), and not where the ground moved
/// under it since: another pool's words, a node that takes less or takes nothing, an entitlement of the claimant's
/// pool that fell because others ask by now; nor where a pod that had been admitted before, and for which the
/// scheduler had found no node yet, took the room that was freed.
#[derive(Clone, Debug, Default)]
pub struct ForSomebody {
    /// By the claimant's first pod, one after the other.
    plans: BTreeMap<String, Vec<Plan>>,
    pods: BTreeMap<String, PodOutcome>,
    /// How many were admitted to each pool.
    admitted: BTreeMap<String, u64>,
    /// Whoever goes for somebody of a pool, as the record was told last.
    standing: BTreeMap<String, BTreeSet<String>>,
    ground: Ground,
}

/// Whom somebody had to go for.
#[derive(Clone, Debug)]
struct Plan {
    pool: String,
    victims: BTreeSet<String>,
    /// Of those, whoever went for nobody of the pool before. Claimants of a pool may change places: the first of
    /// them takes what is freed first, and the other one waits for those who went for him.
    new: BTreeSet<String>,
    /// How often the ground had moved when it was told first.
    moves: u64,
    /// How many had been admitted to the pool by then. Whoever stands before the claimant there may take what was
    /// freed first; then the plan for the claimant is another one, and no eviction too many.
    admitted: u64,
    /// Who had been admitted by then and had no node.
    unbound: BTreeSet<String>,
}

/// What became of a pod.
#[derive(Clone, Debug, Default)]
struct PodOutcome {
    called: String,
    admitted: bool,
    evicted: bool,
    refused: bool,
    gone: bool,
    node: Option<String>,
}

impl ForSomebody {
    fn note(&mut self, pod: &Pod) -> &mut PodOutcome {
        let outcome = self
            .pods
            .entry(PodInfo::of(pod).key())
            .or_insert_with(|| PodOutcome { called: PodInfo::of(pod).full_name(), ..PodOutcome::default() });
        outcome.evicted |= is_evicted(pod);
        outcome.node = outcome.node.take().or_else(|| pod.spec.as_ref()?.node_name.clone());
        outcome.refused |= spared(pod) == Some(Spared::Refused);
        outcome
    }

    /// The victims of a plan that was carried out: all of them are gone, and none because it was refused.
    fn carried_out(&self, plan: &Plan) -> Option<Vec<&str>> {
        let outcomes: Option<Vec<&PodOutcome>> = plan.victims.iter().map(|uid| self.pods.get(uid)).collect();
        let outcomes = outcomes.filter(|outcomes| outcomes.iter().all(|outcome| outcome.gone && !outcome.refused))?;
        let evicted: Vec<&str> =
            outcomes.into_iter().filter(|outcome| outcome.evicted).map(|outcome| &*outcome.called).collect();
        (!evicted.is_empty()).then_some(evicted)
    }

    /// Whether somebody who had been admitted before sits where one of its victims was.
    fn was_taken(&self, plan: &Plan) -> bool {
        let node = |uid: &String| self.pods.get(uid).and_then(|outcome| outcome.node.as_ref());
        let freed: BTreeSet<&String> = plan.victims.iter().filter_map(node).collect();
        plan.unbound.difference(&plan.victims).filter_map(node).any(|node| freed.contains(node))
    }

    fn waits_in_vain(&self, claimant: &str, plans: &[Plan]) -> Option<Breach> {
        let stands = |plan: &&Plan| plan.moves == self.ground.moves_of(&plan.pool) && !self.was_taken(plan);
        let plan = plans.last().filter(stands)?;
        let evicted = self.carried_out(plan)?.join(", ");
        let outcome = self.pods.get(claimant).filter(|outcome| !outcome.admitted && !outcome.gone)?;
        let sentence = format!("{evicted} went for it, and it was not admitted then");
        Some(Breach { pod: outcome.called.clone(), sentence })
    }

    fn twice(&self, claimant: &str, plans: &[Plan]) -> Option<Breach> {
        let again = plans.windows(2).find_map(|pair| {
            let [first, second] = pair else { return None };
            let same = first.moves == second.moves && first.admitted == second.admitted && !self.was_taken(first);
            let evicted = self.carried_out(first).filter(|_| same)?;
            let more = second.new.difference(&first.victims).count();
            (more > 0).then(|| format!("{} went for it, and then {more} more had to go", evicted.join(", ")))
        })?;
        let called = self.pods.get(claimant).map_or_else(|| claimant.to_owned(), |outcome| outcome.called.clone());
        Some(Breach { pod: called, sentence: again })
    }
}

impl Invariant for ForSomebody {
    fn name(&self) -> &'static str {
        "C5"
    }

    fn node_seen(&mut self, node: &Node) {
        self.ground.node(node);
    }

    fn pool_seen(&mut self, pool: &ResourcePool) {
        self.ground.pool(pool);
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        let mut standing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for claim in round.spec.claims.iter().filter(|claim| !claim.victims.is_empty()) {
            standing.entry(claim.pool.clone()).or_default().extend(claim.victims.iter().cloned());
            let Some(claimant) = claim.claimant.first() else { continue };
            let admitted = self.admitted.get(&claim.pool).copied().unwrap_or(0);
            let plans = self.plans.entry(claimant.clone()).or_default();
            let victims: BTreeSet<String> = claim.victims.iter().cloned().collect();
            if plans.last().is_none_or(|plan| plan.victims != victims) {
                let moves = self.ground.moves_of(&claim.pool);
                let before = self.standing.get(&claim.pool);
                let new = victims.iter().filter(|uid| !before.is_some_and(|before| before.contains(*uid)));
                let new = new.cloned().collect();
                let homeless = |outcome: &PodOutcome| outcome.admitted && outcome.node.is_none() && !outcome.gone;
                let unbound =
                    self.pods.iter().filter(|(_, outcome)| homeless(outcome)).map(|(uid, _)| uid.clone()).collect();
                plans.push(Plan { pool: claim.pool.clone(), victims, new, moves, admitted, unbound });
            }
        }
        self.standing = standing;
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        self.note(pod);
        Ok(())
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        self.note(admission.pod).admitted = true;
        if let Some(pool) = PodInfo::of(admission.pod).pool() {
            *self.admitted.entry(pool.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.note(pod).gone = true;
    }

    fn settled(&mut self) -> Vec<Breach> {
        let breaches =
            self.plans.iter().flat_map(|(one, plans)| [self.waits_in_vain(one, plans), self.twice(one, plans)]);
        breaches.flatten().collect()
    }
}

/// What a plan stands on, and how often that moved.
#[derive(Clone, Debug, Default)]
struct Ground {
    /// What each node takes: a text that differs where that does.
    nodes: BTreeMap<String, String>,
    /// What each pool says, and what it is entitled to of each dimension.
    pools: BTreeMap<String, (String, BTreeMap<String, Quantity>)>,
    /// How often all of it moved.
    all: u64,
    /// How often the entitlement of a pool fell.
    fell: BTreeMap<String, u64>,
}

impl Ground {
    fn moves_of(&self, pool: &str) -> u64 {
        self.all + self.fell.get(pool).copied().unwrap_or(0)
    }

    fn node(&mut self, node: &Node) {
        let spec = node.spec.as_ref().map(|spec| (spec.unschedulable, &spec.taints));
        let takes = format!("{spec:?}{:?}", node.status.as_ref().map(|status| &status.allocatable));
        let name = node.metadata.name.clone().unwrap_or_default();
        let before = self.nodes.insert(name, takes.clone());
        self.all += u64::from(before.is_some_and(|before| before != takes));
    }

    fn pool(&mut self, pool: &ResourcePool) {
        let says = format!("{:?}", pool.spec);
        let resources = pool.status.iter().flat_map(|status| &status.resources);
        let entitled: BTreeMap<String, Quantity> =
            resources.filter_map(|one| Some((one.name.clone(), one.entitlement.0.parse().ok()?))).collect();
        let name = pool.metadata.name.clone().unwrap_or_default();
        let Some((before, had)) = self.pools.insert(name.clone(), (says.clone(), entitled.clone())) else { return };
        self.all += u64::from(before != says);
        let less = had.iter().any(|(dim, before)| entitled.get(dim).is_none_or(|now| now < before));
        *self.fell.entry(name).or_default() += u64::from(less);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::Checker;
    use super::*;

    /// A pod of research as the watch tells it, with these conditions.
    fn pod(name: &str, conditions: Value) -> Pod {
        let labels = json!({ "weir.dev/pool": "research" });
        let annotations = json!({ "weir.dev/pool": "research", "weir.dev/admitted-as": "WithinEntitlement" });
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "team", "uid": name, "labels": labels, "annotations": annotations },
            "spec": { "containers": [] },
            "status": { "conditions": conditions },
        }))
        .unwrap()
    }

    /// A pod of production that waits.
    fn waits(name: &str) -> Pod {
        let gates = json!([{ "name": "weir.dev/admission" }]);
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "team", "uid": name },
            "spec": { "containers": [], "schedulingGates": gates },
        }))
        .unwrap()
    }

    fn said(status: &str, reason: &str) -> Value {
        json!({ "type": "weir.dev/Preempted", "status": status, "reason": reason, "message": "because" })
    }

    fn taken() -> Value {
        json!({ "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" })
    }

    fn why() -> Value {
        said("True", "Reclaimed")
    }

    /// The record in which these go for pod `prod`.
    fn round(victims: &[&str]) -> AdmissionRound {
        let victim = |uid: &&str| json!({ "uid": uid, "namespace": "team", "name": uid, "pool": "research", "claimant": "prod" });
        let claim = json!([{ "claimant": ["prod"], "pool": "production", "victims": victims }]);
        let victims: Vec<Value> = victims.iter().map(victim).collect();
        let claims = if victims.is_empty() { json!([]) } else { claim };
        AdmissionRound::new(
            "weir",
            serde_json::from_value(json!({ "epoch": 1, "claims": claims, "victims": victims })).unwrap(),
        )
    }

    /// The pool of the claimant, entitled to so much.
    fn pool(entitled: &str) -> ResourcePool {
        let mut pool = ResourcePool::new("production", serde_json::from_value(json!({})).unwrap());
        let resource = json!({ "name": "cpu", "entitlement": entitled, "usage": "0", "demand": "0", "borrowed": "0" });
        pool.status = Some(serde_json::from_value(json!({ "resources": [resource] })).unwrap());
        pool
    }

    /// A checker of these three promises, with what it found so far.
    struct Judge(Checker, Vec<String>);

    impl Judge {
        fn new() -> Self {
            let mut judge = Self(
                Checker::new(vec![
                    Box::new(ReasonFirst::default()),
                    Box::new(EvictedOnce::default()),
                    Box::new(ForSomebody::default()),
                ]),
                Vec::new(),
            );
            judge.0.pool_seen(&pool("4"));
            judge.sees(&waits("prod"));
            judge
        }

        fn sees(&mut self, pod: &Pod) {
            self.1.extend(self.0.pod_seen(pod).iter().map(ToString::to_string));
        }

        /// A victim says why, is evicted, and is gone.
        fn goes(&mut self, name: &str) {
            self.sees(&pod(name, json!([why()])));
            self.sees(&pod(name, json!([why(), taken()])));
            self.0.pod_gone(&pod(name, json!([why(), taken()])));
        }

        fn finds(mut self) -> Vec<String> {
            self.1.extend(self.0.settled().iter().map(ToString::to_string));
            self.1
        }
    }

    #[test]
    fn an_eviction_with_a_reason_for_somebody_who_is_admitted_then_breaks_nothing() {
        let mut judge = Judge::new();
        judge.0.round_seen(&round(&["a", "b"]));
        judge.goes("a");
        judge.0.round_seen(&round(&["b"]));
        judge.goes("b");
        judge.0.round_seen(&round(&[]));
        judge.sees(&pod("prod", json!([])));
        assert_eq!(judge.finds(), [""; 0]);
    }

    #[test]
    fn a_victim_that_is_evicted_without_a_condition_is_found() {
        for conditions in [json!([taken()]), json!([said("True", "Whim"), taken()])] {
            let mut judge = Judge::new();
            judge.sees(&pod("a", conditions));
            // What comes after the eviction is too late.
            judge.sees(&pod("a", json!([why(), taken()])));
            judge.0.round_seen(&round(&["a"]));
            assert_eq!(judge.finds(), ["C4 broken: team/a: it was evicted, and no condition said why before"]);
        }
        let mut judge = Judge::new();
        judge.sees(&pod("drained-by-hand", json!([taken()])));
        assert_eq!(judge.finds(), [""; 0], "who was no victim was evicted by somebody else");
    }

    #[test]
    fn an_eviction_for_a_claimant_that_does_not_fit_then_is_found() {
        let carried_out = || {
            let mut judge = Judge::new();
            judge.0.round_seen(&round(&["a", "b"]));
            judge.goes("a");
            judge
        };
        assert_eq!(carried_out().finds(), [""; 0], "somebody still has to go");
        let mut judge = carried_out();
        judge.goes("b");
        let sentence = "C5 broken: team/prod: team/a, team/b went for it, and it was not admitted then";
        assert_eq!(judge.finds(), [sentence]);
        // Nobody is to blame where the claimant went away, or the ground moved.
        let mut judge = carried_out();
        judge.goes("b");
        judge.0.pod_gone(&waits("prod"));
        assert_eq!(judge.finds(), [""; 0]);
        let mut judge = carried_out();
        judge.goes("b");
        judge.0.pool_seen(&pool("3"));
        assert_eq!(judge.finds(), [""; 0], "others ask for what it was entitled to");
        let mut judge = carried_out();
        judge.goes("b");
        judge.0.pool_seen(&pool("5"));
        assert_eq!(judge.finds(), [sentence]);
    }

    #[test]
    fn a_plan_of_which_one_was_refused_may_be_followed_by_another() {
        let mut judge = Judge::new();
        judge.0.round_seen(&round(&["a", "b"]));
        judge.goes("a");
        judge.sees(&pod("b", json!([said("False", "Refused")])));
        judge.0.round_seen(&round(&["c"]));
        judge.goes("c");
        judge.sees(&pod("prod", json!([])));
        judge.0.pod_gone(&pod("b", json!([said("False", "Refused")])));
        assert_eq!(judge.finds(), [""; 0]);
    }

    #[test]
    fn whoever_goes_after_a_plan_was_carried_out_goes_twice_for_one_demand() {
        let mut judge = Judge::new();
        judge.0.round_seen(&round(&["a"]));
        judge.goes("a");
        judge.0.round_seen(&round(&["b", "c"]));
        judge.goes("b");
        judge.goes("c");
        judge.sees(&pod("prod", json!([])));
        assert_eq!(judge.finds(), ["C5 broken: team/prod: team/a went for it, and then 2 more had to go"]);
    }

    #[test]
    fn who_was_admitted_before_and_had_no_node_may_take_what_was_freed() {
        let on = |mut pod: Pod, node: &str| {
            pod.spec.as_mut().unwrap().node_name = Some(node.to_owned());
            pod
        };
        let ending = |node: &str, known: bool| {
            let mut judge = Judge::new();
            judge.sees(&on(pod("a", json!([])), "n1"));
            if known {
                judge.sees(&pod("early", json!([])));
            }
            judge.0.round_seen(&round(&["a"]));
            judge.goes("a");
            judge.sees(&on(pod("early", json!([])), node));
            judge.0.round_seen(&round(&["b"]));
            judge.goes("b");
            judge.sees(&pod("prod", json!([])));
            judge.finds()
        };
        let breach = ["C5 broken: team/prod: team/a went for it, and then 1 more had to go"];
        assert_eq!(ending("n1", true), [""; 0]);
        assert_eq!(ending("n2", true), breach, "it sits elsewhere");
        assert_eq!(ending("n1", false), breach, "it was admitted later");
    }

    #[test]
    fn claimants_of_a_pool_may_change_places() {
        let claims = |claims: &[(&str, &[&str])]| {
            let claim = |(claimant, victims): &(&str, &[&str])| json!({ "claimant": [claimant], "pool": "production", "victims": victims });
            let claims: Vec<Value> = claims.iter().map(claim).collect();
            let spec = json!({ "epoch": 1, "claims": claims, "victims": [] });
            AdmissionRound::new("weir", serde_json::from_value(spec).unwrap())
        };
        let ending = |then: &[&str]| {
            let mut judge = Judge::new();
            judge.sees(&waits("first"));
            judge.0.round_seen(&claims(&[("prod", &["a"]), ("first", &["b"])]));
            judge.goes("a");
            // The one before it took what was freed for it, and it waits for what goes for the other.
            judge.0.round_seen(&claims(&[("prod", then)]));
            then.iter().for_each(|victim| judge.goes(victim));
            judge.sees(&pod("first", json!([])));
            judge.sees(&pod("prod", json!([])));
            judge.finds()
        };
        assert_eq!(ending(&["b"]), [""; 0]);
        assert_eq!(ending(&["b", "c"]), ["C5 broken: team/prod: team/a went for it, and then 1 more had to go"]);
    }

    #[test]
    fn a_node_that_takes_less_moves_the_ground_and_one_that_is_only_heard_of_again_does_not() {
        let node = |cores: &str| -> Node {
            let status = json!({ "allocatable": { "cpu": cores } });
            serde_json::from_value(json!({ "metadata": { "name": "n1" }, "status": status })).unwrap()
        };
        let after = |cores: &str| {
            let mut judge = Judge::new();
            judge.0.node_seen(&node("4"));
            judge.0.round_seen(&round(&["a"]));
            judge.goes("a");
            judge.0.node_seen(&node(cores));
            judge.finds().len()
        };
        assert_eq!([after("4"), after("2")], [1, 0]);
    }

    #[test]
    fn whoever_was_evicted_and_is_recorded_again_is_found() {
        let mut judge = Judge::new();
        judge.0.round_seen(&round(&["a"]));
        judge.sees(&pod("a", json!([why(), taken()])));
        judge.0.round_seen(&round(&[]));
        judge.0.round_seen(&round(&["a"]));
        assert_eq!(judge.finds(), ["C5 broken: team/a: it was to be evicted again after it had been evicted"]);
        // One that was spared in between, and evicted only then, was not.
        let mut judge = Judge::new();
        judge.0.round_seen(&round(&["a"]));
        judge.0.round_seen(&round(&[]));
        judge.0.round_seen(&round(&["a"]));
        judge.sees(&pod("a", json!([why(), taken()])));
        assert_eq!(judge.finds(), [""; 0]);
    }
}
