//! What is played, and how fast it is written.

/// How many objects are written at a time: enough that the API server is never idle for want of requests.
pub(super) const AT_A_TIME: usize = 32;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The trace, and then the story.
    TraceAndStory,
    /// The same, with two RayJobs in it.
    WithRay,
    /// The trace.
    TraceOnly,
}
