//! The one object of the round record, by compare-and-swap (B5a).

use kube::api::PostParams;
use kube::{Api, Client};
use weir_api::names;
use weir_api::round::{AdmissionRound, AdmissionRoundSpec};

use super::outcome::{is_final, shortened};

/// Why the record was not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another leader wrote since this one read.
    #[error("recording round {epoch}: a conflict, so another leader wrote before")]
    Conflict {
        /// The epoch that was to be recorded.
        epoch: i64,
    },
    /// The API server refuses this record and will refuse it again.
    #[error("recording round {epoch}: {why}")]
    Refused {
        /// The epoch that was to be recorded.
        epoch: i64,
        /// The API server's sentence.
        why: String,
    },
    /// The API server could not be reached, or failed.
    #[error("{operation} the admission round: {source}")]
    Api {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: Box<kube::Error>,
    },
}

/// The record as it stands; made where there is none.
///
/// # Errors
/// The API server cannot be reached or refuses.
pub async fn read_round(client: &Client) -> Result<AdmissionRound, RecordError> {
    let rounds: Api<AdmissionRound> = Api::all(client.clone());
    let failed = |operation| move |source| RecordError::Api { operation, source: Box::new(source) };
    if let Some(found) = rounds.get_opt(names::ROUND).await.map_err(failed("reading"))? {
        return Ok(found);
    }
    let new = AdmissionRound::new(names::ROUND, AdmissionRoundSpec::default());
    rounds.create(&PostParams::default(), &new).await.map_err(failed("creating"))
}

/// Writes the record over the version that it was made from.
///
/// # Errors
/// [`RecordError::Conflict`] where another leader wrote since; nothing may be done then.
pub async fn replace_round(client: &Client, next: &AdmissionRound) -> Result<AdmissionRound, RecordError> {
    let rounds: Api<AdmissionRound> = Api::all(client.clone());
    match rounds.replace(names::ROUND, &PostParams::default(), next).await {
        Ok(written) => Ok(written),
        // A record that is gone was deleted by an administrator; whoever reads it next makes a new one.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
            Err(RecordError::Conflict { epoch: next.spec.epoch })
        }
        Err(kube::Error::Api(status)) if is_final(status.code) => {
            Err(RecordError::Refused { epoch: next.spec.epoch, why: shortened(&status.message) })
        }
        Err(source) => Err(RecordError::Api { operation: "recording", source: Box::new(source) }),
    }
}
