//! The whole of a run.

use std::collections::BTreeMap;

use weir_checker::Violation;

use super::clock::{Clock, Phase};
use super::counts::Counts;
use super::event::{Event, Plan, PluginFigures};
use super::feed::{Feed, Tone};
use super::history::History;
use super::rate::Rate;
use super::rays;
use super::setup::{Setup, SetupStep};
use super::steps::{Moment, Step, StepRow, StepState, Steps};
use super::totals::Totals;
use crate::At;
use crate::cluster_state::levels::Levels;
use crate::cluster_state::{Change, ClusterState, News, What};

/// A run as it was told so far.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    clock: Clock,
    plan: Plan,
    setup: Setup,
    cluster: ClusterState,
    totals: Totals,
    steps: Steps,
    plugins: BTreeMap<String, PluginFigures>,
    violations: Vec<Violation>,
    feed: Feed,
    history: History,
    rate: Rate,
}

impl RunState {
    /// A run that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at a time; a time before the last one is taken as the last one.
    pub fn tell(&mut self, at: At, event: Event) {
        self.advance(at);
        let now = self.clock.now();
        match event {
            Event::Planned(plan) => self.plan = plan,
            Event::SetUp(step) => self.setup.told(now, step, &mut self.feed),
            Event::ReplayStarted => self.start_replay(),
            Event::Ended { why } => self.end(why),
            Event::Cluster(change) => self.cluster_changed(change),
            Event::Plugin(figures) => drop(self.plugins.insert(figures.name.clone(), figures)),
            Event::Step { step, state } => self.step(step, state),
            Event::Violated(violation) => {
                self.feed.say(now, Tone::Bad, violation.to_string());
                self.violations.push(violation);
            }
            Event::Note(text) => self.feed.say(now, Tone::Plain, text),
        }
    }

    /// Lets time pass: nothing happened, but charts and rates move on.
    pub fn advance(&mut self, at: At) {
        self.clock.advance(at);
        let now = self.clock.now();
        if self.clock.phase() == Phase::Replaying && self.history.is_due(now) {
            self.history.advance(now, self.levels());
        }
        self.rate.advance(now);
    }

    fn cluster_changed(&mut self, change: Change) {
        let now = self.clock.now();
        if let Change::Pool(pool) = &change {
            self.totals.pool_seen(pool);
        }
        for news in self.cluster.apply(now, change) {
            self.totals.note(&news, &self.cluster);
            if matches!(news, News { what: What::Bound(_), .. }) {
                self.rate.bound();
            }
            self.feed.news(now, news);
        }
    }

    fn start_replay(&mut self) {
        if self.clock.start_replay() {
            self.history.begin(self.clock.now(), self.levels());
        }
    }

    fn end(&mut self, why: String) {
        if self.clock.end(why.clone()) {
            let now = self.clock.now();
            self.history.close(now, self.levels());
            self.feed.say(now, Tone::Plain, why);
        }
    }

    fn step(&mut self, step: Step, state: StepState) {
        let (title, moment, now) = (step.title(), self.moment(), self.clock.now());
        if self.steps.told(now, step, state.clone(), moment) {
            let (tone, words) = match state {
                StepState::Playing => (Tone::Plain, format!("{title} …")),
                StepState::Done => (Tone::Good, title.to_owned()),
                StepState::Cut { why } => (Tone::Bad, format!("{title}: {why}")),
            };
            self.feed.say(now, tone, words);
        }
    }

    fn moment(&self) -> Moment {
        let rays = rays::rays(&self.cluster, self.totals.lost_by_rays());
        Moment::of(self.levels().gpu, self.cluster.pools(), self.totals.evictions(), rays)
    }

    /// The time, and how far the run is.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the run intends.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The steps of the set-up in the order in which they began.
    #[must_use]
    pub fn setup_steps(&self) -> &[SetupStep] {
        self.setup.steps()
    }

    /// The cluster as it is now.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// What was counted over the whole run.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Pods by what became of them.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::of(&self.totals, &self.cluster)
    }

    /// How full the cluster is now.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::of(&self.cluster)
    }

    /// How full the cluster was over time.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// How fast pods are bound.
    #[must_use]
    pub const fn rate(&self) -> &Rate {
        &self.rate
    }

    /// The steps of the story so far, each with what came of it.
    #[must_use]
    pub fn steps(&self) -> Vec<StepRow> {
        if self.steps.is_empty() { Vec::new() } else { self.steps.rows(&self.moment()) }
    }

    /// What the plugins did, by name.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &PluginFigures> {
        self.plugins.values()
    }

    /// What the judge found, oldest first.
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
