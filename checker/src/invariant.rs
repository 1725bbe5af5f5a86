//! What a promise is, and what is said of a broken one.

use std::fmt;

use k8s_openapi::api::core::v1::Node;
use weir_api::{AdmissionRound, PodInfo, ResourcePool};

use crate::admission::Admission;

/// A promise that can be judged from a history.
///
/// A new promise is a new type with this trait, which sees what it asks for: every method has a default that sees
/// nothing. A promise that needs to see more adds a method here and a call in [`Checker`](crate::Checker). An `Err`
/// is a sentence that says what is wrong.
pub trait Invariant {
    /// The promise's number, for example `D1`.
    fn name(&self) -> &'static str;

    /// Judges a pod that was given a node; called once for each pod, with the node as it was when both were first
    /// known together.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn placed(&mut self, pod: PodInfo<'_>, node: &Node) -> Result<(), String> {
        let _ = (pod, node);
        Ok(())
    }

    /// Sees a pod that is new or changed, after [`Self::admitted`] where that is called for it.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        let _ = pod;
        Ok(())
    }

    /// Judges an admission: the gate of a pod was seen to go, or a pod that asks for admission was first seen without
    /// one. Called once for each pod.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let _ = admission;
        Ok(())
    }

    /// Sees that a pod is gone.
    fn pod_gone(&mut self, pod: PodInfo<'_>) {
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

/// A fault of a pod or a gang, found when nothing more happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// As [`Violation::pod`].
    pub pod: String,
    /// As [`Violation::sentence`].
    pub sentence: String,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// [`Invariant::name`].
    pub invariant: &'static str,
    /// `namespace/name` of the pod, or of the gang where the promise is about all of it.
    pub pod: String,
    /// The node that the pod is on; empty where the promise is not about a node.
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
