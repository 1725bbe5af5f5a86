//! What becomes of the pods of a run, event by event.

use super::{Eviction, GangOf, Gate, Known, Origin, Pod, PodOutcome, Refusal, RunState, Stage, Tone};

impl RunState {
    pub(super) fn created(&mut self, pod: Pod) {
        if self.pods.contains_key(&pod.key) {
            return;
        }
        if let Origin::Trace(name) = &pod.origin {
            let asks_for_gpus = !pod.gpus.is_zero();
            self.trace.entry(name.clone()).or_insert(PodOutcome { asks_for_gpus, bound: false, finished: false });
        }
        self.cluster.waits(&pod);
        self.pods.insert(pod.key.clone(), Known { pod, stage: Stage::Waiting, refusal: None, doomed: None });
    }

    pub(super) fn queued(&mut self, key: &str, gate: Gate) {
        if !self.pods.get(key).is_some_and(|known| known.stage == Stage::Waiting) {
            return;
        }
        if let Some(GangOf { name, size }) = self.admission.waits(key, gate, self.now) {
            self.feed.say(self.now, Tone::Plain, format!("gang {name} is whole: {size} pods"));
        }
    }

    pub(super) fn admitted(&mut self, key: &str) {
        let Some(gate) = self.admission.waits_no_more(key) else { return };
        self.admission.admitted(&gate);
        let Some(known) = self.pods.get(key) else { return };
        let gang = gate.gang.map(|gang| gang.name);
        self.feed.admitted(self.now, &known.pod.name, gang.as_deref());
    }

    pub(super) fn bound(&mut self, key: &str, node: String) {
        self.admission.waits_no_more(key);
        let Some(known) = self.pods.get_mut(key) else { return };
        if known.stage != Stage::Waiting {
            return;
        }
        self.cluster.waits_no_more(&known.pod);
        self.cluster.takes(&known.pod, &node);
        self.feed.bound(self.now, &known.pod.name, &node);
        known.stage = Stage::Running { node };
        known.refusal = None;
        self.recent.push_back(self.now);
        self.peak_rate = self.peak_rate.max(self.rate());
        self.first_bound.get_or_insert(self.now);
        self.last_bound = Some(self.now);
        if let Some(outcome) = self.outcome(key) {
            outcome.bound = true;
        }
    }

    pub(super) fn finished(&mut self, key: &str) {
        self.end_of(key);
        if let Some(outcome) = self.outcome(key) {
            outcome.finished = true;
        }
    }

    pub(super) fn doomed(&mut self, key: &str, eviction: Option<Eviction>) {
        if let Some(known) = self.pods.get_mut(key) {
            known.doomed = eviction;
        }
    }

    /// One that had to go has gone; any other that is deleted just ends.
    pub(super) fn deleted(&mut self, key: &str) {
        let doomed = self.pods.get_mut(key).filter(|known| known.stage != Stage::Finished);
        match doomed.and_then(|known| Some((known.pod.clone(), known.doomed.take()?))) {
            Some((pod, eviction)) => {
                self.evictions.add(pod.pool.as_deref().unwrap_or_default(), &eviction);
                self.feed.evicted(self.now, &pod, &eviction);
                if let Some(cluster) = pod.ray_cluster {
                    *self.lost_by_rays.entry(cluster).or_default() += 1;
                }
                self.release(key, Stage::Finished);
            }
            None => self.end_of(key),
        }
        self.pods.remove(key);
    }

    fn end_of(&mut self, key: &str) {
        if let Some(name) = self.release(key, Stage::Finished) {
            self.feed.finished(self.now, &name);
        }
    }

    /// Gives back what a pod holds or asks for; its name, if that was anything.
    fn release(&mut self, key: &str, stage: Stage) -> Option<String> {
        self.admission.waits_no_more(key);
        let known = self.pods.get_mut(key)?;
        match std::mem::replace(&mut known.stage, stage) {
            Stage::Waiting => self.cluster.waits_no_more(&known.pod),
            Stage::Running { node } => self.cluster.gives_back(&known.pod, &node),
            Stage::Finished => return None,
        }
        known.refusal = None;
        Some(known.pod.name.clone())
    }

    pub(super) fn unschedulable(&mut self, key: &str, message: &str) {
        let Some(known) = self.pods.get_mut(key).filter(|known| known.stage == Stage::Waiting) else { return };
        let refusal = Refusal::parse(message);
        if known.refusal.as_ref() != Some(&refusal) {
            self.feed.refused(self.now, &known.pod.name, &refusal);
            known.refusal = Some(refusal);
        }
    }

    fn outcome(&mut self, key: &str) -> Option<&mut PodOutcome> {
        match &self.pods.get(key)?.pod.origin {
            Origin::Trace(name) => self.trace.get_mut(name),
            Origin::Added => None,
        }
    }
}
