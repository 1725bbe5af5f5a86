//! Conditions of pods, and the events beside them.
//!
//! | part | does |
//! |---|---|
//! | [`writer`] | [`Conditions`]: which are written next, and how many at once |
//! | [`pending`] | the order in which they wait |
//! | [`deferred`] | those that could not be written, until they are tried again |
//! | [`message_refresh`] | keeps the numbers in messages of waiting pods fresh |
//! | [`events`] | events that wait behind all conditions |
//! | [`updates`] | which conditions the leader writes |

mod deferred;
mod events;
mod message_refresh;
mod pending;
mod updates;
mod writer;

pub use events::EventQueue;
pub(super) use events::QueuedEvent;
pub(super) use updates::{preempted, spared, waiting};
pub(super) use writer::{ConditionWrite, Conditions, Load, Write};
