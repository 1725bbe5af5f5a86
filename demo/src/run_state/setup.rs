//! The steps of the set-up.

use std::time::Duration;

use super::feed::{Feed, Tone};
use crate::At;

/// One step of the set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupStep {
    /// What is done, for example `building kube-apiserver`.
    pub name: String,
    /// How far it is.
    pub state: SetupState,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// It will come. Told for all steps at first, it lets the view say how far the whole set-up is.
    Planned,
    /// Under way for `elapsed`.
    Running {
        /// How long so far.
        elapsed: Duration,
        /// How long it took where it was measured.
        expected: Option<Duration>,
    },
    /// Done.
    Done {
        /// How long it took.
        took: Duration,
    },
    /// Failed; the run will end.
    Failed {
        /// What went wrong, in one sentence.
        why: String,
    },
}

/// The steps in the order in which they were first told; each is known by its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    steps: Vec<SetupStep>,
}

impl Setup {
    /// Takes in how far a step is. Its end is one line of the feed, however often it is told.
    pub(super) fn told(&mut self, now: At, step: SetupStep, feed: &mut Feed) {
        let known = self.steps.iter_mut().find(|known| known.name == step.name);
        let kind = std::mem::discriminant::<SetupState>;
        let changed = known.as_ref().is_none_or(|known| kind(&known.state) != kind(&step.state));
        match &step.state {
            SetupState::Done { .. } if changed => feed.say(now, Tone::Good, step.name.clone()),
            SetupState::Failed { why } if changed => feed.say(now, Tone::Bad, format!("{}: {why}", step.name)),
            SetupState::Planned | SetupState::Running { .. } | SetupState::Done { .. } | SetupState::Failed { .. } => {}
        }
        match known {
            Some(known) => *known = step,
            None => self.steps.push(step),
        }
    }

    pub(super) fn steps(&self) -> &[SetupStep] {
        &self.steps
    }
}
