//! B5 and B5a: all of a gang or none of it, and nobody twice.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{Decision, Grounds};

use super::super::{Breach, Invariant};
use super::facts::{Admission, GangKey, gang_of};

/// B5: whoever is admitted with a gang is admitted with all of it. A gang that was whole and lost members gets others
/// for them one by one (C3).
///
/// While a gang's gates go one after the other it is half admitted for a moment, so this is judged when
/// nothing more happens. A member that vanished before its gate went does not count as missing: the others
/// were decided on together with it.
#[derive(Clone, Debug, Default)]
pub struct WholeGangs {
    gangs: BTreeMap<GangKey, Gang>,
}

#[derive(Clone, Debug, Default)]
struct Gang {
    /// Members that wait.
    waiting: BTreeSet<String>,
    /// Members that were admitted and have not ended.
    live: BTreeSet<String>,
    /// Whether these were all of it once.
    was_whole: bool,
    /// By epoch and round: how many were to go together, how many did, and how many others ran already.
    together: BTreeMap<(i64, u64), Together>,
}

impl Gang {
    fn lose(&mut self, member: &str) {
        self.live.remove(member);
        self.was_whole &= !self.live.is_empty();
    }
}

#[derive(Clone, Debug, Default)]
struct Together {
    announced: usize,
    meant: usize,
    admitted: BTreeSet<String>,
    others: usize,
    /// Whether they take the places of members of a whole gang.
    replaces: bool,
    /// Members that went away waiting since the first of these was admitted.
    vanished: usize,
}

impl Together {
    /// Whether everybody who was to go has gone, or is no more.
    fn is_done(&self) -> bool {
        self.admitted.len() + self.vanished >= self.meant
    }
}

impl Invariant for WholeGangs {
    fn name(&self) -> &'static str {
        "B5"
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        let Some((key, _)) = gang_of(pod) else { return Ok(()) };
        let (gang, uid) = (self.gangs.entry(key).or_default(), PodInfo::of(pod).key());
        if PodInfo::of(pod).is_gated() {
            gang.waiting.insert(uid);
        } else if PodInfo::of(pod).has_ended() {
            gang.lose(&uid);
        }
        Ok(())
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let Some((key, announced)) = gang_of(admission.pod) else { return Ok(()) };
        let (gang, uid) = (self.gangs.entry(key).or_default(), PodInfo::of(admission.pod).key());
        gang.waiting.remove(&uid);
        let whole = matches!(admission.grounds, Grounds::Known(Admitted::WithinEntitlement | Admitted::OnLoan));
        let others = gang.live.len();
        let replaces = gang.was_whole;
        let new = |meant| Together { announced, meant, others, replaces, ..Together::default() };
        match admission.record.as_ref().filter(|_| whole) {
            // A new leader finishes what was begun; where nothing was, all of the gang goes by its hand.
            Some(Decision { finishes: Some(_), epoch, .. }) => {
                let open = gang.together.values_mut().find(|together| !together.is_done());
                let meant = announced.saturating_sub(others);
                let together = match open {
                    Some(open) => open,
                    None => gang.together.entry((*epoch, 0)).or_insert_with(|| new(meant)),
                };
                together.admitted.insert(uid.clone());
            }
            Some(Decision { epoch, round, pods, .. }) => {
                let together = gang.together.entry((*epoch, *round)).or_insert_with(|| new(*pods));
                together.admitted.insert(uid.clone());
            }
            None => {}
        }
        gang.live.insert(uid);
        gang.was_whole |= gang.live.len() >= announced;
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Pod) {
        let Some((key, _)) = gang_of(pod) else { return };
        let Some(gang) = self.gangs.get_mut(&key) else { return };
        gang.lose(&PodInfo::of(pod).key());
        if gang.waiting.remove(&PodInfo::of(pod).key()) {
            gang.together.values_mut().for_each(|together| together.vanished += 1);
        }
    }

    fn settled(&mut self) -> Vec<Breach> {
        let half = self.gangs.iter().flat_map(|((namespace, name, _), gang)| {
            let broken = gang.together.values().filter_map(|together| {
                let Together { announced, meant, admitted, others, replaces, vanished: _ } = together;
                if !together.is_done() {
                    let went = admitted.len();
                    return Some(format!("{went} of {meant} members that were to go together were admitted"));
                }
                let short = meant + others < *announced && !replaces;
                short.then(|| format!("{meant} members were admitted of a gang that announces {announced}"))
            });
            broken.map(move |sentence| Breach { pod: format!("{namespace}/{name}"), sentence })
        });
        half.collect()
    }
}

/// B5a: an admission is done once. Its record never changes, the gate never comes back, and no gang has more
/// admitted members at a time than it announces.
#[derive(Clone, Debug, Default)]
pub struct AdmittedOnce {
    /// By UID, what was recorded when its gate went.
    admitted: BTreeMap<String, Option<String>>,
    /// Live admitted members.
    gangs: BTreeMap<GangKey, BTreeSet<String>>,
}

impl Invariant for AdmittedOnce {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let (pod, uid) = (admission.pod, PodInfo::of(admission.pod).key());
        self.admitted.insert(uid.clone(), recorded(pod));
        let Some((key, size)) = gang_of(pod).filter(|_| !PodInfo::of(pod).has_ended()) else { return Ok(()) };
        let live = self.gangs.entry(key).or_default();
        live.insert(uid);
        let by_sidecar = matches!(
            admission.grounds,
            Grounds::Known(Admitted::WithinEntitlement | Admitted::OnLoan | Admitted::Replacement)
        );
        if by_sidecar && live.len() > size {
            return Err(format!("its gang announces {size} members and has {} admitted ones", live.len()));
        }
        Ok(())
    }

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        let Some(before) = self.admitted.get(&PodInfo::of(pod).key()) else { return Ok(()) };
        if PodInfo::of(pod).has_ended()
            && let Some((key, _)) = gang_of(pod)
        {
            self.gangs.entry(key).or_default().remove(&PodInfo::of(pod).key());
        }
        if PodInfo::of(pod).is_gated() {
            return Err("it was admitted and has its gate again".to_owned());
        }
        let now = recorded(pod);
        if *before == now {
            return Ok(());
        }
        self.admitted.insert(PodInfo::of(pod).key(), now);
        Err("what it was admitted on was written again after its gate had gone".to_owned())
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.admitted.remove(&PodInfo::of(pod).key());
        if let Some(live) = gang_of(pod).and_then(|(key, _)| self.gangs.get_mut(&key)) {
            live.remove(&PodInfo::of(pod).key());
        }
    }
}

fn recorded(pod: &Pod) -> Option<String> {
    PodInfo::of(pod).recorded().map(str::to_owned)
}
