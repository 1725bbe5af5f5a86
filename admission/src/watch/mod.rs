//! What every replica watches beside pods and nodes, because every replica answers the webhook.
//!
//! | module | does |
//! |---|---|
//! | [`caches`] | namespaces, pools and the list of special hardware, kept by reflectors |
//! | [`hardware`], [`schedulers`] | that list, and which revision of it the scheduler has in force |
//! | [`ray`] | gangs of Ray clusters, whose pods announce nothing |
//! | [`pod_groups`], [`budgets`] | PodGroups of other schedulers, and disruption budgets |
//! | [`relist`] | what a list that begins again does not have any more |

pub mod budgets;
pub mod caches;
pub mod hardware;
pub mod pod_groups;
pub mod ray;
pub mod relist;
pub mod schedulers;
