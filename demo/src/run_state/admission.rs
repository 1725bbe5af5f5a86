//! Pools and the queue, as the sidecar reports them on its objects.
//!
//! Figures of pools are taken as told, the newest stand. Who waits is worked out from the pods: a pod waits
//! for admission from the first time that its gate was told until it is told that it went.

use std::collections::BTreeMap;

use weir_model::Amount;
use weir_model::dimension::GPU;

use super::At;

/// The figures of a pool, as its status says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// Unique in the cluster.
    pub name: String,
    /// The pool above; `None` right under the cluster.
    pub parent: Option<String>,
    /// By dimension.
    pub resources: BTreeMap<String, PoolLevel>,
}

/// One dimension of a pool, in its base unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolLevel {
    /// What is guaranteed to it.
    pub reserved: Amount,
    /// What the pool may use now.
    pub entitlement: Amount,
    /// What its pods use.
    pub usage: Amount,
    /// What its waiting pods ask for.
    pub demand: Amount,
    /// The part of the entitlement that comes from others' reservations.
    pub borrowed: Amount,
}

/// The most that a pool had at any time, of GPUs that are not special.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// What its pods used.
    pub used: Amount,
    /// What it borrowed.
    pub borrowed: Amount,
    /// Pods admitted in it and below, all together over the run.
    pub admitted: usize,
}

/// A pool in the tree as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRow<'a> {
    /// 0 right under the cluster.
    pub depth: usize,
    /// Whether it is the last among its siblings.
    pub last: bool,
    /// Its figures.
    pub figures: &'a PoolFigures,
}

/// A gang that a pod belongs to, and how many members it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangOf {
    /// Unique in the run.
    pub name: String,
    /// At least 1.
    pub size: usize,
}

/// Whether somebody who waits may get a turn by waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outlook {
    /// When others end, or nobody has said yet.
    #[default]
    MayPass,
    /// When the rest of its gang comes.
    Incomplete,
    /// Never as it is: it asks for more than there is, or than its pool may have.
    ForGood,
}

/// A pod that waits for admission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The reason of its condition; `None` where nobody has said one yet.
    pub reason: Option<String>,
    /// Whether waiting may help.
    pub outlook: Outlook,
    /// The gang that it waits with.
    pub gang: Option<GangOf>,
    /// The pool that it asks.
    pub pool: Option<String>,
}

/// How many pods wait for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitReason {
    /// The word of the condition; `None` for those that nobody has looked at yet.
    pub reason: Option<String>,
    /// Pods.
    pub pods: usize,
}

/// A gang that waits for members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangRow {
    /// Its name.
    pub name: String,
    /// Members that wait.
    pub created: usize,
    /// Members that it announces.
    pub size: usize,
    /// When its first member was seen.
    pub since: At,
}

/// What is known of pools and of those that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission {
    pools: BTreeMap<String, PoolFigures>,
    gates: BTreeMap<String, Gate>,
    /// When the first member of a gang that is not whole yet was seen.
    since: BTreeMap<String, At>,
    most: BTreeMap<String, Most>,
}

impl Admission {
    pub(super) fn pool(&mut self, figures: PoolFigures) {
        let PoolLevel { usage, borrowed, .. } = figures.resources.get(GPU).copied().unwrap_or_default();
        let most = self.most.entry(figures.name.clone()).or_default();
        (most.used, most.borrowed) = (most.used.max(usage), most.borrowed.max(borrowed));
        self.pools.insert(figures.name.clone(), figures);
    }

    pub(super) fn pool_gone(&mut self, name: &str) {
        self.pools.remove(name);
    }

    /// A pod carries the gate; whether the gang that it is in has become whole by that.
    pub(super) fn waits(&mut self, pod: &str, gate: Gate, now: At) -> Option<GangOf> {
        let Some(gang) = gate.gang.clone() else {
            self.gates.insert(pod.to_owned(), gate);
            return None;
        };
        let new = self.gates.insert(pod.to_owned(), gate).is_none();
        self.since.entry(gang.name.clone()).or_insert(now);
        let created = self.gates.values().filter(|gate| gate.gang.as_ref() == Some(&gang)).count();
        (new && created == gang.size).then_some(gang)
    }

    /// Its gate is gone, or the pod is; the gate that it had.
    pub(super) fn waits_no_more(&mut self, pod: &str) -> Option<Gate> {
        let gate = self.gates.remove(pod)?;
        if let Some(gang) = &gate.gang {
            let others = self.gates.values().any(|gate| gate.gang.as_ref() == Some(gang));
            if !others {
                self.since.remove(&gang.name);
            }
        }
        Some(gate)
    }

    /// Counts an admission for its pool and every pool above.
    pub(super) fn admitted(&mut self, gate: &Gate) {
        let mut next = gate.pool.clone();
        // No tree is as deep as it has pools; one that leads round in a circle ends here.
        for _ in 0..=self.pools.len() {
            let Some(pool) = next else { return };
            self.most.entry(pool.clone()).or_default().admitted += 1;
            next = self.pools.get(&pool).and_then(|figures| figures.parent.clone());
        }
    }

    pub(super) fn most(&self, pool: &str) -> Most {
        self.most.get(pool).copied().unwrap_or_default()
    }

    pub(super) fn waiting(&self) -> usize {
        self.gates.len()
    }

    /// The gate of a pod that waits.
    pub(super) fn gate(&self, pod: &str) -> Option<&Gate> {
        self.gates.get(pod)
    }

    /// How many wait to whom nobody has said why.
    pub(super) fn unexplained(&self) -> usize {
        self.gates.values().filter(|gate| gate.reason.is_none()).count()
    }

    /// How many have this to expect.
    pub(super) fn with(&self, outlook: Outlook) -> usize {
        self.gates.values().filter(|gate| gate.outlook == outlook).count()
    }

    /// Reasons of most pods first, then by name.
    pub(super) fn reasons(&self) -> Vec<WaitReason> {
        let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for gate in self.gates.values() {
            *counts.entry(gate.reason.as_deref()).or_default() += 1;
        }
        let mut reasons: Vec<WaitReason> =
            counts.into_iter().map(|(reason, pods)| WaitReason { reason: reason.map(str::to_owned), pods }).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.pods));
        reasons
    }

    /// Gangs that are not whole: those that miss fewest first, then those that wait longest.
    pub(super) fn gangs(&self) -> Vec<GangRow> {
        let mut created: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for gang in self.gates.values().filter_map(|gate| gate.gang.as_ref()) {
            created.entry(&gang.name).or_insert((0, gang.size)).0 += 1;
        }
        let row = |(name, (created, size)): (&str, (usize, usize))| {
            let since = self.since.get(name).copied().unwrap_or_default();
            (created < size).then(|| GangRow { name: name.to_owned(), created, size, since })
        };
        let mut rows: Vec<GangRow> = created.into_iter().filter_map(row).collect();
        rows.sort_by_key(|row| (row.size - row.created, row.since));
        rows
    }

    /// All pools, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &PoolFigures> {
        self.pools.values()
    }

    /// Depth first, siblings by name. A pool whose parent is not known stands at the top; pools that lead
    /// round in a circle are left out.
    pub(super) fn tree(&self) -> Vec<PoolRow<'_>> {
        let children = |parent: Option<&str>| -> Vec<&PoolFigures> {
            let hangs = |pool: &&PoolFigures| match (parent, pool.parent.as_deref()) {
                (None, Some(above)) => !self.pools.contains_key(above),
                (parent, above) => parent == above,
            };
            self.pools.values().filter(hangs).collect()
        };
        let (mut rows, mut open) = (Vec::new(), vec![children(None).into_iter()]);
        while let Some(level) = open.last_mut() {
            let Some(figures) = level.next() else {
                open.pop();
                continue;
            };
            let last = level.len() == 0;
            rows.push(PoolRow { depth: open.len() - 1, last, figures });
            open.push(children(Some(&figures.name)).into_iter());
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pool(name: &str, parent: Option<&str>) -> PoolFigures {
        PoolFigures { name: name.into(), parent: parent.map(Into::into), ..PoolFigures::default() }
    }

    fn at(seconds: u64) -> At {
        Duration::from_secs(seconds)
    }

    fn gate(reason: &str, gang: Option<(&str, usize)>) -> Gate {
        let gang = gang.map(|(name, size)| GangOf { name: name.into(), size });
        Gate { reason: Some(reason.into()), gang, ..Gate::default() }
    }

    #[test]
    fn the_tree_is_in_the_order_in_which_it_is_drawn_whatever_the_order_it_was_told_in() {
        let mut admission = Admission::default();
        for (name, parent) in [("b-2", Some("b")), ("lost", Some("gone")), ("a", None), ("b-1", Some("b")), ("b", None)]
        {
            admission.pool(pool(name, parent));
        }
        for (name, parent) in [("round", Some("circle")), ("circle", Some("round"))] {
            admission.pool(pool(name, parent));
        }
        let rows: Vec<_> =
            admission.tree().into_iter().map(|row| (row.depth, row.figures.name.as_str(), row.last)).collect();
        assert_eq!(rows, [(0, "a", false), (0, "b", false), (1, "b-1", false), (1, "b-2", true), (0, "lost", true)]);
    }

    #[test]
    fn what_a_pool_had_at_the_most_is_remembered_and_admissions_count_upwards() {
        let mut admission = Admission::default();
        let told = |admission: &mut Admission, usage, borrowed| {
            let (usage, borrowed) = (Amount::new(usage), Amount::new(borrowed));
            let level = PoolLevel { usage, borrowed, ..PoolLevel::default() };
            admission.pool(PoolFigures { resources: [(GPU.to_owned(), level)].into(), ..pool("labs-a", Some("labs")) });
        };
        admission.pool(pool("labs", None));
        for (usage, borrowed) in [(1, 0), (7, 3), (5, 4)] {
            told(&mut admission, usage, borrowed);
        }
        let asks = Gate { pool: Some("labs-a".into()), ..Gate::default() };
        admission.admitted(&asks);
        admission.admitted(&asks);
        assert_eq!(admission.most("labs-a"), Most { used: Amount::new(7), borrowed: Amount::new(4), admitted: 2 });
        assert_eq!(admission.most("labs"), Most { admitted: 2, ..Most::default() });
    }

    #[test]
    fn reasons_are_counted_and_a_pod_has_the_one_it_was_told_last() {
        let mut admission = Admission::default();
        admission.waits("p", Gate::default(), at(1));
        admission.waits("q", gate("WaitingForQuota", None), at(1));
        admission.waits("r", gate("WaitingForQuota", None), at(1));
        let reason = |reason: Option<&str>, pods| WaitReason { reason: reason.map(Into::into), pods };
        assert_eq!(admission.reasons(), [reason(Some("WaitingForQuota"), 2), reason(None, 1)]);
        admission.waits("p", gate("PoolHeld", None), at(2));
        admission.waits_no_more("q");
        assert_eq!(admission.reasons(), [reason(Some("PoolHeld"), 1), reason(Some("WaitingForQuota"), 1)]);
    }

    #[test]
    fn a_gang_waits_for_members_until_all_are_there_and_is_told_whole_once() {
        let mut admission = Admission::default();
        let of = |admission: &mut Admission, pod: &str, second| {
            admission.waits(pod, gate("WaitingForGang", Some(("g", 3))), at(second))
        };
        assert_eq!(of(&mut admission, "a", 1), None);
        assert_eq!(of(&mut admission, "a", 2), None, "told again");
        assert_eq!(of(&mut admission, "b", 3), None);
        assert_eq!(admission.gangs(), [GangRow { name: "g".into(), created: 2, size: 3, since: at(1) }]);
        assert_eq!(of(&mut admission, "c", 9).map(|gang| gang.name), Some("g".into()));
        assert_eq!(of(&mut admission, "c", 9), None);
        assert_eq!(admission.gangs(), []);
    }
}
