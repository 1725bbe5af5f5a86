//! B5a: no pod is admitted twice, and no gang above its size.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::Grounds;

use crate::admission::Admission;
use crate::gang::{GangKey, gang_of};
use crate::invariant::Invariant;

/// B5a: an admission is done once. Its record never changes, the gate never comes back, and no gang has more admitted
/// members at a time than it announces.
#[derive(Clone, Debug, Default)]
pub struct AdmittedOnce {
    /// By key, what was recorded when the pod's gate went.
    admitted: BTreeMap<String, Option<String>>,
    /// Live admitted members.
    gangs: BTreeMap<GangKey, BTreeSet<String>>,
}

impl AdmittedOnce {
    fn forget_member(&mut self, pod: PodInfo<'_>) {
        if let Some(live) = gang_of(pod).and_then(|(gang, _)| self.gangs.get_mut(&gang)) {
            live.remove(&pod.key());
        }
    }
}

impl Invariant for AdmittedOnce {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let pod = admission.pod;
        self.admitted.insert(pod.key(), recorded(pod));
        let Some((gang, size)) = gang_of(pod).filter(|_| !pod.has_ended()) else { return Ok(()) };
        let live = self.gangs.entry(gang).or_default();
        live.insert(pod.key());
        let by_sidecar = matches!(
            admission.grounds,
            Grounds::Known(Admitted::WithinEntitlement | Admitted::OnLoan | Admitted::Replacement)
        );
        if by_sidecar && live.len() > size {
            return Err(format!("its gang announces {size} members and has {} admitted ones", live.len()));
        }
        Ok(())
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        if !self.admitted.contains_key(&pod.key()) {
            return Ok(());
        }
        if pod.has_ended() {
            self.forget_member(pod);
        }
        if pod.is_gated() {
            return Err("it was admitted and has its gate again".to_owned());
        }
        let now = recorded(pod);
        match self.admitted.insert(pod.key(), now.clone()) {
            Some(before) if before != now => {
                Err("what it was admitted on was written again after its gate had gone".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn pod_gone(&mut self, pod: PodInfo<'_>) {
        self.admitted.remove(&pod.key());
        self.forget_member(pod);
    }
}

fn recorded(pod: PodInfo<'_>) -> Option<String> {
    pod.recorded().map(str::to_owned)
}
