//! The round record: what is about to be done stands in the one `AdmissionRound` before it is done (B5a).
//!
//! Every write compares and swaps. A leader that takes over writes first, so that an earlier one which does not
//! know yet that it lost the lease meets a conflict at its next write, before it removes another gate. Here is
//! decided what is written and what may be done once it is; `client` writes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Moment;
use weir_api::round::{
    Admission as Admitted, AdmissionRound, AdmissionRoundSpec, BackOff, Claim, Held, MAX_BACK_OFFS, MAX_BYTES,
    MAX_ENTRIES, MAX_VICTIMS, TOGETHER, Victim,
};
use weir_model::Amount;
use weir_queue::{Admission, Claimed, Grounds, Record, Recorded, RecordedClaim, Time, Uid};

use super::gates::{GateRemoval, GateRemovals, Removed};
use super::pod_event::PodEvent;
use super::recorded::{Entry, Group, entries};
use super::watch_state::pod_cache::PodCache;
use crate::client::{Outcome, RecordError};
use crate::clock::Now;
use crate::convert::{moment, time, written};

/// How long a written record vouches that this replica still leads.
pub(super) const FENCE: Duration = Duration::from_secs(2);

/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// How many gates for each writer may be in flight when admissions are added to the record: enough for the writers
/// to go on with while it is written.
const AHEAD: usize = 8;

/// What is recorded, what waits to be recorded, and how many of the recorded gates are being removed.
pub(super) struct RoundRecord {
    /// The object as it was written last.
    written: AdmissionRound,
    /// The name of this replica.
    holder: String,
    /// Pods whose gate is about to be removed. An entry leaves when the watch shows that the gate is gone.
    pub(super) entries: BTreeMap<Uid, Entry>,
    /// What is kept for claimants, by the first pod of each.
    pub(super) claims: BTreeMap<Uid, Claim>,
    /// Pods that are about to be evicted.
    pub(super) victims: BTreeMap<Uid, Victim>,
    /// Owners that back off, by UID.
    pub(super) back_offs: BTreeMap<Uid, BackOff>,
    /// Admissions that are decided and not recorded yet, in the order of the decisions.
    unrecorded: VecDeque<Unrecorded>,
    /// The gates of what is recorded.
    gates: GateRemovals,
    /// When the record was last written, which shows that this replica leads.
    fence_renewed: Option<Instant>,
    /// Whether what an earlier leader left was restored; before that no entry is dropped.
    restored: bool,
    /// When a write that failed is tried again.
    retry_at: Option<Instant>,
    /// How many admissions the next record takes at most: fewer after one that the API server refused.
    batch: usize,
}

struct Unrecorded {
    admission: Admission,
    /// What the entitlements of its round follow from, as a document.
    inputs: Option<Arc<str>>,
}

/// A write of the record, and what it lets happen.
pub(super) struct RecordWrite {
    /// The object to write.
    pub(super) round: AdmissionRound,
    /// Admissions that may be applied once it is written.
    admitted: Vec<Admission>,
    /// The document that these were decided on.
    inputs: Option<Arc<str>>,
}

/// What came of a write of the record.
#[derive(Debug)]
pub(super) enum Written {
    /// These admissions may be applied.
    Applies(Vec<Admission>),
    /// It is tried again; nothing may be applied.
    Later,
    /// The API server takes no record with this admission.
    Refused {
        /// The admission, which leaves the record.
        admission: Admission,
        /// The API server's sentence.
        why: String,
    },
}

impl RoundRecord {
    /// The record that an earlier leader left, in the name of `holder`.
    pub(super) fn new(written: AdmissionRound, holder: &str) -> Self {
        let parsed = |uid: &str| uid.parse::<Uid>().ok();
        let AdmissionRoundSpec { admissions, claims, victims, back_offs, .. } = &written.spec;
        let back_offs = back_offs.iter().filter_map(|it| Some((parsed(&it.owner)?, it.clone()))).collect();
        let entries = admissions.iter().flat_map(entries).collect();
        let victims = victims.iter().filter_map(|victim| Some((parsed(&victim.uid)?, victim.clone()))).collect();
        let claims =
            claims.iter().filter_map(|claim| Some((parsed(claim.claimant.first()?)?, claim.clone()))).collect();
        Self {
            written,
            holder: holder.to_owned(),
            entries,
            claims,
            victims,
            back_offs,
            unrecorded: VecDeque::new(),
            gates: GateRemovals::default(),
            fence_renewed: None,
            restored: false,
            retry_at: None,
            batch: usize::MAX,
        }
    }

    /// When the record was created, which is when Weir first led in this cluster.
    pub(super) fn since(&self) -> Time {
        self.written.metadata.creation_timestamp.as_ref().map(time).unwrap_or_default()
    }

    /// The epoch that was recorded last.
    pub(super) const fn epoch(&self) -> i64 {
        self.written.spec.epoch
    }

    /// When the last round was recorded.
    pub(super) fn recorded(&self) -> Option<Moment> {
        self.written.spec.recorded.clone()
    }

    /// The gates of what is recorded.
    pub(super) const fn gates(&self) -> &GateRemovals {
        &self.gates
    }

    /// When the record was last written.
    pub(super) const fn fence_renewed(&self) -> Option<Instant> {
        self.fence_renewed
    }

    /// Whether the record was written so recently that no other replica can have taken over.
    pub(super) fn is_fenced(&self, now: Instant) -> bool {
        self.fence_renewed.is_some_and(|renewed| now.duration_since(renewed) < FENCE)
    }

    /// How many more victims fit into the record.
    pub(super) fn room_for_victims(&self) -> usize {
        usize::try_from(MAX_VICTIMS).unwrap_or(usize::MAX).saturating_sub(self.victims.len())
    }

    /// Takes in that a pod was seen or is gone. The answer is whether its recorded admission came true.
    pub(super) fn on_event(&mut self, event: &PodEvent<'_>) -> bool {
        match event {
            PodEvent::Seen(seen) => seen.is_admitted() && self.entries.remove(&seen.uid).is_some(),
            PodEvent::Gone { uid, .. } => {
                if self.restored {
                    self.victims.remove(uid);
                    self.entries.remove(uid);
                }
                false
            }
        }
    }

    /// Lines up an admission to be recorded, with the document that it was decided on.
    pub(super) fn line_up(&mut self, admission: Admission, inputs: Option<Arc<str>>) {
        self.unrecorded.push_back(Unrecorded { admission, inputs });
    }

    /// Records what is kept for a claimant from the next write on.
    pub(super) fn keep(&mut self, claimed: Claimed) {
        let Claimed { claimant, pool, amounts, nodes, held, victims } = claimed;
        let Some(&first) = claimant.first() else { return };
        let texts = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect();
        let claim = Claim {
            claimant: texts(&claimant),
            pool,
            amounts: quantities(&amounts),
            nodes: nodes.iter().map(|node| node.to_string()).collect(),
            held: held
                .iter()
                .map(|held| Held { node: held.node.to_string(), amounts: quantities(&held.amounts) })
                .collect(),
            victims: texts(&victims),
        };
        self.claims.insert(first, claim);
    }

    /// Drops the claim of these pods. Victims that go all the same go on without a claimant.
    pub(super) fn release(&mut self, claimant: &[Uid]) {
        claimant.iter().for_each(|uid| drop(self.claims.remove(uid)));
        let first = claimant.first().map(Uid::to_string).unwrap_or_default();
        let freed = self.victims.values_mut().filter(|victim| victim.claimant == first);
        freed.for_each(|victim| victim.claimant.clear());
    }

    /// Drops the admission of these pods, recorded or not.
    pub(super) fn void(&mut self, uids: &[Uid]) {
        uids.iter().for_each(|uid| drop(self.entries.remove(uid)));
        self.unrecorded.retain(|next| !next.admission.pods.iter().any(|(uid, _)| uids.contains(uid)));
    }

    /// The next write, if one is due: admissions wait and there is room, `evicts` says that victims were entered,
    /// gates are being removed and the fence has to be renewed, or what came true is to be forgotten and nothing else
    /// is under way.
    pub(super) fn due(&mut self, pods: &PodCache, evicts: bool, writers: usize, now: Now) -> Option<RecordWrite> {
        if self.retry_at.is_some_and(|at| now.instant < at) {
            return None;
        }
        let failed = self.retry_at.take().is_some();
        let (mut admitted, mut inputs) = (Vec::new(), None);
        // While the writers have enough to do, nothing is added: a record holds a thousand pods, and writing it
        // again for each few that are done costs the API server more than removing their gates.
        if self.gates.in_flight() <= AHEAD * writers {
            // One record holds what one step decided, because it holds what that step was decided on.
            let round = self.unrecorded.front().map(|next| next.admission.round);
            while admitted.len() < self.batch
                && let Some(next) = self.unrecorded.pop_front_if(|next| {
                    Some(next.admission.round) == round && next.admission.pods.len() <= room(self.entries.len())
                })
            {
                self.enter(&next.admission, pods);
                admitted.push(next.admission);
                inputs = next.inputs;
            }
        }
        let urgent = !admitted.is_empty() || evicts || failed;
        let forgets = self.gates.in_flight() == 0 && self.differs();
        let renews = self.gates.need_the_fence(now.instant) && !self.is_fenced(now.instant);
        (urgent || forgets || renews).then(|| {
            let round = self.next(inputs.clone(), now);
            RecordWrite { round, admitted, inputs }
        })
    }

    /// A write that changes nothing but the epoch: it shows that this replica still leads.
    pub(super) fn renewal(&self, now: Now) -> RecordWrite {
        RecordWrite { round: self.next(None, now), admitted: Vec::new(), inputs: None }
    }

    /// Takes in the answer to a write. One that failed is tried again after a moment; of one that the API server
    /// refuses, the half is tried, down to the one admission that it does not take.
    ///
    /// # Errors
    /// A conflict: the record is not what this leader knows. See [`adopt`](Self::adopt).
    pub(super) fn came_back(
        &mut self,
        mut write: RecordWrite,
        answer: Result<AdmissionRound, RecordError>,
        now: Now,
    ) -> Result<Written, RecordError> {
        let error = match answer {
            Ok(written) => {
                self.written = written;
                self.fence_renewed = Some(now.instant);
                self.batch = self.batch.saturating_mul(2);
                return Ok(Written::Applies(write.admitted));
            }
            Err(error) => error,
        };
        self.retry_at = Some(now.instant + RETRY);
        tracing::warn!(%error, "the round record is not written; retrying");
        match error {
            RecordError::Refused { why, .. } if write.admitted.len() == 1 => {
                let Some(admission) = write.admitted.pop() else { return Ok(Written::Later) };
                admission.pods.iter().for_each(|(uid, _)| drop(self.entries.remove(uid)));
                Ok(Written::Refused { admission, why })
            }
            RecordError::Refused { .. } => {
                self.batch = (write.admitted.len() / 2).max(1);
                self.take_back(write);
                Ok(Written::Later)
            }
            RecordError::Api { .. } => {
                self.take_back(write);
                Ok(Written::Later)
            }
            RecordError::Conflict { .. } => {
                self.take_back(write);
                Err(error)
            }
        }
    }

    /// Lines up again what was to be recorded.
    fn take_back(&mut self, RecordWrite { admitted, inputs, .. }: RecordWrite) {
        for admission in admitted.into_iter().rev() {
            admission.pods.iter().for_each(|(uid, _)| drop(self.entries.remove(uid)));
            self.unrecorded.push_front(Unrecorded { admission, inputs: inputs.clone() });
        }
    }

    /// Goes on from the record as it was found after a conflict, if it is this leader's own: a write without an answer
    /// was done all the same, or the record was deleted and is new. The answer is whether it is.
    pub(super) fn adopt(&mut self, found: AdmissionRound) -> bool {
        let AdmissionRoundSpec { epoch, holder, .. } = &found.spec;
        let own = *holder == self.holder && *epoch == self.written.spec.epoch + 1;
        let new = *epoch == 0 && holder.is_empty();
        if own || new {
            let before = std::mem::replace(&mut self.written, found);
            // Of a record that is new, the epoch goes on from the one before.
            self.written.spec.epoch = self.written.spec.epoch.max(before.spec.epoch);
            // When Weir first led does not change with it.
            self.written.metadata.creation_timestamp = before.metadata.creation_timestamp;
        }
        own || new
    }

    /// Notes that gates are being removed.
    pub(super) const fn gates_sent(&mut self, count: usize) {
        self.gates.sent(count);
    }

    /// Gates that are due again.
    pub(super) fn due_gates(&mut self, pods: &PodCache, now: Now) -> Vec<GateRemoval> {
        let Self { gates, entries, .. } = self;
        gates.due(pods, |uid| entries.contains_key(&uid), now.instant)
    }

    /// Takes in what came of the removal of a gate. The answer is why the gate stays, if it does for now: then the
    /// pod's admission leaves the record.
    pub(super) fn gate_came_back(&mut self, removal: GateRemoval, outcome: Outcome, now: Now) -> Option<String> {
        let pod = removal.pod;
        match self.gates.came_back(removal, outcome, now.instant) {
            Removed::Done | Removed::Later => None,
            Removed::Refused(why) => self.entries.remove(&pod).map(|_| why),
        }
    }

    /// Restores what an earlier leader recorded: drops what cannot be finished whole and returns the rest for the
    /// queue to count.
    ///
    /// `waits` tells whether a recorded pod still waits, `None` if it is gone. A gang of which a member is gone and
    /// none was released yet is dropped, because finishing it would admit a part; one that was begun is finished.
    pub(super) fn restore(&mut self, waits: impl Fn(Uid) -> Option<bool>) -> Record {
        self.restored = true;
        let mut gangs: BTreeMap<&Group, Vec<Uid>> = BTreeMap::new();
        for (uid, entry) in self.entries.iter().filter(|(_, entry)| !entry.group.gang.is_empty()) {
            gangs.entry(&*entry.group).or_default().push(*uid);
        }
        let half = gangs.into_values().filter(|uids| {
            uids.iter().any(|&uid| waits(uid).is_none()) && uids.iter().all(|&uid| waits(uid) != Some(false))
        });
        let dropped: BTreeSet<Uid> = half.flatten().collect();
        self.entries.retain(|uid, _| waits(*uid) == Some(true) && !dropped.contains(uid));
        self.claims.retain(|uid, _| waits(*uid) == Some(true));
        // Without its claimant no victim goes; a victim without any, of a pool that drains, goes on.
        let claimed = |claimant: &str| claimant.parse().is_ok_and(|uid: Uid| self.claims.contains_key(&uid));
        self.victims.retain(|uid, victim| {
            waits(*uid) == Some(false) && (victim.claimant.is_empty() || claimed(&victim.claimant))
        });
        let admitted =
            self.entries.iter().map(|(&uid, entry)| Recorded { uid, node: None, grounds: grounds(entry.reason()) });
        let claims = self.claims.values().map(|claim| RecordedClaim {
            claimant: uids(&claim.claimant),
            nodes: claim.nodes.clone(),
            held: claim.held.iter().map(held).collect(),
            victims: uids(&claim.victims),
        });
        // Victims of a claim for which there was no room in the record yet go too.
        let unrecorded =
            self.claims.values().flat_map(|claim| uids(&claim.victims)).filter(|&uid| waits(uid) == Some(false));
        let victims: BTreeSet<Uid> = self.victims.keys().copied().chain(unrecorded).collect();
        Record { admitted: admitted.collect(), claims: claims.collect(), victims: victims.into_iter().collect() }
    }

    fn enter(&mut self, admission: &Admission, pods: &PodCache) {
        let mut first = true;
        for (uid, _) in &admission.pods {
            let Some(state) = pods.get(*uid) else { continue };
            let group = Group {
                namespace: state.target.namespace.clone(),
                gang: state.gang.as_ref().map(|gang| gang.name.name.clone()).unwrap_or_default(),
                pool: admission.pool.clone(),
                reason: admission.grounds.as_str().to_owned(),
            };
            let amounts = if first { admission.amounts.clone() } else { Vec::new() };
            first = false;
            self.entries.insert(*uid, Entry { group: Arc::new(group), amounts: amounts.into() });
        }
    }

    /// Whether what is outstanding differs from what stands in the record.
    fn differs(&self) -> bool {
        let AdmissionRoundSpec { admissions, claims, victims, back_offs, .. } = &self.written.spec;
        *back_offs != self.longest_back_offs()
            || *admissions != self.admissions()
            || !claims.iter().eq(self.claims.values())
            || !victims.iter().eq(self.victims.values())
    }

    /// The recorded pods, those that have all in common together.
    fn admissions(&self) -> Vec<Admitted> {
        let mut groups: BTreeMap<&Group, (BTreeMap<&str, Amount>, Vec<String>)> = BTreeMap::new();
        for (uid, Entry { group, amounts }) in &self.entries {
            let (sum, pods) = groups.entry(&**group).or_default();
            for (dim, amount) in amounts.iter() {
                let sum = sum.entry(dim.as_str()).or_default();
                *sum += *amount;
            }
            pods.push(uid.to_string());
        }
        let written = groups.into_iter().map(|(group, (amounts, pods))| {
            let Group { namespace, gang, pool, reason } = group.clone();
            let amounts = amounts.into_iter().map(|(dim, amount)| (dim.to_owned(), written(dim, amount))).collect();
            Admitted { namespace, gang, pool, reason, amounts, pods }
        });
        written.collect()
    }

    /// What is outstanding, as the next epoch; `inputs` are what its new admissions were decided on, left out where the
    /// record would be too large with them.
    fn next(&self, inputs: Option<Arc<str>>, now: Now) -> AdmissionRound {
        let mut next = self.written.clone();
        next.spec = AdmissionRoundSpec {
            epoch: self.written.spec.epoch + 1,
            holder: self.holder.clone(),
            recorded: Some(moment(now.time)),
            inputs: None,
            admissions: self.admissions(),
            claims: self.claims.values().cloned().collect(),
            victims: self.victims.values().cloned().collect(),
            back_offs: self.longest_back_offs(),
        };
        let fits = |inputs: &Arc<str>| inputs.len() * 2 <= MAX_BYTES.saturating_sub(bytes(&next.spec));
        next.spec.inputs = inputs.filter(fits).map(|inputs| inputs.to_string());
        next
    }

    /// The owners that back off, those that do so longest where there are too many.
    fn longest_back_offs(&self) -> Vec<BackOff> {
        let mut all: Vec<&BackOff> = self.back_offs.values().collect();
        if all.len() > MAX_BACK_OFFS {
            all.sort_by(|one, other| other.until.cmp(&one.until).then_with(|| one.owner.cmp(&other.owner)));
            all.truncate(MAX_BACK_OFFS);
            all.sort_by(|one, other| one.owner.cmp(&other.owner));
        }
        all.into_iter().cloned().collect()
    }
}

/// How many bytes a record has as JSON.
fn bytes(spec: &AdmissionRoundSpec) -> usize {
    // Of an object that is made of strings and numbers nothing is refused.
    serde_json::to_vec(spec).map_or(usize::MAX, |text| text.len())
}

/// How many more pods fit into a record that has this many.
fn room(entries: usize) -> usize {
    // A gang that is larger than what is recorded together gets a record of its own.
    let most = if entries == 0 { usize::try_from(MAX_ENTRIES).unwrap_or(usize::MAX) } else { together() };
    most.saturating_sub(entries)
}

fn together() -> usize {
    usize::try_from(TOGETHER).unwrap_or(usize::MAX)
}

fn uids(texts: &[String]) -> Vec<Uid> {
    texts.iter().filter_map(|uid| uid.parse().ok()).collect()
}

/// Amounts as the API server writes them.
fn quantities(amounts: &[(String, Amount)]) -> BTreeMap<String, Quantity> {
    amounts.iter().map(|(dim, amount)| (dim.clone(), written(dim, *amount))).collect()
}

/// What a recorded claim keeps on a node.
fn held(held: &Held) -> weir_queue::Held {
    let amount = |(name, written): (&String, &Quantity)| {
        Some((name.clone(), weir_model::Quantity::parse(&written.0).ok()?.amount(name)))
    };
    weir_queue::Held { node: held.node.as_str().into(), amounts: held.amounts.iter().filter_map(amount).collect() }
}

/// The grounds of this name.
fn grounds(word: &str) -> Grounds {
    word.parse().unwrap_or(Grounds::WithinEntitlement)
}

#[cfg(test)]
mod tests {
    use weir_api::round::MAX_SENTENCE;

    use super::*;
    use crate::convert::name::NamespacedName;
    use crate::leader::fixture::{admission, at, cache, member, now, placed, uid, waiting};
    use crate::leader::gates::removals;
    use crate::leader::pod_event::{PodSeen, StandingAdmission};
    use crate::leader::watch_state::pod_cache::{Gang, PodState};

    const WRITERS: usize = 1;

    fn opened() -> RoundRecord {
        RoundRecord::new(AdmissionRound::new("weir", AdmissionRoundSpec::default()), "replica-0")
    }

    /// Writes what is due as the API server would take it, and returns the pods that may be admitted.
    fn write(record: &mut RoundRecord, pods: &PodCache) -> Vec<Vec<u128>> {
        let Some(write) = record.due(pods, false, WRITERS, now(5)) else { return Vec::new() };
        let answer = Ok(write.round.clone());
        applies(record.came_back(write, answer, now(5)))
    }

    /// The pods of the admissions that may be applied.
    fn applies(written: Result<Written, RecordError>) -> Vec<Vec<u128>> {
        let Ok(Written::Applies(admitted)) = written else { panic!("{written:?}") };
        admitted.iter().map(|one| (1..=5000).filter(|&n| one.pods.contains(&(uid(n), None))).collect()).collect()
    }

    fn texts(pods: impl IntoIterator<Item = u128>) -> Vec<String> {
        pods.into_iter().map(|pod| uid(pod).to_string()).collect()
    }

    fn removal(number: u128) -> GateRemoval {
        let pods = cache([waiting(number)]);
        removals(&admission(1, [number]), 1, &pods, at(5)).remove(0)
    }

    fn failed() -> Result<AdmissionRound, RecordError> {
        let source = kube::Error::LinesCodecMaxLineLengthExceeded;
        Err(RecordError::Api { operation: "recording", source: Box::new(source) })
    }

    fn seen_admitted(record: &mut RoundRecord, number: u128) -> bool {
        let state = placed(number);
        let admission = Some(StandingAdmission { grounds: Grounds::WithinEntitlement, decision: None });
        record.on_event(&PodEvent::Seen(PodSeen { uid: uid(number), before: None, state: &state, admission }))
    }

    #[test]
    fn what_one_step_decided_stands_in_one_record_before_anything_is_applied() {
        let (mut record, pods) = (opened(), cache((1..=3).map(waiting)));
        record.line_up(admission(1, [1]), Some("inputs".into()));
        record.line_up(admission(1, [2]), Some("inputs".into()));
        record.line_up(admission(2, [3]), None);
        let first = record.due(&pods, false, WRITERS, now(5)).unwrap();
        let spec = &first.round.spec;
        assert_eq!((spec.epoch, spec.holder.as_str(), spec.inputs.as_deref()), (1, "replica-0", Some("inputs")));
        assert_eq!(spec.admissions.iter().map(|group| group.pods.clone()).collect::<Vec<_>>(), [texts([1, 2])]);
        let answer = Ok(first.round.clone());
        assert_eq!(applies(record.came_back(first, answer, now(5))), [[1], [2]]);
        assert_eq!(write(&mut record, &pods), [[3]]);
    }

    #[test]
    fn an_admission_waits_until_the_writers_run_out_of_gates() {
        let (mut record, pods) = (opened(), cache([waiting(1)]));
        let renewal = record.renewal(now(5));
        let answer = Ok(renewal.round.clone());
        record.came_back(renewal, answer, now(5)).unwrap();
        record.line_up(admission(1, [1]), None);
        record.gates_sent(9);
        assert!(record.due(&pods, false, WRITERS, now(5)).is_none());
        assert_eq!(record.gate_came_back(removal(1), Outcome::Done, now(5)), None);
        assert_eq!(write(&mut record, &pods), [[1]]);
    }

    #[test]
    fn a_gang_larger_than_what_is_recorded_together_gets_a_record_of_its_own() {
        let (mut record, pods) = (opened(), cache((1..=1200).map(waiting)));
        record.line_up(admission(1, [1200]), None);
        record.line_up(admission(1, 1..=1100), None);
        assert_eq!(write(&mut record, &pods), [[1200]]);
        assert!(record.due(&pods, false, WRITERS, now(6)).is_none(), "1100 are more than fit beside another");
        assert!(seen_admitted(&mut record, 1200));
        assert_eq!(write(&mut record, &pods).iter().map(Vec::len).collect::<Vec<_>>(), [1100]);
    }

    /// A pod with the longest names that there are.
    fn longest(number: u128) -> PodState {
        let (long, name) = ("n".repeat(63), format!("{number:0>253}"));
        let mut state = member(number, &"g".repeat(253), 4096);
        (state.target.namespace, state.target.name) = (long.clone(), name);
        PodState {
            gang: state.gang.map(|gang| Gang { name: NamespacedName::new(&*long, &*gang.name.name), ..gang }),
            ..state
        }
    }

    #[test]
    fn the_largest_gang_with_the_longest_names_is_a_small_record() {
        let (mut record, pods) = (opened(), cache((1..=4096).map(longest)));
        let amounts = (0..64).map(|at| (format!("example.com/{at:0>50}"), Amount::new(i64::MAX))).collect();
        let whole = Admission { pool: "p".repeat(63), amounts, ..admission(1, 1..=4096) };
        record.line_up(whole, Some("x".repeat(131_072).into()));
        let write = record.due(&pods, false, WRITERS, now(5)).unwrap();
        assert_eq!(write.round.spec.admissions.len(), 1);
        let size = bytes(&write.round.spec);
        assert!(size < MAX_BYTES, "{size} bytes");
    }

    #[test]
    fn the_record_stays_small_whatever_is_to_be_evicted_and_however_many_owners_back_off() {
        let (mut record, pods) = (opened(), cache((1..=1024).map(longest)));
        for pod in 1..=1024 {
            record.line_up(admission(1, [pod]), None);
        }
        for number in 1..=5000_u128 {
            let (owner, until) = (uid(number).to_string(), moment(at(u64::try_from(number).unwrap())));
            record.back_offs.insert(uid(number), BackOff { owner, since: moment(at(1)), until, times: 7 });
        }
        while record.room_for_victims() > 0 {
            let number = 10_000 + u128::try_from(record.room_for_victims()).unwrap();
            let victim = Victim {
                uid: uid(number).to_string(),
                namespace: "n".repeat(63),
                name: "v".repeat(253),
                pool: "p".repeat(63),
                claimant: uid(1).to_string(),
                message: "m".repeat(MAX_SENTENCE),
                ..Victim::default()
            };
            record.victims.insert(uid(number), victim);
        }
        let write = record.due(&pods, true, WRITERS, now(5)).unwrap();
        let size = bytes(&write.round.spec);
        assert!(size < MAX_BYTES, "{size} bytes");
        let longest = write.round.spec.back_offs.iter().map(|it| it.until.clone()).min();
        assert_eq!(longest, Some(moment(at(5000 - 1023))), "those that back off longest stay");
        let answer = Ok(write.round.clone());
        record.came_back(write, answer, now(5)).unwrap();
        assert!(record.due(&pods, false, WRITERS, now(6)).is_none(), "and the rest makes no further write");
    }

    #[test]
    fn an_entry_leaves_when_the_watch_shows_the_gate_gone() {
        let (mut record, pods) = (opened(), cache([waiting(1)]));
        record.line_up(admission(1, [1]), None);
        write(&mut record, &pods);
        record.gates_sent(1);
        assert!(seen_admitted(&mut record, 1), "it came true");
        assert!(!seen_admitted(&mut record, 1), "and is counted once");
        assert!(record.due(&pods, false, WRITERS, now(6)).is_none(), "not while a gate is being removed");
        assert_eq!(record.gate_came_back(removal(1), Outcome::Done, now(5)), None);
        let shortened = record.due(&pods, false, WRITERS, now(6)).unwrap();
        assert_eq!(shortened.round.spec.admissions, []);
        assert!(matches!(record.came_back(shortened, failed(), now(6)), Ok(Written::Later)));
    }

    #[test]
    fn a_write_without_an_answer_is_tried_again_after_a_moment_with_all_that_it_held() {
        let (mut record, pods) = (opened(), cache((1..=2).map(waiting)));
        record.line_up(admission(1, [1]), Some("inputs".into()));
        record.line_up(admission(1, [2]), Some("inputs".into()));
        let first = record.due(&pods, false, WRITERS, now(5)).unwrap();
        assert!(matches!(record.came_back(first, failed(), now(5)), Ok(Written::Later)));
        assert!(record.due(&pods, false, WRITERS, now(5)).is_none());
        record.void(&[uid(2)]);
        let again = record.due(&pods, false, WRITERS, now(6)).unwrap();
        assert_eq!(again.round.spec.inputs.as_deref(), Some("inputs"));
        let answer = Ok(again.round.clone());
        assert_eq!(applies(record.came_back(again, answer, now(6))), [[1]]);
    }

    #[test]
    fn an_admission_that_no_record_takes_is_found_by_halves_and_delays_no_other() {
        let (mut record, pods) = (opened(), cache((1..=8).map(waiting)));
        (1..=8).for_each(|pod| record.line_up(admission(1, [pod]), None));
        let (mut admitted, mut refused) = (Vec::new(), Vec::new());
        for second in 5..40 {
            let Some(write) = record.due(&pods, false, WRITERS, now(second)) else { continue };
            let answer = match write.round.spec.admissions.iter().any(|group| group.pods.contains(&uid(6).to_string()))
            {
                true => Err(RecordError::Refused { epoch: 1, why: "too large".to_owned() }),
                false => Ok(write.round.clone()),
            };
            match record.came_back(write, answer, now(second)).unwrap() {
                Written::Applies(some) => admitted.extend(some.into_iter().flat_map(|one| one.pods)),
                Written::Later => {}
                Written::Refused { admission, why } => refused.push((admission.pods, why)),
            }
        }
        assert_eq!(refused, [(vec![(uid(6), None)], "too large".to_owned())]);
        assert_eq!(admitted.len(), 7);
    }

    #[test]
    fn a_conflict_takes_everything_back_and_ends_the_term_unless_the_record_is_our_own() {
        let (mut record, pods) = (opened(), cache([waiting(1)]));
        record.line_up(admission(1, [1]), None);
        let write = record.due(&pods, false, WRITERS, now(5)).unwrap();
        let done = write.round.clone();
        let conflict = || Err(RecordError::Conflict { epoch: 1 });
        assert!(matches!(record.came_back(write, conflict(), now(5)), Err(RecordError::Conflict { epoch: 1 })));
        assert!(!record.is_fenced(now(5).instant));
        let mut of_another = done.clone();
        of_another.spec.holder = "replica-1".to_owned();
        assert!(!record.adopt(of_another));
        assert!(record.adopt(done), "the write without an answer was done");
        let again = record.due(&pods, false, WRITERS, now(6)).unwrap();
        assert_eq!(again.round.spec.epoch, 2);
        let answer = Ok(again.round.clone());
        assert_eq!(applies(record.came_back(again, answer, now(6))), [[1]]);
    }

    #[test]
    fn a_record_that_was_deleted_begins_anew_and_its_epoch_goes_on() {
        let mut record = opened();
        let renewal = record.renewal(now(5));
        let answer = Ok(renewal.round.clone());
        record.came_back(renewal, answer, now(5)).unwrap();
        assert!(record.adopt(AdmissionRound::new("weir", AdmissionRoundSpec::default())));
        assert_eq!(record.renewal(now(6)).round.spec.epoch, 2);
    }

    #[test]
    fn a_written_record_vouches_for_two_seconds_that_this_replica_leads() {
        let mut record = opened();
        let renewal = record.renewal(now(5));
        let answer = Ok(renewal.round.clone());
        record.came_back(renewal, answer, now(5)).unwrap();
        assert_eq!([6, 7].map(|seconds| record.is_fenced(now(seconds).instant)), [true, false]);
    }

    #[test]
    fn a_gate_that_the_api_server_refuses_to_remove_leaves_the_record_and_says_why() {
        let (mut record, pods) = (opened(), cache((1..=2).map(waiting)));
        record.line_up(admission(1, [1, 2]), None);
        write(&mut record, &pods);
        record.gates_sent(2);
        assert_eq!(record.gate_came_back(removal(1), Outcome::Refused("422".into()), now(5)), Some("422".to_owned()));
        assert_eq!(record.gate_came_back(removal(2), Outcome::Failed("reset".into()), now(5)), None);
        assert_eq!(record.entries.keys().copied().collect::<Vec<_>>(), [uid(2)]);
        assert_eq!(record.due_gates(&pods, now(6)).len(), 1);
    }

    #[test]
    fn the_fence_is_renewed_while_gates_are_being_removed() {
        let (mut record, pods) = (opened(), cache([waiting(1)]));
        record.line_up(admission(1, [1]), None);
        write(&mut record, &pods);
        record.gates_sent(1);
        assert!(record.due(&pods, false, WRITERS, now(6)).is_none());
        assert!(record.due(&pods, false, WRITERS, now(7)).is_some());
    }

    #[test]
    fn a_void_admission_is_neither_recorded_nor_finished() {
        let (mut record, pods) = (opened(), cache((1..=2).map(waiting)));
        record.line_up(admission(1, [1]), None);
        write(&mut record, &pods);
        record.line_up(admission(2, [2]), None);
        record.void(&[uid(1), uid(2)]);
        let next = record.due(&pods, false, WRITERS, now(6)).unwrap();
        assert_eq!(next.round.spec.admissions, []);
        assert!(next.admitted.is_empty());
    }

    /// A record that an earlier leader left: the gang of 1 and 2, and pod 3 alone.
    fn left() -> RoundRecord {
        let (mut record, pods) = (opened(), cache([member(1, "g", 2), member(2, "g", 2), waiting(3)]));
        record.line_up(admission(1, [1, 2]), None);
        record.line_up(admission(1, [3]), None);
        let write = record.due(&pods, false, WRITERS, now(5)).unwrap();
        RoundRecord::new(write.round, "replica-1")
    }

    #[test]
    fn a_new_leader_finishes_what_is_recorded_and_drops_a_gang_that_lost_a_member_before_it_was_begun() {
        let admitted = |record: &Record| record.admitted.iter().map(|one| one.uid).collect::<Vec<_>>();
        assert_eq!(admitted(&left().restore(|_| Some(true))), [uid(1), uid(2), uid(3)]);
        let gone = |pod: Uid| (pod != uid(2)).then_some(true);
        assert_eq!(admitted(&left().restore(gone)), [uid(3)]);
        // The gate of 1 is gone, so there is only forward.
        assert_eq!(admitted(&left().restore(|pod| Some(pod != uid(1)))), [uid(2), uid(3)]);
    }

    #[test]
    fn a_pod_that_is_gone_before_the_record_is_restored_keeps_its_entry_until_then() {
        let mut record = left();
        let gone = PodEvent::Gone { uid: uid(1), last: None };
        record.on_event(&gone);
        assert!(record.entries.contains_key(&uid(1)), "or the rest of its gang would be finished without it");
        record.restore(|_| Some(true));
        record.on_event(&gone);
        assert!(!record.entries.contains_key(&uid(1)));
    }

    #[test]
    fn a_released_claim_leaves_victims_that_go_all_the_same_without_a_claimant() {
        let mut record = opened();
        let claimed = Claimed {
            claimant: vec![uid(1)],
            pool: "prod".to_owned(),
            amounts: Vec::new(),
            nodes: vec!["n".into()],
            held: Vec::new(),
            victims: vec![uid(8)],
        };
        record.keep(claimed);
        let claimant = uid(1).to_string();
        record.victims.insert(uid(8), Victim { claimant, ..Victim::default() });
        record.release(&[uid(1)]);
        assert_eq!((record.claims.len(), record.victims[&uid(8)].claimant.as_str()), (0, ""));
    }

    #[test]
    fn the_record_says_when_it_was_made() {
        let mut object = AdmissionRound::new("weir", AdmissionRoundSpec::default());
        object.metadata.creation_timestamp = Some(moment(at(9)));
        assert_eq!(RoundRecord::new(object, "replica-0").since(), at(9));
    }
}
