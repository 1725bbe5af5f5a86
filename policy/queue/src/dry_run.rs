//! `enforce: false`: everybody goes, and hears what would have happened (A14).

use weir_model::PoolId;

use crate::admit::Candidate;
use crate::decision::{Admission, Decision, Eviction};
use crate::explanation::Explanation;
use crate::pod::Grounds;
use crate::pods::PodRecord;
use crate::queues::Workload;
use crate::settings::Enforcement;
use crate::state::Queue;

impl Queue {
    /// Says, once of each pod, that it would have to go.
    pub(crate) fn would_evict(&mut self, mut eviction: Eviction) {
        eviction.victims.retain(|victim| self.announced.insert(victim.uid));
        if !eviction.victims.is_empty() {
            self.pending.push(Decision::WouldEvict(eviction));
        }
    }

    /// Admits everybody who is left waiting, one by one, with the reason for which they would have waited.
    pub(crate) fn admit_unenforced(&mut self) {
        if self.config.enforcement == Enforcement::On {
            return;
        }
        self.pending.retain(|decision| !matches!(decision, Decision::Wait(_)));
        let mut waiting = self.pods.numbers();
        waiting.retain(|&pod| self.pods.record(pod).is_some_and(PodRecord::waits));
        // Asked of all before the first goes: a gang that passes in part would look as if it ran.
        let whys: Vec<_> = waiting.iter().map(|&pod| self.explain_pod(pod)).collect();
        for (pod, why) in waiting.into_iter().zip(whys) {
            self.admit_one_unenforced(pod, why);
        }
    }

    fn admit_one_unenforced(&mut self, pod: u32, would_have: Option<Explanation>) {
        let Some(record) = self.pods.record(pod) else { return };
        let (shape, preemptible, gang, uid) = (record.shape, record.preemptible, record.gang, record.uid);
        let (pool, leaf): (String, Option<PoolId>) = (record.pool.as_ref().to_owned(), self.leaf_of(record));
        let request = self.shapes.request(std::iter::once(shape), preemptible);
        let nodes = self.find_nodes(request).unwrap_or_default();
        self.dequeue(pod);
        if let Some((gang, _)) = gang {
            self.gangs[gang as usize].admitted_whole();
        }
        match leaf {
            Some(leaf) => {
                let candidate = Candidate { leaf, request, priority: None };
                self.admit(candidate, Workload::Pod(pod), &nodes, Grounds::NotEnforced, would_have);
            }
            None => {
                let node = nodes.first().map(|&(_, node)| node);
                self.become_admitted(pod, node, Grounds::NotEnforced);
                let name = node.map(|node| std::sync::Arc::clone(&self.nodes.host(node).name));
                self.pending.push(Decision::Admit(Admission {
                    round: self.round,
                    pods: vec![(uid, name)],
                    pool,
                    amounts: self.amounts(request),
                    grounds: Grounds::NotEnforced,
                    decided_on: Vec::new(),
                    would_have,
                }));
            }
        }
    }
}
