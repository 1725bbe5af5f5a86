//! B5a: nothing is done that was not recorded first.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::AdmissionRound;
use weir_api::condition::Admitted;
use weir_api::pod::Grounds;

use crate::admission::Admission;
use crate::invariant::{Breach, Invariant};

/// B5a: a pod stands in the AdmissionRound before the sidecar admits it. Two watches have no common order, so it is
/// judged at the end whether the pod ever stood there; and not at all where no round was ever told.
#[derive(Clone, Debug, Default)]
pub struct RecordedFirst {
    rounds_seen: bool,
    /// UIDs.
    recorded: BTreeSet<String>,
    /// By UID, the pod's name.
    admitted: BTreeMap<String, String>,
}

impl Invariant for RecordedFirst {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        self.rounds_seen = true;
        self.recorded.extend(round.spec.admissions.iter().flat_map(|admission| admission.pods.iter().cloned()));
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let by_sidecar = match admission.grounds {
            Grounds::Known(Admitted::Released | Admitted::Adopted) | Grounds::Unknown(_) | Grounds::Silent => false,
            Grounds::Known(_) => true,
        };
        if by_sidecar && admission.waited {
            self.admitted.insert(admission.pod.key(), admission.pod.full_name());
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
