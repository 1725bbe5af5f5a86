//! One round: take in what happened, then decide. The order of decisions is the policy in one page.
//!
//! A rule is a module of functions that work on a [`Round`]; what a rule decides is pushed to the round's decisions
//! and counted at once, so that the next rule sees it.

mod admission;
mod admit;
mod assumed;
mod checks;
mod claims;
mod context;
mod dry_run;
mod elastic;
mod eligibility;
mod enqueue;
mod entitle;
mod evictions;
pub(crate) mod explain;
mod fair_order;
mod gangs;
mod intake;
mod leaves;
mod loans;
pub(crate) mod overdue;
mod patience;
mod reclaim;
mod timeouts;

pub(crate) use context::Round;

use crate::contract::decision::Decision;
use crate::contract::event::Event;

/// Takes in what happened, and decides.
pub(crate) fn run(mut round: Round<'_>, events: impl IntoIterator<Item = Event>) -> Vec<Decision> {
    events.into_iter().for_each(|event| intake::take_in(&mut round, event));
    decide(&mut round);
    round.decisions
}

fn decide(round: &mut Round<'_>) {
    round.reassume_budget = assumed::REASSUME_BUDGET;
    enqueue::wake(round);
    gangs::forget_gangs(round);
    gangs::requeue_gangs(round);
    round.state.pools.learn(&round.state.shapes.dims);
    overdue::give_up(round);
    assumed::assume_nodes(round);
    assumed::reassume(round);
    patience::take_freed(round);
    eligibility::judge_eligibility(round.state);
    round.state.sweep();
    entitle::entitle(round.state);
    let refused = admit::admit_all(round);
    let planned = reclaim::reclaim(round, &refused);
    loans::lend(round, &refused, planned);
    explain::tell_all(round, &refused);
    timeouts::drain(round);
    timeouts::time_out(round);
    gangs::requeue_gangs(round);
    dry_run::admit_unenforced(round);
    patience::watch_freed(round);
}
