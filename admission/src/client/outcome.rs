//! What came of a write.

use kube::api::PatchParams;
use weir_api::names;

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, by this write or by one before it.
    Done,
    /// The object that was meant is gone.
    Gone,
    /// The API server refuses it and will refuse it again, as a budget does. The sentence is its own.
    Refused(String),
    /// It failed, or no answer came; the sentence says how.
    Failed(String),
}

impl Outcome {
    /// The outcome of a write to an object that may be gone.
    pub(super) fn of<T>(result: kube::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(kube::Error::Api(status)) if status.code == 404 => Self::Gone,
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    /// The same for a write that names a UID: a conflict says that another object has the name.
    pub(super) fn of_this<T>(result: kube::Result<T>) -> Self {
        match result {
            Err(kube::Error::Api(status)) if status.code == 409 => Self::Gone,
            other => Self::of(other),
        }
    }
}

/// Patches go in our name.
pub(super) fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::ADMISSION.to_owned()), ..PatchParams::default() }
}
