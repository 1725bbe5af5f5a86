//! Evictions, from the decision to the watch that shows the pod gone.
//!
//! | part | does |
//! |---|---|
//! | [`state`] | [`Evictions`]: the next step of each victim, without effects |
//! | [`apply`] | enters victims into the record, and takes in what came of each step |
//! | [`backoff`] | lets owners back off whose pods were not placed in time |

mod apply;
pub(super) mod backoff;
mod state;

pub(super) use apply::EvictionStep;
pub(super) use state::{Act, Evictions};
