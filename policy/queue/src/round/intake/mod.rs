//! Takes in what happened. Nothing is decided here; afterwards every pod is counted and stands where it belongs,
//! whatever order the events came in.

mod names;
mod nodes;
mod pods;
mod pools;
mod record;

use crate::contract::event::Event;
use crate::state::budgets::Budgets;

use super::claims::eviction_refused;
use super::context::Round;

/// Takes in one event.
pub(super) fn take_in(round: &mut Round<'_>, event: Event) {
    let names = round.state.shapes.names.generation;
    match event {
        Event::Pod(pod) => pods::changed(round, pod),
        Event::PodGone(uid) => pods::gone(round, uid),
        Event::Unmanaged { uid, node, shape } => nodes::unmanaged(round.state, uid, &node, &shape),
        Event::Node(node) => nodes::changed(round.state, &node.name.clone(), Some(node)),
        Event::NodeGone(name) => nodes::changed(round.state, &name, None),
        Event::Pools(configs) => pools::changed(round, configs),
        Event::Config(config) => *round.config = config,
        Event::Budgets(budgets) => round.state.budgets = Budgets::new(budgets),
        Event::RoundLost(number) => record::round_lost(round, number),
        Event::Restored(recorded) => record::restore(round, &recorded),
        Event::OverSince { pool, dim, since } => {
            let dim = round.state.shapes.dims.intern(&dim);
            round.clocks.over_since.insert((pool, dim), since.min(round.now));
        }
        Event::EvictionRefused(uid) => eviction_refused(round, uid),
        Event::AdmissionRefused { uid, why } => record::admission_refused(round, uid, why),
        Event::SchedulerProgress => round.clocks.progress.mark(round.now, round.config.scheduler_patience),
        Event::SchedulerWorked(at) => {
            round.clocks.progress.mark(at.min(round.now), round.config.scheduler_patience);
        }
        Event::Tick => {}
    }
    names::reread(round, names);
}
