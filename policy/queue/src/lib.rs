//! (docs)
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

mod admit;
mod claim;
mod decision;
mod eligibility;
mod event;
mod explain;
mod gang;
mod hosts;
mod intake;
mod kills;
mod ledger;
mod loan;
mod nodes;
mod order;
mod place;
mod plan;
mod pod;
mod pools;
mod reclaim;
mod selector;
mod settings;
mod shape;
mod state;
mod step;
mod time;
mod turn;
mod unenforced;
mod victims;

pub use decision::*;
pub use event::*;
pub use explain::{Explanation, PoolName, Reason};
pub use hosts::{Hosts, Node};
pub use pod::*;
pub use selector::{Effect, Operator, Requirement, Taint, Term, Toleration};
pub use settings::*;
pub use state::{Queue, Standing};
pub use time::Time;
