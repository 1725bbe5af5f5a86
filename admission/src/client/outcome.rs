//! What came of a write.

use kube::api::PatchParams;
use weir_api::names;

/// How many characters of the API server's sentence are kept: tenants write parts of it.
const SENTENCE: usize = 300;

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, by this write or by one before it.
    Done,
    /// The object that was meant is gone.
    Gone,
    /// The object is there in another version than the one that was meant.
    Changed,
    /// The API server refuses it and will refuse it again, as a budget or a policy does. The sentence is its own.
    Refused(String),
    /// It failed, or no answer came; the sentence says how.
    Failed(String),
    /// It was not sent, because this replica could not show any more that it leads.
    NotSent,
}

impl Outcome {
    /// The outcome as a label of metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Gone => "Gone",
            Self::Changed => "Changed",
            Self::Refused(_) => "Refused",
            Self::Failed(_) => "Failed",
            Self::NotSent => "NotSent",
        }
    }

    /// The outcome of a write to an object that may be gone.
    pub(super) fn of<T>(result: kube::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(kube::Error::Api(status)) if status.code == 404 => Self::Gone,
            Err(kube::Error::Api(status)) if status.code == 409 => Self::Changed,
            Err(kube::Error::Api(status)) if is_final(status.code) => Self::Refused(shortened(&status.message)),
            Err(error) => Self::Failed(shortened(&error.to_string())),
        }
    }

    /// The same for a write that names a UID and no version: a conflict says that another object has the name.
    pub(super) fn of_this<T>(result: kube::Result<T>) -> Self {
        match Self::of(result) {
            Self::Changed => Self::Gone,
            other => other,
        }
    }
}

/// Whether the same request gets the same answer again. A token that is being replaced, a request that took too long
/// and one that came too soon (401, 408, 429) say nothing of the request.
pub(super) const fn is_final(code: u16) -> bool {
    matches!(code, 400..=499) && !matches!(code, 401 | 408 | 429)
}

/// The beginning of a sentence that others wrote.
pub(super) fn shortened(sentence: &str) -> String {
    sentence.chars().take(SENTENCE).collect()
}

/// Patches go in our name.
pub(super) fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::ADMISSION.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16) -> kube::Result<()> {
        Err(kube::Error::Api(Box::new(Status { code, message: "no".to_owned(), ..Status::default() })))
    }

    #[test]
    fn an_answer_says_whether_the_object_is_gone_changed_or_refused_for_good() {
        let refused = || Outcome::Refused("no".to_owned());
        assert_eq!(
            [200, 404, 409].map(|code| if code == 200 { Outcome::of(Ok(())) } else { Outcome::of(answer(code)) }),
            [Outcome::Done, Outcome::Gone, Outcome::Changed]
        );
        assert_eq!(
            [400, 403, 413, 422].map(|code| Outcome::of(answer(code))),
            [refused(), refused(), refused(), refused()]
        );
        for code in [401, 408, 429, 500, 503] {
            assert!(matches!(Outcome::of(answer(code)), Outcome::Failed(_)), "{code}");
        }
        assert_eq!(Outcome::of_this(answer(409)), Outcome::Gone);
    }

    #[test]
    fn the_sentence_of_others_is_bounded() {
        assert_eq!(shortened(&"a".repeat(10_000)).len(), SENTENCE);
    }
}
