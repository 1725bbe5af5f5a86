//! The judgement of a history: which promises were broken. The judge is the one of `make run`, and what is told in one
//! order is held against a few promises more strictly.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use weir_checker::promises::{self, GpuHosts};
use weir_checker::{Checker, Violation, is_evicted, says_why};

use crate::history::{Record, View, WatchEvent};
use crate::native::Native;
use crate::objects::{ADMITTED, condition, grounds, is_gated};

/// The GPU models that have dimensions of their own in these tests.
const SPECIAL: [&str; 3] = ["SPECIAL", "G3", "V100M32"];

/// What was broken of admission and eviction by the pods and gangs of a namespace, or of all, if nothing more is told.
///
/// Something earlier may be told later, by another watch, and what looks broken without it is not: only what stays is
/// a breach.
#[must_use]
pub fn broken(record: &Record, namespace: Option<&str>) -> Vec<String> {
    if let Some(kind) = record.gap() {
        return vec![format!("nothing can be judged: the watch of {kind} listed anew and may have missed something")];
    }
    let mut checker = Checker::new(promises::of_admission(&SPECIAL));
    let (mut broken, mut recorded, mut evicted) = (Vec::new(), Recorded::default(), BTreeSet::new());
    for event in record.in_order() {
        match event {
            WatchEvent::Pod(pod) => {
                broken.extend(checker.pod_seen(pod));
                broken.extend(recorded.admitted_before(pod));
                broken.extend(told_too_early(pod));
                if is_evicted(pod) && evicted.insert(pod.uid()) {
                    broken.extend(recorded.evicted_before(pod));
                }
            }
            WatchEvent::PodGone(pod) => checker.pod_gone(pod),
            WatchEvent::Pool(pool) => checker.pool_seen(pool),
            WatchEvent::Round(round) => {
                recorded
                    .admissions
                    .extend(round.spec.admissions.iter().flat_map(|admission| admission.pods.iter().cloned()));
                recorded.victims.extend(round.spec.victims.iter().map(|victim| victim.uid.clone()));
                checker.round_seen(round);
            }
            WatchEvent::Node(_) | WatchEvent::NodeGone(_) => {}
            WatchEvent::PoolGone(_) | WatchEvent::RoundGone(_) => {}
            WatchEvent::Gang(_) | WatchEvent::GangGone(_) => {}
            WatchEvent::Event(_) | WatchEvent::EventGone(_) => {}
        }
    }
    broken.extend(checker.settled());
    let ours = |one: &Violation| namespace.is_none_or(|namespace| one.pod.split('/').next() == Some(namespace));
    broken.iter().filter(|one| ours(one)).map(ToString::to_string).collect()
}

/// Where the schedulers decided otherwise about a namespace's pods than the policy code does natively, and what the
/// judge of `make run` counts as violations.
///
/// # Errors
/// When an object cannot be read as the policy code reads it.
pub fn misplaced(view: View<'_>, native: &Native) -> Result<Vec<String>> {
    let differs = |text: &String| format!("native policy and the modules differ: {text}");
    let mut found: Vec<String> = native.compare(view)?.differences.iter().map(differs).collect();
    let mut checker = Checker::new(vec![Box::new(GpuHosts::default())]);
    for event in view.in_order() {
        let violations = match event {
            WatchEvent::Node(node) => checker.node_seen(node),
            WatchEvent::Pod(pod) => checker.pod_seen(pod),
            _ => Vec::new(),
        };
        found.extend(violations.iter().map(|violation| format!("a promise was broken: {violation}")));
    }
    Ok(found)
}

/// The UIDs that stood in the `AdmissionRound` at some time before.
#[derive(Default)]
struct Recorded {
    admissions: BTreeSet<String>,
    victims: BTreeSet<String>,
}

impl Recorded {
    /// In one order it can be said more strictly than `make run` can: recorded before, not at some time.
    fn admitted_before(&self, pod: &Pod) -> Option<Violation> {
        let by_sidecar = ["WithinEntitlement", "OnLoan", "Replacement", "NotEnforced"];
        let admitted = grounds(pod).is_some_and(|grounds| by_sidecar.contains(&grounds));
        let known = pod.metadata.uid.as_ref().is_some_and(|uid| self.admissions.contains(uid));
        (admitted && !known).then(|| violation("B5a", pod, "its gate went before it stood in the AdmissionRound"))
    }

    /// Only the sidecar evicts here: every eviction was recorded and said why, before.
    fn evicted_before(&self, pod: &Pod) -> Option<Violation> {
        let known = pod.metadata.uid.as_ref().is_some_and(|uid| self.victims.contains(uid));
        match () {
            () if !known => Some(violation("C4", pod, "it was evicted before it stood in the AdmissionRound")),
            () if !says_why(pod) => Some(violation("C4", pod, "it was evicted, and no condition said why before")),
            () => None,
        }
    }
}

/// No pod says that it is admitted while its gate is there.
fn told_too_early(pod: &Pod) -> Option<Violation> {
    let says = condition(pod, ADMITTED).is_some_and(|admitted| admitted.is_true());
    (says && is_gated(pod))
        .then(|| violation("B8", pod, "its condition says that it is admitted, and its gate is there"))
}

fn violation(invariant: &'static str, pod: &Pod, sentence: &str) -> Violation {
    let pod = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    Violation { invariant, pod, node: String::new(), sentence: sentence.to_owned() }
}
