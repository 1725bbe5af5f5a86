//! Exceptions say so on the pod, and nothing is done that was not recorded first.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use weir_api::condition::Admitted;
use weir_api::pod::Grounds;
use weir_api::{AdmissionRound, PodInfo};

use super::super::{Breach, Invariant};
use super::facts::Admission;

/// B8: whoever was admitted otherwise than within an entitlement has a condition that says so. Conditions
/// follow the gates, so this is judged when nothing more happens, of the pods that are still there.
#[derive(Clone, Debug, Default)]
pub struct ExceptionsShown {
    /// By UID: what to call it, what it was admitted as, and what its condition says.
    pods: BTreeMap<String, (String, Admitted, Option<String>)>,
}

impl ExceptionsShown {
    fn note(&mut self, pod: &Pod, grounds: Admitted) {
        let said = PodInfo::of(pod);
        let told = said.admitted().filter(|told| told.status == "True").and_then(|told| told.reason.clone());
        self.pods.insert(PodInfo::of(pod).key(), (said.full_name(), grounds, told));
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
            // It was there before Weir; what became of it since is judged by its condition.
            Grounds::Silent if !admission.waited => Admitted::Adopted,
            Grounds::Silent => return Ok(()),
        };
        self.note(admission.pod, grounds);
        Ok(())
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        if let Some(&(_, grounds, _)) = self.pods.get(&PodInfo::of(pod).key()) {
            if PodInfo::of(pod).has_ended() {
                drop(self.pods.remove(&PodInfo::of(pod).key()))
            } else {
                self.note(pod, grounds)
            }
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.pods.remove(&PodInfo::of(pod).key());
    }

    fn settled(&mut self) -> Vec<Breach> {
        let silent = self.pods.values().filter(|(_, grounds, told)| told.as_deref() != Some(grounds.as_str()));
        let sentence = |grounds: &Admitted, told: &Option<String>| match told {
            Some(told) => format!("it was admitted as {grounds} and its condition says {told}"),
            None => format!("it was admitted as {grounds} and no condition says so"),
        };
        silent.map(|(pod, grounds, told)| Breach { pod: pod.clone(), sentence: sentence(grounds, told) }).collect()
    }
}

/// B5a: whom the sidecar admits stands in the AdmissionRound before. Two watches have no common order, so
/// it is judged at the end whether the pod ever stood there; and not at all where no round was ever told.
#[derive(Clone, Debug, Default)]
pub struct RecordedFirst {
    rounds_seen: bool,
    recorded: BTreeSet<String>,
    /// By UID, what to call it.
    admitted: BTreeMap<String, String>,
}

impl Invariant for RecordedFirst {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        self.rounds_seen = true;
        self.recorded.extend(round.spec.admissions.iter().map(|admission| admission.uid.clone()));
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let by_sidecar = match admission.grounds {
            Grounds::Known(Admitted::Released | Admitted::Adopted) | Grounds::Unknown(_) | Grounds::Silent => false,
            Grounds::Known(_) => true,
        };
        if by_sidecar && admission.waited {
            self.admitted.insert(PodInfo::of(admission.pod).key(), PodInfo::of(admission.pod).full_name());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Breach> {
        let unrecorded = self.admitted.iter().filter(|(uid, _)| self.rounds_seen && !self.recorded.contains(*uid));
        let breach = |(_, pod): (&String, &String)| Breach {
            pod: pod.clone(),
            sentence: "its gate went and it never stood in the AdmissionRound".to_owned(),
        };
        unrecorded.map(breach).collect()
    }
}
