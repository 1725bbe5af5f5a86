//! What the acts go by: who plays which part and how far everybody is, what is free on which host, and what the
//! pools say. Read from the watch alone, like everything that is shown.

use std::collections::BTreeMap;

use weir_model::Amount;
use weir_model::dimension::GPU;

use super::cast::Part;
use super::story::{self, Gate, PoolFigures, PoolLevel};

/// What is known now.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    nodes: BTreeMap<String, story::Node>,
    /// By UID.
    pods: BTreeMap<String, Player>,
    pools: BTreeMap<String, PoolLevel>,
}

/// A pod that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Player {
    pub(super) name: String,
    /// `None` for a pod of the trace.
    pub(super) part: Option<Part>,
    /// The Ray cluster that it is of.
    pub(super) ray_cluster: Option<String>,
    /// The pool that its GPUs count in, from when it was admitted on; `None` also for special GPUs.
    pub(super) counts_in: Option<String>,
    pub(super) gpus: Amount,
    /// The one GPU model that it takes, if it takes only one.
    pub(super) model: Option<String>,
    /// Whether it is in no gang.
    pub(super) alone: bool,
    pub(super) node: Option<String>,
    /// Whether it was told why it waits, by the sidecar or by the scheduler.
    pub(super) told: bool,
}

/// What is free on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// The host's GPU model.
    pub(super) model: Option<String>,
    /// GPUs that nobody holds.
    pub(super) gpus: i64,
    /// Whether that is all of the host.
    pub(super) whole: bool,
}

/// How far the pods of a part are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cast {
    /// Pods that are there.
    pub(super) all: usize,
    /// Of them, those that have a node.
    pub(super) running: usize,
    /// Of them, those that wait and know why.
    pub(super) told: usize,
}

impl Cast {
    /// Whether each runs or knows why it does not.
    pub(super) const fn is_settled(self) -> bool {
        self.running + self.told == self.all
    }
}

/// Whether a pod that waits with this gate was told something that will last: the rest of its gang comes at once.
pub(super) fn is_told(gate: &Gate) -> bool {
    gate.reason.is_some() && gate.outlook != story::Outlook::Incomplete
}

impl Sight {
    pub(super) fn node_seen(&mut self, node: &story::Node) {
        self.nodes.insert(node.name.clone(), node.clone());
    }

    pub(super) fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    pub(super) fn pod_seen(&mut self, key: String, player: Player) {
        self.pods.insert(key, player);
    }

    /// A pod ended, or is gone.
    pub(super) fn pod_gone(&mut self, key: &str) {
        self.pods.remove(key);
    }

    pub(super) fn pool_seen(&mut self, figures: &PoolFigures) {
        self.pools.insert(figures.name.clone(), figures.resources.get(GPU).copied().unwrap_or_default());
    }

    /// What nobody holds on hosts that take general pods.
    pub(super) fn free(&self) -> Vec<Hole> {
        let mut held: BTreeMap<&str, Amount> = BTreeMap::new();
        for Player { node, gpus, .. } in self.pods.values() {
            if let Some(node) = node {
                *held.entry(node).or_default() += *gpus;
            }
        }
        let hole = |node: &story::Node| {
            let held = held.get(node.name.as_str()).copied().unwrap_or_default();
            let gpus = node.gpus.minus(held).units();
            (gpus > 0).then(|| Hole { model: node.model.clone(), gpus, whole: held.is_zero() })
        };
        self.general().filter_map(hole).collect()
    }

    /// What is free and no pod of research that waits alone asks for.
    pub(super) fn holes(&self) -> Vec<Hole> {
        let mut waiting: BTreeMap<(Option<String>, i64), usize> = BTreeMap::new();
        let waits = |player: &&Player| player.part == Some(Part::Research) && player.node.is_none() && player.alone;
        for player in self.pods.values().filter(waits) {
            *waiting.entry((player.model.clone(), player.gpus.units())).or_default() += 1;
        }
        let mut asked_for = |hole: &Hole| {
            let pods = waiting.get_mut(&(hole.model.clone(), hole.gpus)).filter(|pods| **pods > 0);
            pods.map(|pods| *pods -= 1).is_some()
        };
        let mut free = self.free();
        free.retain(|hole| !asked_for(hole));
        free
    }

    /// GPUs of hosts that take general pods.
    pub(super) fn general_gpus(&self) -> i64 {
        self.general().map(|node| node.gpus.units()).sum()
    }

    /// Whether what the statuses of these pools say is what their pods use, to one in fifty: pods come and go.
    pub(super) fn is_up_to_date(&self, pools: &[&str]) -> bool {
        pools.iter().all(|pool| {
            let of_pool = self.pods.values().filter(|player| player.counts_in.as_deref() == Some(*pool));
            let used = of_pool.map(|player| player.gpus).sum::<Amount>().units();
            self.pool(pool).usage.units().abs_diff(used) <= used.unsigned_abs() / 50
        })
    }

    /// The GPUs of the largest host that takes general pods.
    pub(super) fn largest_host(&self) -> i64 {
        self.general().map(|node| node.gpus.units()).max().unwrap_or(0)
    }

    /// How far a part is.
    pub(super) fn cast(&self, part: Part) -> Cast {
        self.cast_of(|player| player.part == Some(part))
    }

    /// How far the Ray cluster of a job is; it is named after it.
    pub(super) fn ray(&self, job: &str) -> Cast {
        let is_of = |cluster: &str| cluster.strip_prefix(job).is_some_and(|rest| rest.starts_with('-'));
        self.cast_of(|player| player.ray_cluster.as_deref().is_some_and(is_of))
    }

    fn cast_of(&self, is_in: impl Fn(&Player) -> bool) -> Cast {
        let mut cast = Cast::default();
        for player in self.pods.values().filter(|player| is_in(player)) {
            cast.all += 1;
            cast.running += usize::from(player.node.is_some());
            cast.told += usize::from(player.node.is_none() && player.told);
        }
        cast
    }

    /// The first host, by name, that pods of a part run on.
    pub(super) fn host_of(&self, part: Part) -> Option<&str> {
        let of_part = self.pods.values().filter(|player| player.part == Some(part));
        of_part.filter_map(|player| player.node.as_deref()).min()
    }

    /// The names of the pods on a host.
    pub(super) fn on(&self, node: &str) -> Vec<String> {
        let here = self.pods.values().filter(|player| player.node.as_deref() == Some(node));
        here.map(|player| player.name.clone()).collect()
    }

    /// The figures of a pool for GPUs that are not special.
    pub(super) fn pool(&self, name: &str) -> PoolLevel {
        self.pools.get(name).copied().unwrap_or_default()
    }

    fn general(&self) -> impl Iterator<Item = &story::Node> {
        self.nodes.values().filter(|node| !node.special && !node.cordoned && !node.gpus.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::example;
    use crate::run::story::{Event, Outlook};

    fn seen(event: Event, sight: &mut Sight) {
        let Event::NodeSeen(node) = event else { panic!("{event:?}") };
        sight.node_seen(&node);
    }

    fn player(name: &str, part: Option<Part>, gpus: i64, node: Option<&str>) -> Player {
        let gpus = Amount::new(gpus);
        let (node, model, told) = (node.map(Into::into), Some("T4".into()), name.starts_with("told"));
        let counts_in = Some("pool".into());
        Player {
            name: name.into(),
            part,
            ray_cluster: None,
            counts_in,
            gpus,
            model,
            alone: !name.ends_with("gang"),
            node,
            told,
        }
    }

    /// Two hosts of 8 and 2 GPUs, one that is special and one without.
    fn sight() -> Sight {
        let mut sight = Sight::default();
        seen(example::node("g1", Some("T4"), 8, 64), &mut sight);
        seen(example::node("g2", Some("T4"), 2, 64), &mut sight);
        seen(example::node("g3", Some("G3"), 8, 64), &mut sight);
        seen(example::node("c1", None, 0, 64), &mut sight);
        sight.pod_seen("u1".into(), player("trace", None, 3, Some("g1")));
        sight
    }

    fn gpus(holes: &[Hole]) -> Vec<(i64, bool)> {
        holes.iter().map(|hole| (hole.gpus, hole.whole)).collect()
    }

    #[test]
    fn what_is_free_is_what_nobody_holds_on_general_hosts() {
        let mut sight = sight();
        assert_eq!((gpus(&sight.free()), sight.largest_host()), (vec![(5, false), (2, true)], 8));
        sight.pod_seen("u2".into(), player("more", Some(Part::Research), 5, Some("g1")));
        assert_eq!(gpus(&sight.free()), [(2, true)]);
        sight.pod_gone("u1");
        assert_eq!(gpus(&sight.free()), [(3, false), (2, true)]);
        let Event::NodeSeen(node) = example::node("g2", Some("T4"), 2, 64) else { panic!() };
        sight.node_seen(&story::Node { cordoned: true, ..node });
        assert_eq!(gpus(&sight.free()), [(3, false)]);
    }

    #[test]
    fn a_hole_is_what_is_free_and_nobody_of_research_waits_for_alone() {
        let mut sight = sight();
        assert_eq!((gpus(&sight.holes()), sight.general_gpus()), (vec![(5, false), (2, true)], 10));
        sight.pod_seen("u2".into(), player("waits", Some(Part::Research), 2, None));
        sight.pod_seen("u3".into(), player("waits in a gang", Some(Part::Research), 5, None));
        sight.pod_seen("u4".into(), player("waits", Some(Part::Production), 5, None));
        assert_eq!(gpus(&sight.holes()), [(5, false)]);
        let other = Player { model: None, ..player("waits", Some(Part::Research), 5, None) };
        sight.pod_seen("u6".into(), other);
        assert_eq!(gpus(&sight.holes()), [(5, false)], "it takes any model");
        sight.pod_seen("u5".into(), player("waits", Some(Part::Research), 5, None));
        assert_eq!(sight.holes(), []);
    }

    #[test]
    fn a_part_is_settled_when_each_of_its_pods_runs_or_knows_why_it_waits() {
        let mut sight = sight();
        sight.pod_seen("u2".into(), player("runs", Some(Part::Research), 1, Some("g2")));
        sight.pod_seen("u3".into(), player("waits", Some(Part::Research), 1, None));
        sight.pod_seen("u4".into(), player("other", Some(Part::Production), 1, Some("g1")));
        assert!(!sight.cast(Part::Research).is_settled());
        sight.pod_seen("u3".into(), player("told", Some(Part::Research), 1, None));
        assert_eq!(sight.cast(Part::Research), Cast { all: 2, running: 1, told: 1 });
        assert!(sight.cast(Part::Research).is_settled());
    }

    #[test]
    fn it_is_known_who_is_where() {
        let mut sight = sight();
        assert_eq!(sight.host_of(Part::Production), None);
        sight.pod_seen("u2".into(), player("b", Some(Part::Production), 1, Some("g2")));
        sight.pod_seen("u3".into(), player("a", Some(Part::Production), 1, Some("g1")));
        assert_eq!((sight.host_of(Part::Production), sight.on("g1")), (Some("g1"), vec!["trace".into(), "a".into()]));
    }

    #[test]
    fn what_a_pool_says_is_up_to_date_once_it_is_what_its_pods_use() {
        let mut sight = sight();
        let Event::PoolSeen(figures) = example::pool("pool", None, [8, 3, 0, 0]) else { panic!() };
        sight.pool_seen(&figures);
        assert!(sight.is_up_to_date(&["pool"]));
        sight.pod_seen("u2".into(), player("b", None, 1, None));
        assert!(!sight.is_up_to_date(&["pool"]));
        sight.pod_seen("u2".into(), Player { counts_in: None, ..player("b", None, 1, None) });
        assert!(sight.is_up_to_date(&["pool", "unknown"]));
    }

    #[test]
    fn that_the_rest_of_a_gang_is_missing_is_nothing_that_lasts() {
        let gate = |reason: Option<&str>, outlook| Gate { reason: reason.map(Into::into), outlook, ..Gate::default() };
        assert!(is_told(&gate(Some("WaitingForQuota"), Outlook::MayPass)));
        assert!(!is_told(&gate(Some("WaitingForGang"), Outlook::Incomplete)));
        assert!(!is_told(&gate(None, Outlook::MayPass)));
    }
}
