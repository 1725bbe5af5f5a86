//! What can be asked of a story.

use std::time::Duration;

use weir_checker::Violation;

use super::{
    At, Counts, EvictionRow, Feed, GangRow, History, Levels, ModelRow, Most, Outlook, Phase, Plan, PluginFigures,
    PodOutcome, PoolRow, RATE_WINDOW, Reason, RunState, SetupStep, Special, Stage, StepRow, WaitReason, refusal,
};

impl RunState {
    /// The time of the last event.
    #[must_use]
    pub const fn now(&self) -> At {
        self.now
    }

    /// What part of the run this is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// What the run intends.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The steps of the set-up in the order in which they began.
    #[must_use]
    pub fn setup_steps(&self) -> &[SetupStep] {
        &self.setup_steps
    }

    /// How long the replay has lasted, or lasted.
    #[must_use]
    pub fn replayed(&self) -> Duration {
        let until = self.ended.as_ref().map_or(self.now, |&(at, _)| at);
        self.replay_began.map_or(Duration::ZERO, |began| until.saturating_sub(began))
    }

    /// A time as a time since the replay began; `None` for what was before.
    #[must_use]
    pub fn into_replay(&self, at: At) -> Option<Duration> {
        self.replay_began.and_then(|began| at.checked_sub(began))
    }

    /// Why the run ended, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<&str> {
        self.ended.as_ref().map(|(_, why)| why.as_str())
    }

    /// Pods by what became of them.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for &PodOutcome { asks_for_gpus, bound, finished } in self.trace.values() {
            counts.created += 1;
            counts.bound_gpu += usize::from(bound && asks_for_gpus);
            counts.bound_cpu += usize::from(bound && !asks_for_gpus);
            counts.finished += usize::from(finished);
        }
        for known in self.pods.values() {
            counts.waiting += usize::from(known.stage == Stage::Waiting);
            let runs = matches!(known.stage, Stage::Running { .. });
            counts.running += usize::from(runs);
            counts.ending += usize::from(runs && known.pod.ends);
            counts.refused += usize::from(known.refusal.is_some());
        }
        counts.queued = self.admission.waiting();
        counts.unexplained = self.admission.unexplained();
        counts.for_good = self.admission.with(Outlook::ForGood);
        counts.incomplete = self.admission.with(Outlook::Incomplete);
        counts
    }

    /// Nodes that exist.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.cluster.nodes()
    }

    /// How full the cluster is now.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.cluster.levels()
    }

    /// GPU hosts by model, the model with most GPUs first.
    #[must_use]
    pub fn models(&self) -> Vec<ModelRow> {
        self.cluster.models()
    }

    /// Special hardware, and who holds it; `None` where no node has any.
    #[must_use]
    pub fn special(&self) -> Option<Special> {
        self.cluster.special()
    }

    /// How full the cluster was over time.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Pods bound per second, over the last few seconds.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let span = self.first_bound.map_or(Duration::ZERO, |first| self.now.saturating_sub(first));
        let span = span.clamp(Duration::from_secs(1), RATE_WINDOW);
        self.recent.len() as f64 / span.as_secs_f64()
    }

    /// The highest rate there was.
    #[must_use]
    pub const fn peak_rate(&self) -> f64 {
        self.peak_rate
    }

    /// Why pods wait that the scheduler found no node for: reasons with the number of pods, most pods first.
    #[must_use]
    pub fn refusals(&self) -> Vec<Reason> {
        refusal::grouped(self.pods.values().filter_map(|known| known.refusal.as_ref()))
    }

    /// The tree of pools, depth first; empty where nobody divides the cluster.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolRow<'_>> {
        self.admission.tree()
    }

    /// The most that a pool had so far.
    #[must_use]
    pub fn most(&self, pool: &str) -> Most {
        self.admission.most(pool)
    }

    /// Why pods wait for admission, most pods first.
    #[must_use]
    pub fn wait_reasons(&self) -> Vec<WaitReason> {
        self.admission.reasons()
    }

    /// Gangs that wait for members, those that miss fewest first.
    #[must_use]
    pub fn gangs(&self) -> Vec<GangRow> {
        self.admission.gangs()
    }

    /// Pods that had to go and went: by pool, reason and beneficiary.
    #[must_use]
    pub fn evictions(&self) -> Vec<EvictionRow> {
        self.evictions.rows()
    }

    /// The steps of the demonstration so far, each with what came of it.
    #[must_use]
    pub fn steps(&self) -> Vec<StepRow> {
        if self.steps.is_empty() { Vec::new() } else { self.steps.rows(&self.moment()) }
    }

    /// What the plugins did, by name.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &PluginFigures> {
        self.plugins.values()
    }

    /// What the history checker found, oldest first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What happened, in lines, oldest first.
    #[must_use]
    pub const fn feed(&self) -> &Feed {
        &self.feed
    }
}
