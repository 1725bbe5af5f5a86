//! One step: take in what happened, then decide. The order of decisions is the policy in one page.

use crate::admit::Blocked;
use crate::event::Event;
use crate::explain::Explanation;
use crate::nodes::Books;
use crate::order::Unit;
use crate::state::Queue;
use crate::{Decision, Time};

impl Queue {
    /// Takes in what happened until `now`, and decides.
    ///
    /// The same events in the same order give the same decisions. A moment before the last one counts as the
    /// last one.
    pub fn step(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> Vec<Decision> {
        self.now = self.now.max(now);
        self.count_progress();
        events.into_iter().for_each(|event| self.take_in(event));
        self.decide();
        std::mem::take(&mut self.pending)
    }

    fn decide(&mut self) {
        self.wake();
        self.forget_gangs();
        self.file_gangs();
        self.pools.learn(&self.dims);
        self.think_of_nodes();
        let eligible = self.eligible();
        self.pools.learn(&self.dims);
        self.pools.entitle(&self.ledger, &eligible.demand, &self.nodes, &self.dims);
        let blocked = self.admit_all(&eligible);
        let wanted = self.reclaim(&blocked);
        self.lend(&blocked, &wanted);
        self.tell_all(&blocked);
        self.drain();
        self.time_out();
        self.file_gangs();
        self.let_all_pass();
        self.round += 1;
    }

    /// Looks again at pods whose owners have backed off long enough.
    fn wake(&mut self) {
        while let Some(&(at, pod)) = self.alarms.first().filter(|&&(at, _)| at <= self.now) {
            self.alarms.remove(&(at, pod));
            if self.pods.record(pod).is_some_and(|record| record.waits()) {
                self.unfile(pod);
                self.file(pod);
            }
        }
    }

    /// Thinks of nodes for admitted pods that have none: their node is gone, or nobody found one for them.
    fn think_of_nodes(&mut self) {
        for pod in std::mem::take(&mut self.unplaced) {
            let Some(record) = self.pods.record(pod) else { continue };
            let ask = self.shapes.ask(std::iter::once(record.shape), record.preemptible);
            let mut books = Books { hosts: &*self.hosts, dims: &mut self.dims };
            let ask = self.shapes.ask_of(ask);
            let found = self.places.find(ask, &mut self.nodes, &self.shapes, &mut books);
            self.withdraw(pod);
            if let (Ok(nodes), Some(running)) =
                (found, self.pods.record_mut(pod).and_then(|record| record.running_mut()))
            {
                running.node = nodes.first().map(|&(_, node)| node);
            }
            self.enter(pod);
        }
    }

    /// Tells everybody who waits why, where the reason changed; without enforcement everybody goes.
    fn tell_all(&mut self, blocked: &[Blocked]) {
        for claim in self.claims.clone() {
            let victims = self.to_go(&claim);
            if victims > 0 {
                let members = self.waiting_members(claim.unit);
                self.tell(members, &Explanation::Preemption { victims });
            }
        }
        let mut seen = std::collections::HashSet::new();
        for &Blocked { leaf, ask, why } in blocked {
            if !seen.insert((leaf, ask)) {
                continue;
            }
            let reason = self.explain_why(why).reason();
            let Some(bucket) = self.lines[leaf.index()].buckets.get_mut(&ask) else { continue };
            bucket.why = Some(why);
            let fresh = std::mem::take(&mut bucket.fresh);
            let units: Vec<Unit> = match bucket.told.replace(reason) == Some(reason) {
                true => fresh,
                false => bucket.order.values().map(|entry| entry.unit).collect(),
            };
            let waits_for_victims =
                |unit: &Unit| self.claims.iter().any(|claim| claim.unit == *unit && !claim.victims.is_empty());
            let units: Vec<Unit> = units.into_iter().filter(|unit| !waits_for_victims(unit)).collect();
            let pods: Vec<u32> = units.into_iter().flat_map(|unit| self.waiting_members(unit)).collect();
            let why = self.explain_why(why);
            self.tell(pods, &why);
        }
    }
}
