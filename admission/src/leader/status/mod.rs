//! How things stand: the status of pools, the objects of gangs, the figures of metrics.
//!
//! | part | does |
//! |---|---|
//! | [`report`] | [`Status`]: what was reported, and what changed since |
//! | [`pools`] | the figures in a pool's status, and whether it is held on to |
//! | [`pool_conditions`] | what is wrong with a pool: a condition, an event, a metric |
//! | [`gangs`] | the object of a gang |
//! | [`metrics`] | the figures of metrics |
//! | [`view`] | what a report is made from |

mod gangs;
mod metrics;
mod pool_conditions;
mod pools;
mod report;
mod view;

pub(super) use pool_conditions::Warning;
pub(super) use report::{Status, StatusWrite};
pub(super) use view::{OverIn, View};
