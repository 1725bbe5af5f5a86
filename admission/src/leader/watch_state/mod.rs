//! The cluster as this leader knows it.
//!
//! | part | holds |
//! |---|---|
//! | [`state`] | [`WatchState`](state::WatchState): all of it, and what the queue has to be told |
//! | [`pod_cache`] | what is remembered of each managed pod |
//! | [`nodes`] | the nodes, their GPU models, and when a silent one is excluded |
//! | [`read_by`] | what pods are read by beside themselves |
//! | [`scheduler_liveness`] | when kube-scheduler showed that it works |

mod nodes;
pub(super) mod pod_cache;
pub(super) mod read_by;
mod scheduler_liveness;
pub(super) mod state;
