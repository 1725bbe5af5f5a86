//! How far a run is.

use std::time::Duration;

use crate::At;

/// A part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Programs are built and started.
    #[default]
    SettingUp,
    /// Pods come and go.
    Replaying,
    /// It is over.
    Ended,
}

/// The time of the run, and when its parts began.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    now: At,
    replay_began: Option<At>,
    ended: Option<Ending>,
}

#[derive(Clone, Debug)]
struct Ending {
    at: At,
    why: String,
}

impl Clock {
    /// Lets time pass; it never runs backwards.
    pub(super) fn advance(&mut self, at: At) {
        self.now = self.now.max(at);
    }

    /// Begins the replay; whether it had not begun.
    pub(super) fn start_replay(&mut self) -> bool {
        let begins = self.phase() == Phase::SettingUp;
        if begins {
            self.replay_began = Some(self.now);
        }
        begins
    }

    /// Ends the run; whether it had not ended.
    pub(super) fn end(&mut self, why: String) -> bool {
        let ends = self.ended.is_none();
        if ends {
            self.ended = Some(Ending { at: self.now, why });
        }
        ends
    }

    /// The time of the last event.
    #[must_use]
    pub const fn now(&self) -> At {
        self.now
    }

    /// The part of the run that goes on.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match (&self.replay_began, &self.ended) {
            (_, Some(_)) => Phase::Ended,
            (Some(_), None) => Phase::Replaying,
            (None, None) => Phase::SettingUp,
        }
    }

    /// How long the replay has lasted, or lasted.
    #[must_use]
    pub fn replayed(&self) -> Duration {
        let until = self.ended.as_ref().map_or(self.now, |ending| ending.at);
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
        self.ended.as_ref().map(|ending| ending.why.as_str())
    }
}
