//! Gives back what nothing needs any more, so that memory follows what is there now (G2).
//!
//! A sweep looks at every pod, so it is made when there are many more shapes and requests than pods can have, or than
//! the last sweep left. It is made between two rules, when every shape and request in use stands with a pod, a claim
//! or a queue.

use std::collections::BTreeSet;

use super::State;
use super::ids::{RequestId, ShapeId};
use super::verdicts::Verdicts;

/// So many shapes and requests are worth no sweep.
const FEW: usize = 1024;

impl State {
    /// Gives back the nodes that are gone and hold nothing and, where there are many, unused shapes and requests.
    pub(crate) fn sweep(&mut self) {
        self.nodes.forget_gone();
        let kept = self.shapes.len();
        if kept > 2 * self.after_sweep + FEW || kept > 2 * self.pods.len() + FEW {
            self.sweep_shapes();
            self.after_sweep = self.shapes.len();
        }
    }

    fn sweep_shapes(&mut self) {
        let claimed = self.claims.iter().map(|claim| claim.request);
        let queued = self.queues.iter().flat_map(|queue| queue.buckets.keys().copied());
        let requests: BTreeSet<RequestId> = claimed.chain(queued).collect();
        let of_request = |&request: &RequestId| &self.shapes.request_of(request).members;
        let asked = requests.iter().flat_map(of_request).map(|&(shape, _)| shape);
        let on_nodes = self.claims.iter().flat_map(|claim| claim.nodes.iter().map(|&(shape, _)| shape));
        let of_pods = self.pods.iter().map(|record| record.shape);
        let shapes: BTreeSet<ShapeId> = asked.chain(on_nodes).chain(of_pods).collect();
        let (gone, ended) = self.shapes.retain(&shapes, &requests);
        self.fit.forget(&gone, &ended);
        // Verdicts name requests; they are found out again.
        self.verdicts = Verdicts::default();
    }
}
