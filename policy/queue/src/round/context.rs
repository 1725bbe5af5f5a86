//! What one round works on, and what it decides.

use std::collections::BTreeMap;

use weir_model::reason::Waiting as Reason;

use crate::contract::decision::{Decision, Waiting};
use crate::contract::explanation::Explanation;
use crate::contract::settings::{Config, Enforcement};
use crate::contract::time::Time;
use crate::preemption::View;
use crate::state::State;
use crate::state::clocks::Clocks;
use crate::state::ids::{NodeId, PodId};
use crate::state::row::Row;

/// One round: it borrows what is remembered and has what lives for one step only.
pub(crate) struct Round<'a> {
    pub(crate) config: &'a mut Config,
    pub(crate) state: &'a mut State,
    pub(crate) clocks: &'a mut Clocks,
    pub(crate) now: Time,
    /// The number under which the round's admissions and claims are recorded.
    pub(crate) number: u64,
    /// For how many requests the round may still assume other nodes for admitted pods.
    pub(crate) reassume_budget: u32,
    /// What became free on nodes since the last round; claims from patience grow with it.
    pub(crate) freed: BTreeMap<NodeId, Row>,
    /// What was decided so far.
    pub(crate) decisions: Vec<Decision>,
}

impl<'a> Round<'a> {
    /// The round of this number, in which nothing was decided yet.
    pub(crate) const fn new(
        config: &'a mut Config,
        state: &'a mut State,
        clocks: &'a mut Clocks,
        now: Time,
        number: u64,
    ) -> Self {
        Self { config, state, clocks, now, number, reassume_budget: 0, freed: BTreeMap::new(), decisions: Vec::new() }
    }

    /// Whether pods wait at all.
    pub(crate) fn enforces(&self) -> bool {
        self.config.enforcement == Enforcement::On
    }

    /// What planning an eviction reads.
    pub(crate) const fn view(&self) -> View<'_> {
        View { state: &*self.state, config: &*self.config, now: self.now }
    }

    /// Tells pods why they wait, unless they were told the same reason before.
    pub(crate) fn tell(&mut self, pods: impl IntoIterator<Item = PodId>, why: &Explanation) {
        let reason: Reason = why.reason();
        let mut told = Vec::new();
        for pod in pods {
            let Some(record) = self.state.pods.record_mut(pod) else { continue };
            if record.waits() && record.told != Some(reason) {
                record.told = Some(reason);
                told.push(record.uid);
            }
        }
        if !told.is_empty() {
            self.decisions.push(Decision::Wait(Waiting { pods: told, why: why.clone() }));
        }
    }
}
