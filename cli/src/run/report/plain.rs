//! A run in plain lines, for a log: one when a step begins and when it ends, one about every five seconds.
//!
//! The driver's clock is the story's time; nothing here waits.

use std::time::Duration;

use crate::run::story::{At, Counts, Phase, StepState, Story};
use crate::run::words::{clock, grouped, percent, seconds};

/// How often there is a line about what goes on.
const EVERY: Duration = Duration::from_secs(5);

/// What was already said.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// For each step, by its position, whether its beginning and its end were said.
    said: Vec<(bool, bool)>,
    violations: usize,
    last: At,
    phase: Phase,
}

impl Progress {
    /// What is new since the last call, in lines; often nothing.
    pub fn lines(&mut self, story: &Story) -> Vec<String> {
        let mut lines = self.steps(story);
        for violation in &story.violations()[self.violations..] {
            lines.push(violation.to_string());
        }
        self.violations = story.violations().len();
        if self.phase != story.phase() {
            self.phase = story.phase();
            lines.extend(turned(story));
            self.last = story.now();
        }
        if story.now().saturating_sub(self.last) >= EVERY {
            lines.extend(going_on(story));
            self.last = story.now();
        }
        lines.iter().map(|line| format!("{:>6}  {line}", clock(story.now()))).collect()
    }

    fn steps(&mut self, story: &Story) -> Vec<String> {
        self.said.resize(story.steps().len(), (false, false));
        let mut lines = Vec::new();
        for (step, (began, ended)) in story.steps().iter().zip(&mut self.said) {
            let name = &step.name;
            match &step.state {
                StepState::Running { elapsed: _, expected } if !*began => {
                    let about = expected.map_or_else(String::new, |expected| format!(" (about {})", seconds(expected)));
                    lines.push(format!("{name}{about} …"));
                }
                StepState::Done { took } if !*ended => lines.push(format!("{name}: done in {}", seconds(*took))),
                StepState::Failed { why } if !*ended => lines.push(format!("{name}: failed: {why}")),
                StepState::Planned | StepState::Running { .. } | StepState::Done { .. } | StepState::Failed { .. } => {}
            }
            *began |= !matches!(step.state, StepState::Planned);
            *ended |= matches!(step.state, StepState::Done { .. } | StepState::Failed { .. });
        }
        if !lines.is_empty() {
            self.last = story.now();
        }
        lines
    }
}

/// What is said once when a part of the run begins.
fn turned(story: &Story) -> Option<String> {
    match story.phase() {
        Phase::SettingUp => None,
        Phase::Replaying => {
            let (pods, nodes) = (grouped(story.plan().pods as u64), grouped(story.nodes() as u64));
            Some(format!("replaying {} on {nodes} nodes: {pods} pods", story.plan().title))
        }
        Phase::Ended => Some(format!("ended: {}", story.ending().unwrap_or_default())),
    }
}

/// What is said every five seconds.
fn going_on(story: &Story) -> Option<String> {
    match story.phase() {
        Phase::SettingUp => story.steps().iter().rev().find_map(|step| match &step.state {
            StepState::Running { elapsed, expected: Some(expected) } => {
                Some(format!("{}: {} of about {}", step.name, seconds(*elapsed), seconds(*expected)))
            }
            StepState::Running { elapsed, expected: None } => Some(format!("{}: {}", step.name, seconds(*elapsed))),
            StepState::Planned | StepState::Done { .. } | StepState::Failed { .. } => None,
        }),
        Phase::Replaying => {
            let counts = story.counts();
            let Counts { created, waiting, refused, running, .. } = counts;
            let levels = story.levels();
            Some(format!(
                "created {} of {}, placed {} ({:.0}/s), running {running}, waiting {waiting} ({refused} refused), \
                 GPU {}, CPU {}",
                grouped(created as u64),
                grouped(story.plan().pods as u64),
                grouped(counts.bound() as u64),
                story.rate(),
                percent(levels.gpu.used_ratio()),
                percent(levels.cpu.used_ratio()),
            ))
        }
        Phase::Ended => None,
    }
}
