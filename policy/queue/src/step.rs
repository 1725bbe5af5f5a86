//! One step: take in what happened, then decide. The order of decisions is the policy in one page.

use crate::admit::Blocked;
use crate::event::Event;
use crate::explain::Explanation;
use crate::nodes::Books;
use crate::order::Unit;
use crate::presumed::TRIES;
use crate::state::Queue;
use crate::{Decision, Time};

impl Queue {
    /// Takes in what happened until `now`, and decides.
    ///
    /// The same events in the same order give the same decisions. A moment before the last one counts as the
    /// last one.
    pub fn step(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> Vec<Decision> {
        self.now = self.now.max(now);
        events.into_iter().for_each(|event| self.take_in(event));
        self.decide();
        std::mem::take(&mut self.pending)
    }

    fn decide(&mut self) {
        self.tries = TRIES;
        self.wake();
        self.forget_gangs();
        self.file_gangs();
        self.pools.learn(&self.dims);
        self.think_of_nodes();
        self.make_way();
        self.judge_eligibility();
        self.pools.entitle(&self.ledger, &self.eligible, &self.nodes, &self.dims);
        self.count_all_beyond();
        let blocked = self.admit_all();
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
        let served: Vec<Unit> =
            self.claims.iter().filter(|claim| !claim.victims.is_empty()).map(|claim| claim.unit).collect();
        for &Blocked { leaf, ask, why, again: _ } in blocked.iter().filter(|blocked| !blocked.again) {
            let round = self.round;
            let Some(bucket) = self.lines[leaf.index()].buckets.get_mut(&ask) else { continue };
            // The claimant of a bucket was asked before the others; what it heard is nearest to its turn.
            if std::mem::replace(&mut bucket.told_in, round) == round {
                continue;
            }
            bucket.why = Some(why);
            let reason = why.reason();
            if bucket.told == Some(reason) && bucket.fresh.is_empty() {
                continue;
            }
            let fresh = std::mem::take(&mut bucket.fresh);
            let units: Vec<Unit> = match bucket.told.replace(reason) == Some(reason) {
                true => fresh,
                false => bucket.order.values().map(|entry| entry.unit).collect(),
            };
            let others = units.into_iter().filter(|unit| !served.contains(unit));
            let pods: Vec<u32> = others.flat_map(|unit| self.waiting_members(unit)).collect();
            let why = self.explain_why(why);
            self.tell(pods, &why);
        }
    }
}
