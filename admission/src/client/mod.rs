//! The writes, each with one [`Outcome`].
//!
//! A write names the UID that it means, and the removal of a gate the version that was decided on, so that another pod
//! of the same name, or a pod that changed in between, is never taken for it. Nothing here decides what follows from an
//! outcome.
//!
//! | part | writes |
//! |---|---|
//! | [`pods`] | gates, conditions, labels, evictions |
//! | [`events`] | events |
//! | [`objects`] | pools and gangs |
//! | [`rounds`] | the round record |

pub mod events;
pub mod objects;
pub mod outcome;
pub mod pods;
pub mod rounds;

pub use events::{About, refused, top_owner, warn, write_condition_and_event, write_event_for};
pub use objects::{FinalizerWrite, GangObject, GangWrite, write_finalizers, write_gang, write_pool_status};
pub use outcome::Outcome;
pub use pods::{LabelWrite, Target, evict, remove_gate, write_condition, write_label};
pub use rounds::{RecordError, read_round, replace_round};
