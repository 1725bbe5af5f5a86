//! One step: take in what happened, then decide. The order of decisions is the policy in one page.

use crate::admit::Refused;
use crate::assumed::REASSUME_BUDGET;
use crate::event::Event;
use crate::explanation::Explanation;
use crate::nodes::NodeContext;
use crate::queues::Workload;
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
        self.reassume_budget = REASSUME_BUDGET;
        self.wake();
        self.forget_gangs();
        self.requeue_gangs();
        self.pools.learn(&self.dims);
        self.assume_nodes();
        self.reassume();
        self.judge_eligibility();
        self.pools.entitle(&self.ledger, &self.eligible, &self.nodes, &self.dims);
        self.count_all_over_entitlement();
        let refused = self.admit_all();
        let wanted = self.reclaim(&refused);
        self.lend(&refused, &wanted);
        self.tell_all(&refused);
        self.drain();
        self.time_out();
        self.requeue_gangs();
        self.admit_unenforced();
        self.round += 1;
    }

    /// Looks again at pods whose owners have backed off long enough.
    fn wake(&mut self) {
        while let Some(&(at, pod)) = self.backoff_timers.first().filter(|&&(at, _)| at <= self.now) {
            self.backoff_timers.remove(&(at, pod));
            if self.pods.record(pod).is_some_and(|record| record.waits()) {
                self.dequeue(pod);
                self.enqueue(pod);
            }
        }
    }

    /// Thinks of nodes for admitted pods that have none: their node is gone, or nobody found one for them.
    fn assume_nodes(&mut self) {
        for pod in std::mem::take(&mut self.unplaced) {
            let Some(record) = self.pods.record(pod) else { continue };
            let request = self.shapes.request(std::iter::once(record.shape), record.preemptible);
            let mut context = NodeContext { hosts: &*self.hosts, dims: &mut self.dims };
            let request = self.shapes.request_of(request);
            let found = self.fit_index.find(request, &mut self.nodes, &self.shapes, &mut context);
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
    fn tell_all(&mut self, refused: &[Refused]) {
        for claim in self.claims.clone() {
            let victims = self.to_go(&claim);
            if victims > 0 {
                let members = self.waiting_members(claim.workload);
                self.tell(members, &Explanation::Preemption { victims });
            }
        }
        let served: Vec<Workload> =
            self.claims.iter().filter(|claim| !claim.victims.is_empty()).map(|claim| claim.workload).collect();
        for &Refused { leaf, request, refusal, again: _ } in refused.iter().filter(|refused| !refused.again) {
            let round = self.round;
            let Some(bucket) = self.leaf_queues[leaf.index()].buckets.get_mut(&request) else { continue };
            // The claimant of a bucket was asked before the others; what it heard is nearest to its turn.
            if std::mem::replace(&mut bucket.told_in, round) == round {
                continue;
            }
            bucket.refusal = Some(refusal);
            let reason = refusal.reason();
            if bucket.told == Some(reason) && bucket.fresh.is_empty() {
                continue;
            }
            let fresh = std::mem::take(&mut bucket.fresh);
            let workloads: Vec<Workload> = match bucket.told.replace(reason) == Some(reason) {
                true => fresh,
                false => bucket.order.values().map(|queued| queued.workload).collect(),
            };
            let others = workloads.into_iter().filter(|workload| !served.contains(workload));
            let pods: Vec<u32> = others.flat_map(|workload| self.waiting_members(workload)).collect();
            let why = self.explain_refusal(refusal);
            self.tell(pods, &why);
        }
    }
}
