//! B5: no half gang.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{Decision, Grounds};

use crate::admission::Admission;
use crate::gang::{GangKey, gang_of};
use crate::invariant::{Breach, Invariant};
use crate::moment::Moment;

/// B5: a pod that is admitted with its gang is admitted with all of it. A gang that was whole and lost members gets
/// others for them one by one (C3).
///
/// While a gang's gates go one after the other it is half admitted for a moment, so this is judged when nothing more
/// happens. A member that vanished before its gate went does not count as missing: the others were decided on
/// together with it.
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
    /// Whether these were the whole gang once.
    was_whole: bool,
    /// Members that were decided on together, by the decision.
    together: BTreeMap<Moment, Together>,
}

impl Gang {
    fn lose(&mut self, member: &str) {
        self.live.remove(member);
        self.was_whole &= !self.live.is_empty();
    }
}

/// Members that were to go together.
#[derive(Clone, Debug, Default)]
struct Together {
    /// The size that the gang announces.
    announced: usize,
    /// How many of them there were.
    meant: usize,
    /// The members whose gates went.
    admitted: BTreeSet<String>,
    /// How many other members ran already.
    others: usize,
    /// Whether they take the places of members of a whole gang.
    replaces: bool,
    /// Members that went away waiting since the first of these was admitted.
    vanished: usize,
}

impl Together {
    /// Whether every member that was to go has gone, or is no more.
    fn is_done(&self) -> bool {
        self.admitted.len() + self.vanished >= self.meant
    }
}

impl Invariant for WholeGangs {
    fn name(&self) -> &'static str {
        "B5"
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        let Some((key, _)) = gang_of(pod) else { return Ok(()) };
        let gang = self.gangs.entry(key).or_default();
        if pod.is_gated() {
            gang.waiting.insert(pod.key());
        } else if pod.has_ended() {
            gang.lose(&pod.key());
        }
        Ok(())
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let Some((key, announced)) = gang_of(admission.pod) else { return Ok(()) };
        let (gang, member) = (self.gangs.entry(key).or_default(), admission.pod.key());
        gang.waiting.remove(&member);
        let whole = matches!(admission.grounds, Grounds::Known(Admitted::WithinEntitlement | Admitted::OnLoan));
        let others = gang.live.len();
        let replaces = gang.was_whole;
        let new = |meant| Together { announced, meant, others, replaces, ..Together::default() };
        match admission.decision.as_ref().filter(|_| whole) {
            // A new leader finishes what was begun; where nothing was, it admits all of the gang.
            Some(Decision { finishes: Some(_), epoch, .. }) => {
                let open = gang.together.values_mut().find(|together| !together.is_done());
                let meant = announced.saturating_sub(others);
                let together = match open {
                    Some(open) => open,
                    None => gang.together.entry(Moment { epoch: *epoch, round: 0 }).or_insert_with(|| new(meant)),
                };
                together.admitted.insert(member.clone());
            }
            Some(decision) => {
                let together = gang.together.entry(Moment::of(decision)).or_insert_with(|| new(decision.pods));
                together.admitted.insert(member.clone());
            }
            None => {}
        }
        gang.live.insert(member);
        gang.was_whole |= gang.live.len() >= announced;
        Ok(())
    }

    fn pod_gone(&mut self, pod: PodInfo<'_>) {
        let Some((key, _)) = gang_of(pod) else { return };
        let Some(gang) = self.gangs.get_mut(&key) else { return };
        gang.lose(&pod.key());
        if gang.waiting.remove(&pod.key()) {
            gang.together.values_mut().for_each(|together| together.vanished += 1);
        }
    }

    fn settled(&mut self) -> Vec<Breach> {
        let half = self.gangs.iter().flat_map(|(GangKey { namespace, name, .. }, gang)| {
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
