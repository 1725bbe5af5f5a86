//! The judge of a run: reads what the API server's watch tells and says which promises were broken.
//!
//! It is written from the promises (system.md) and from Kubernetes' own objects, and shares no code with
//! `policy/placement`, which makes the decisions that are judged here: a mistake made twice in the same way
//! would go unseen. It holds no clock and asks nobody; what it was not told, it does not judge.

pub mod admission;
mod hosts;
mod special;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{Node, Pod};
use weir_api::{AdmissionRound, PodInfo, ResourcePool};

use admission::Admission;

pub use hosts::{GpuHosts, GpuRule};
pub use special::SpecialHosts;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// [`Invariant::name`].
    pub invariant: &'static str,
    /// `namespace/name` of the pod, or of the gang where the promise is about all of it.
    pub pod: String,
    /// The node it is on; empty where the promise is not about a node.
    pub node: String,
    /// What is wrong, as a sentence without the pod and the node.
    pub sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, pod, node, sentence } = self;
        match node.as_str() {
            "" => write!(f, "{invariant} broken: {pod}: {sentence}"),
            node => write!(f, "{invariant} broken: pod {pod} on node {node}: {sentence}"),
        }
    }
}

/// Something that is wrong with a pod or a gang, found when nothing more happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// As [`Violation::pod`].
    pub pod: String,
    /// As [`Violation::sentence`].
    pub sentence: String,
}

/// A promise that can be judged from a history.
///
/// A new promise is a new type with this trait, which sees what it asks for: every method has a default
/// that sees nothing. One that needs to see more adds a method here and a call in [`Checker`]. An `Err` is
/// a sentence that says what is wrong.
pub trait Invariant {
    /// Its row in system.md, for example `D1`.
    fn name(&self) -> &'static str;

    /// Judges a pod that was given a node; called once for each pod, with the node as it was when both were
    /// first known together.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn placed(&mut self, pod: &Pod, node: &Node) -> Result<(), String> {
        let _ = (pod, node);
        Ok(())
    }

    /// Sees a pod that is new or changed, after [`Self::admitted`] where that is called for it.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        let _ = pod;
        Ok(())
    }

    /// Judges that the gate of a pod was seen to go, or that a pod which asks for admission was first seen
    /// without one; called once for each pod.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let _ = admission;
        Ok(())
    }

    /// Sees that a pod is gone.
    fn pod_gone(&mut self, pod: &Pod) {
        let _ = pod;
    }

    /// Sees a node that is new or changed.
    fn node_seen(&mut self, node: &Node) {
        let _ = node;
    }

    /// Sees a pool that is new or changed.
    fn pool_seen(&mut self, pool: &ResourcePool) {
        let _ = pool;
    }

    /// Sees the record of rounds, new or changed.
    fn round_seen(&mut self, round: &AdmissionRound) {
        let _ = round;
    }

    /// Judges what can be judged only when nothing more happens.
    fn settled(&mut self) -> Vec<Breach> {
        Vec::new()
    }
}

/// What was seen so far, and the promises that it is held against.
///
/// The watches of pods and of nodes are two streams without a common order, so a pod may be seen on a node
/// that is not known yet; it is judged when the node is.
pub struct Checker {
    invariants: Vec<Box<dyn Invariant + Send>>,
    nodes: BTreeMap<String, Node>,
    /// Pods whose node is not known yet, by the node's name.
    early: BTreeMap<String, Vec<Pod>>,
    /// UIDs of the pods that were judged or wait in `early`: each is judged once.
    judged: BTreeSet<String>,
    /// UIDs of the pods that ask for admission, and how far they were seen to be.
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
        early.iter().flat_map(|pod| self.judge(pod, node)).collect()
    }

    /// Takes in that a node is gone. What was placed on it stays judged.
    pub fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Takes in a pod that was added or changed, and judges what is new of it: that it was admitted, that it
    /// has a node.
    pub fn pod_seen(&mut self, pod: &Pod) -> Vec<Violation> {
        let mut found = self.judge_admission(pod);
        for invariant in &mut self.invariants {
            found.extend(invariant.pod_seen(pod).err().map(|sentence| about(&**invariant, pod, sentence)));
        }
        found.extend(self.judge_placement(pod));
        found
    }

    /// Takes in that a pod is gone.
    pub fn pod_gone(&mut self, pod: &Pod) {
        self.asking.remove(&PodInfo::of(pod).key());
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

    /// Judges what can be judged only when nothing more happens: at the end of a run or a test, after the
    /// sidecar had the time to write what it has to write.
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

    fn judge_admission(&mut self, pod: &Pod) -> Vec<Violation> {
        let info = PodInfo::of(pod);
        let (key, gated) = (info.key(), info.is_gated());
        let before = self.asking.get(&key).copied();
        let asks = gated || before.is_some() || info.grounds().as_str().is_some() || info.is_mirrored();
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

    fn judge_placement(&mut self, pod: &Pod) -> Vec<Violation> {
        let Some(name) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) else { return Vec::new() };
        if !self.judged.insert(PodInfo::of(pod).key()) {
            return Vec::new();
        }
        match self.nodes.get(&name).cloned() {
            Some(node) => self.judge(pod, &node),
            None => {
                self.early.entry(name).or_default().push(pod.clone());
                Vec::new()
            }
        }
    }

    fn judge(&mut self, pod: &Pod, node: &Node) -> Vec<Violation> {
        let broken = self.invariants.iter_mut().filter_map(|invariant| {
            let sentence = invariant.placed(pod, node).err()?;
            let node = node.metadata.name.clone().unwrap_or_default();
            Some(Violation { invariant: invariant.name(), pod: PodInfo::of(pod).full_name(), node, sentence })
        });
        broken.collect()
    }
}

fn about(invariant: &dyn Invariant, pod: &Pod, sentence: String) -> Violation {
    Violation { invariant: invariant.name(), pod: PodInfo::of(pod).full_name(), node: String::new(), sentence }
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

        fn placed(&mut self, _: &Pod, node: &Node) -> Result<(), String> {
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
