//! Which pods go so that a claimant fits (C1, C2, C3, C6): a plan, worked out on a copy. Nothing here changes what
//! is remembered; when a plan is made and carried out is in `round::reclaim`.

pub(crate) mod candidates;
mod displaced;
mod draft;
mod node_costs;
mod plan;
mod simulation;
mod view;

pub(crate) use displaced::displaced;
pub(crate) use draft::Served;
pub(crate) use node_costs::Admits;
pub(crate) use plan::{Planned, giving_leaves, plan};
pub(crate) use view::View;
