//! The clock of a run.

/// Time since the run began. It is passed in wherever it is needed; only [`SharedRun`](crate::driver) reads a clock.
pub type At = std::time::Duration;
