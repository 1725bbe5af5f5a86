//! The round record: what is about to be done stands in the one `AdmissionRound` before it is done (B5a).
//!
//! Every write compares and swaps. A leader that takes over writes first, so that an earlier one which does
//! not know yet that it lost the lease fails at its next write, before it removes another gate.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Moment;
use kube::api::PostParams;
use kube::{Api, Client};
use weir_api::names;
use weir_api::round::{
    Admission as Entry, AdmissionRound, AdmissionRoundSpec, BackOff, Claim, MAX_ENTRIES, MAX_VICTIMS, TOGETHER, Victim,
};
use weir_queue::{Grounds, Record, Recorded, RecordedClaim, Time, Uid};

use crate::convert::time;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Somebody else wrote: another leader is there.
    #[error("recording round {epoch}: another leader wrote before")]
    Conflict {
        /// The epoch that was to be recorded.
        epoch: i64,
    },
    /// The API server refused or could not be reached.
    #[error("{operation} the admission round: {source}")]
    Api {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: Box<kube::Error>,
    },
}

/// The record as this leader knows it, and what is outstanding.
pub struct RoundRecord {
    api: Api<AdmissionRound>,
    written: AdmissionRound,
    holder: String,
    /// Pods whose gate is about to go, by UID.
    pub entries: BTreeMap<Uid, Entry>,
    /// What is kept for claimants, by their first pod.
    pub claims: BTreeMap<Uid, Claim>,
    /// Who is about to be evicted.
    pub victims: BTreeMap<Uid, Victim>,
    /// Who backs off, by the owner's UID.
    pub back_offs: BTreeMap<Uid, BackOff>,
}

impl RoundRecord {
    /// Opens the record in the name of `holder`: reads what an earlier leader left and fences that leader off.
    ///
    /// # Errors
    /// The API server cannot be reached, or another leader opens it at the same time.
    pub async fn open(client: &Client, holder: &str) -> Result<Self, RecordError> {
        let api: Api<AdmissionRound> = Api::all(client.clone());
        let failed = |operation| move |source| RecordError::Api { operation, source: Box::new(source) };
        let written = match api.get_opt(names::ROUND).await.map_err(failed("reading"))? {
            Some(found) => found,
            None => {
                let new = AdmissionRound::new(names::ROUND, AdmissionRoundSpec::default());
                api.create(&PostParams::default(), &new).await.map_err(failed("creating"))?
            }
        };
        let parsed = |uid: &str| uid.parse::<Uid>().ok();
        let AdmissionRoundSpec { admissions, claims, victims, back_offs, .. } = &written.spec;
        let back_offs = back_offs.iter().filter_map(|it| Some((parsed(&it.owner)?, it.clone()))).collect();
        let entries = admissions.iter().filter_map(|entry| Some((parsed(&entry.uid)?, entry.clone()))).collect();
        let victims = victims.iter().filter_map(|victim| Some((parsed(&victim.uid)?, victim.clone()))).collect();
        let claims =
            claims.iter().filter_map(|claim| Some((parsed(claim.claimant.first()?)?, claim.clone()))).collect();
        let mut record = Self { api, written, holder: holder.to_owned(), entries, claims, victims, back_offs };
        record.write(None).await?;
        Ok(record)
    }

    /// How many more pods fit into the record.
    #[must_use]
    pub fn room(&self) -> usize {
        // A gang that is larger than what is recorded together gets a record of its own.
        let most = if self.entries.is_empty() { MAX_ENTRIES } else { TOGETHER };
        usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(self.entries.len())
    }

    /// How many more victims fit into the record.
    #[must_use]
    pub fn room_for_victims(&self) -> usize {
        usize::try_from(MAX_VICTIMS).unwrap_or(usize::MAX).saturating_sub(self.victims.len())
    }

    /// When the record was created, which is when Weir first led in this cluster.
    #[must_use]
    pub fn since(&self) -> Time {
        self.written.metadata.creation_timestamp.as_ref().map(time).unwrap_or_default()
    }

    /// The epoch that was recorded last.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.written.spec.epoch
    }

    /// When the last round was recorded.
    #[must_use]
    pub fn recorded(&self) -> Option<Moment> {
        self.written.spec.recorded.clone()
    }

    /// Whether what is outstanding is other than what stands in the record.
    #[must_use]
    pub fn differs(&self) -> bool {
        let AdmissionRoundSpec { admissions, claims, victims, back_offs, .. } = &self.written.spec;
        !back_offs.iter().eq(self.back_offs.values())
            || !admissions.iter().eq(self.entries.values())
            || !claims.iter().eq(self.claims.values())
            || !victims.iter().eq(self.victims.values())
    }

    /// Records what is outstanding, as the next epoch; `inputs` are what its new admissions were decided on.
    ///
    /// # Errors
    /// [`RecordError::Conflict`] where somebody else wrote since; nothing may be done then.
    pub async fn write(&mut self, inputs: Option<String>) -> Result<(), RecordError> {
        let epoch = self.written.spec.epoch + 1;
        let mut next = self.written.clone();
        next.spec = AdmissionRoundSpec {
            epoch,
            holder: self.holder.clone(),
            recorded: Some(Moment(jiff::Timestamp::now())),
            inputs: inputs.filter(|_| self.entries.len() <= usize::try_from(TOGETHER).unwrap_or(usize::MAX)),
            admissions: self.entries.values().cloned().collect(),
            claims: self.claims.values().cloned().collect(),
            victims: self.victims.values().cloned().collect(),
            back_offs: self.back_offs.values().cloned().collect(),
        };
        match self.api.replace(names::ROUND, &PostParams::default(), &next).await {
            Ok(written) => {
                self.written = written;
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Err(RecordError::Conflict { epoch }),
            Err(source) => Err(RecordError::Api { operation: "recording", source: Box::new(source) }),
        }
    }

    /// Roll-forward: drops what cannot be finished whole, and returns the rest for the queue to count.
    ///
    /// `waits` tells whether a recorded pod still waits, `None` if it is gone. A gang of which one is gone
    /// and none was released yet is dropped: finishing it would admit a part. One that was begun is finished.
    pub fn restore(&mut self, waits: impl Fn(Uid) -> Option<bool>) -> Record {
        let mut groups: BTreeMap<(String, String), Vec<Uid>> = BTreeMap::new();
        for (uid, entry) in self.entries.iter().filter(|(_, entry)| !entry.gang.is_empty()) {
            groups.entry((entry.namespace.clone(), entry.gang.clone())).or_default().push(*uid);
        }
        let half = groups.into_values().filter(|uids| {
            uids.iter().any(|&uid| waits(uid).is_none()) && uids.iter().all(|&uid| waits(uid) != Some(false))
        });
        let dropped: BTreeSet<Uid> = half.flatten().collect();
        self.entries.retain(|uid, _| waits(*uid) == Some(true) && !dropped.contains(uid));
        self.claims.retain(|uid, _| waits(*uid) == Some(true));
        // Without its claimant nobody goes; who goes without any, for a pool that drains, goes on.
        let claimed = |claimant: &str| claimant.parse().is_ok_and(|uid: Uid| self.claims.contains_key(&uid));
        self.victims.retain(|uid, victim| {
            waits(*uid) == Some(false) && (victim.claimant.is_empty() || claimed(&victim.claimant))
        });
        let admitted =
            self.entries.iter().map(|(&uid, entry)| Recorded { uid, node: None, grounds: grounds(&entry.reason) });
        let parsed = |uids: &[String]| -> Vec<Uid> { uids.iter().filter_map(|uid| uid.parse().ok()).collect() };
        let claims = self.claims.values().map(|claim| RecordedClaim {
            claimant: parsed(&claim.claimant),
            nodes: claim.nodes.clone(),
            victims: parsed(&claim.victims),
        });
        // Of those who go for a claim, the ones for whom there was no room in the record yet go too.
        let unrecorded =
            self.claims.values().flat_map(|claim| parsed(&claim.victims)).filter(|&uid| waits(uid) == Some(false));
        let victims: BTreeSet<Uid> = self.victims.keys().copied().chain(unrecorded).collect();
        let victims = victims.into_iter().collect();
        Record { admitted: admitted.collect(), claims: claims.collect(), victims }
    }
}

/// The grounds of this name.
fn grounds(word: &str) -> Grounds {
    let all = [Grounds::OnLoan, Grounds::Replacement, Grounds::Adopted, Grounds::NotEnforced, Grounds::Released];
    all.into_iter().find(|grounds| grounds.as_str() == word).unwrap_or(Grounds::WithinEntitlement)
}
