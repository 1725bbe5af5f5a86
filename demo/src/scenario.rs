//! What a run plays: the trace's pods with their times and pools, the roles of the story, and the objects that they are
//! on a cluster. Pure: nothing here talks to one.

pub(crate) mod demand;
mod leaves;
pub(crate) mod members;
pub(crate) mod objects;
pub(crate) mod pools;
pub(crate) mod profile;
pub mod role;
pub(crate) mod timeline;
pub(crate) mod workload;
