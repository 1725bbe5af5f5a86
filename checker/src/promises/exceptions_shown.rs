//! B8: every exception says so on the pod.

use std::collections::BTreeMap;

use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::Grounds;

use crate::admission::Admission;
use crate::invariant::{Breach, Invariant};

/// B8: a pod that was admitted otherwise than within an entitlement has a condition that says so. Conditions follow
/// the gates, so this is judged when nothing more happens, of the pods that are still there.
#[derive(Clone, Debug, Default)]
pub struct ExceptionsShown {
    /// By key.
    pods: BTreeMap<String, Exception>,
}

#[derive(Clone, Debug)]
struct Exception {
    pod: String,
    grounds: Admitted,
    /// The reason of the pod's condition.
    shown: Option<String>,
}

impl ExceptionsShown {
    fn note(&mut self, pod: PodInfo<'_>, grounds: Admitted) {
        let told = pod.admitted().filter(|told| told.status == "True");
        let shown = told.and_then(|told| told.reason.clone());
        self.pods.insert(pod.key(), Exception { pod: pod.full_name(), grounds, shown });
    }
}

impl Invariant for ExceptionsShown {
    fn name(&self) -> &'static str {
        "B8"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let grounds = match admission.grounds {
            Grounds::Known(Admitted::WithinEntitlement | Admitted::Replacement) | Grounds::Unknown(_) => return Ok(()),
            Grounds::Known(exception) => exception,
            // The pod was there before Weir; what became of it since is judged by its condition.
            Grounds::Silent if !admission.waited => Admitted::Adopted,
            Grounds::Silent => return Ok(()),
        };
        self.note(admission.pod, grounds);
        Ok(())
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        if let Some(&Exception { grounds, .. }) = self.pods.get(&pod.key()) {
            if pod.has_ended() { self.pod_gone(pod) } else { self.note(pod, grounds) }
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: PodInfo<'_>) {
        self.pods.remove(&pod.key());
    }

    fn settled(&mut self) -> Vec<Breach> {
        let silent = self.pods.values().filter(|one| one.shown.as_deref() != Some(one.grounds.as_str()));
        let breach = |Exception { pod, grounds, shown }: &Exception| Breach {
            pod: pod.clone(),
            sentence: match shown {
                Some(shown) => format!("it was admitted as {grounds} and its condition says {shown}"),
                None => format!("it was admitted as {grounds} and no condition says so"),
            },
        };
        silent.map(breach).collect()
    }
}
