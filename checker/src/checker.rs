//! Takes in the watch and asks each promise.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};
use weir_api::{AdmissionRound, PodInfo, ResourcePool};

use crate::admission::Admission;
use crate::invariant::{Breach, Invariant, Violation};

/// What was seen so far, and the promises that it is held against.
///
/// The watches of pods and of nodes are two streams without a common order, so a pod may be seen on a node that is
/// not known yet; it is judged when the node is.
pub struct Checker {
    invariants: Vec<Box<dyn Invariant + Send>>,
    nodes: BTreeMap<String, Node>,
    /// Pods whose node is not known yet, by the node's name.
    early: BTreeMap<String, Vec<Pod>>,
    /// Keys of the pods that were judged or wait in `early`: each is judged once.
    judged: BTreeSet<String>,
    /// Keys of the pods that ask for admission, and how far they were seen to be.
    asking: BTreeMap<String, Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waits,
    Admitted,
}

impl Checker {
    /// A checker of these promises that has seen nothing.
    #[must_use]
    pub fn new(invariants: Vec<Box<dyn Invariant + Send>>) -> Self {
        Self {
            invariants,
            nodes: BTreeMap::new(),
            early: BTreeMap::new(),
            judged: BTreeSet::new(),
            asking: BTreeMap::new(),
        }
    }

    /// Takes in a node that was added or changed, and judges the pods that were seen on it before.
    pub fn node_seen(&mut self, node: &Node) -> Vec<Violation> {
        let Some(name) = &node.metadata.name else { return Vec::new() };
        self.nodes.insert(name.clone(), node.clone());
        self.invariants.iter_mut().for_each(|invariant| invariant.node_seen(node));
        let early = self.early.remove(name).unwrap_or_default();
        early.iter().flat_map(|pod| self.judge(PodInfo::of(pod), node)).collect()
    }

    /// Takes in that a node is gone. What was placed on it stays judged.
    pub fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Takes in a pod that was added or changed, and judges what is new of it: its admission and its node.
    pub fn pod_seen(&mut self, pod: &Pod) -> Vec<Violation> {
        let pod = PodInfo::of(pod);
        let mut found = self.judge_admission(pod);
        for invariant in &mut self.invariants {
            found.extend(invariant.pod_seen(pod).err().map(|sentence| about(&**invariant, pod, sentence)));
        }
        found.extend(self.judge_placement(pod));
        found
    }

    /// Takes in that a pod is gone.
    pub fn pod_gone(&mut self, pod: &Pod) {
        let pod = PodInfo::of(pod);
        self.asking.remove(&pod.key());
        self.invariants.iter_mut().for_each(|invariant| invariant.pod_gone(pod));
    }

    /// Takes in a pool that was added or changed.
    pub fn pool_seen(&mut self, pool: &ResourcePool) {
        self.invariants.iter_mut().for_each(|invariant| invariant.pool_seen(pool));
    }

    /// Takes in the record of rounds.
    pub fn round_seen(&mut self, round: &AdmissionRound) {
        self.invariants.iter_mut().for_each(|invariant| invariant.round_seen(round));
    }

    /// Judges what can be judged only when nothing more happens: at the end of a run or a test, after the sidecar had
    /// the time to write what it has to write.
    pub fn settled(&mut self) -> Vec<Violation> {
        let found = self.invariants.iter_mut().flat_map(|invariant| {
            let breaches = invariant.settled();
            let name = invariant.name();
            breaches.into_iter().map(move |Breach { pod, sentence }| Violation {
                invariant: name,
                pod,
                node: String::new(),
                sentence,
            })
        });
        found.collect()
    }

    /// How many pods could not be judged because their node was never seen.
    #[must_use]
    pub fn unjudged(&self) -> usize {
        self.early.values().map(Vec::len).sum()
    }

    fn judge_admission(&mut self, pod: PodInfo<'_>) -> Vec<Violation> {
        let (key, gated) = (pod.key(), pod.is_gated());
        let before = self.asking.get(&key).copied();
        let asks = gated || before.is_some() || pod.grounds().as_str().is_some() || pod.is_mirrored();
        if !asks || before == Some(Stage::Admitted) {
            return Vec::new();
        }
        if gated {
            self.asking.insert(key, Stage::Waits);
            return Vec::new();
        }
        self.asking.insert(key, Stage::Admitted);
        let admission = Admission::of(pod, before == Some(Stage::Waits));
        let broken = self.invariants.iter_mut().filter_map(|invariant| {
            let sentence = invariant.admitted(&admission).err()?;
            Some(about(&**invariant, pod, sentence))
        });
        broken.collect()
    }

    fn judge_placement(&mut self, pod: PodInfo<'_>) -> Vec<Violation> {
        let Some(name) = pod.node() else { return Vec::new() };
        if !self.judged.insert(pod.key()) {
            return Vec::new();
        }
        match self.nodes.get(name).cloned() {
            Some(node) => self.judge(pod, &node),
            None => {
                self.early.entry(name.to_owned()).or_default().push(pod.object().clone());
                Vec::new()
            }
        }
    }

    fn judge(&mut self, pod: PodInfo<'_>, node: &Node) -> Vec<Violation> {
        let broken = self.invariants.iter_mut().filter_map(|invariant| {
            let sentence = invariant.placed(pod, node).err()?;
            let node = node.metadata.name.clone().unwrap_or_default();
            Some(Violation { node, ..about(&**invariant, pod, sentence) })
        });
        broken.collect()
    }
}

fn about(invariant: &dyn Invariant, pod: PodInfo<'_>, sentence: String) -> Violation {
    Violation { invariant: invariant.name(), pod: pod.full_name(), node: String::new(), sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks at every placement, and says where.
    struct Never;

    impl Invariant for Never {
        fn name(&self) -> &'static str {
            "N0"
        }

        fn placed(&mut self, _: PodInfo<'_>, node: &Node) -> Result<(), String> {
            Err(format!("was placed on {}", node.metadata.name.as_deref().unwrap_or("?")))
        }
    }

    fn checker() -> Checker {
        Checker::new(vec![Box::new(Never)])
    }

    fn node(name: &str) -> Node {
        serde_json::from_value(serde_json::json!({ "metadata": { "name": name } })).unwrap()
    }

    fn pod(uid: &str, node: Option<&str>) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "train", "namespace": "research", "uid": uid },
            "spec": { "containers": [], "nodeName": node }
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_judged_once_however_often_it_is_told() {
        let mut checker = checker();
        checker.node_seen(&node("n1"));
        assert_eq!(checker.pod_seen(&pod("u1", None)), []);
        let found = checker.pod_seen(&pod("u1", Some("n1")));
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["N0 broken: pod research/train on node n1: was placed on n1"]
        );
        assert_eq!(checker.pod_seen(&pod("u1", Some("n1"))), []);
        assert_eq!(checker.pod_seen(&pod("u2", Some("n1"))).len(), 1, "recreated under the same name");
    }

    #[test]
    fn a_pod_seen_before_its_node_is_judged_when_the_node_is_seen() {
        let mut checker = checker();
        assert_eq!(checker.pod_seen(&pod("u1", Some("n1"))), []);
        assert_eq!(checker.unjudged(), 1);
        assert_eq!(checker.node_seen(&node("n2")), []);
        assert_eq!(checker.node_seen(&node("n1")).len(), 1);
        assert_eq!((checker.unjudged(), checker.node_seen(&node("n1")).len()), (0, 0));
    }

    #[test]
    fn a_node_that_has_gone_is_not_judged_by_what_it_was() {
        let mut checker = checker();
        checker.node_seen(&node("n1"));
        checker.node_gone("n1");
        assert_eq!(checker.pod_seen(&pod("u1", Some("n1"))), []);
        assert_eq!(checker.unjudged(), 1);
    }
}
