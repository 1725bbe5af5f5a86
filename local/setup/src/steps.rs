//! What `make` builds and checks, in which order, and what of it at the same time.
//!
//! How a step is done stands in the Makefile, as its target `step-NAME`. The Go programs alone are built here, because
//! tests and `make run` find them here too. Steps in one language come one after the other: a compiler keeps all cores
//! busy by itself, until it links or waits for a download. Then the other language goes on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::children::Children;
use crate::program::find;
use crate::{Checkout, Program, Progress};

/// A step of a build.
#[derive(Debug)]
pub struct Step {
    name: &'static str,
    language: Language,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Rust,
    Go,
}

#[derive(Debug)]
enum Work {
    /// A target of the Makefile: what it does, and how many seconds it takes from nothing on two cores.
    Target(&'static str, u64),
    /// These programs; each module of them that is not built yet is a line of its own.
    Programs(&'static [Program]),
}

/// Every step; those of one language in the order in which they are taken.
pub const STEPS: &[Step] = &[
    target("rustfmt", Language::Rust, "rustfmt", 5),
    target("clippy", Language::Rust, "clippy", 240),
    target("rust", Language::Rust, "programs in Rust", 300),
    target("plugins", Language::Rust, "plugins", 60),
    target("guests", Language::Rust, "examples of the SDK as modules", 10),
    target("rust-tests", Language::Rust, "tests in Rust", 180),
    target("gofmt", Language::Go, "gofmt", 1),
    target("vet", Language::Go, "go vet", 300),
    programs(
        "programs",
        &[Program::ApiServer, Program::ControllerManager, Program::Etcd, Program::Kwok, Program::Scheduler],
    ),
    programs("ray", &[Program::RayOperator]),
    programs("extension", &[Program::ExtensionScheduler]),
    target("go-tests", Language::Go, "tests in Go", 300),
];

const fn target(name: &'static str, language: Language, what: &'static str, seconds: u64) -> Step {
    Step { name, language, work: Work::Target(what, seconds) }
}

const fn programs(name: &'static str, programs: &'static [Program]) -> Step {
    Step { name, language: Language::Go, work: Work::Programs(programs) }
}

impl Step {
    /// The step of this name.
    ///
    /// # Errors
    /// When there is none; the error lists those that there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        let names = || STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
        STEPS.iter().find(|step| step.name == name).with_context(|| format!("{name} is no step; take of {}", names()))
    }

    fn take(&self, checkout: &Checkout, children: &Children, progress: &Progress) -> Result<()> {
        match self.work {
            Work::Target(what, seconds) => progress.step(what, Duration::from_secs(seconds), || {
                children.run(&mut make(self.name, checkout), &checkout.log(self.name))
            }),
            Work::Programs(programs) => {
                let found = find(programs, checkout, children, progress)?;
                found.get(&Program::Scheduler).map_or(Ok(()), |scheduler| install(scheduler, checkout))
            }
        }
    }
}

/// Takes these steps, the languages at the same time. The first error ends everything else.
///
/// # Errors
/// That of the step that failed first.
pub fn run(wanted: &[&'static Step], checkout: &Checkout, progress: &Progress) -> Result<()> {
    let children = Children::new()?;
    let (ended, ends) = mpsc::channel();
    for language in [Language::Rust, Language::Go] {
        let is_wanted =
            |step: &&Step| step.language == language && wanted.iter().any(|wanted| wanted.name == step.name);
        let steps: Vec<_> = STEPS.iter().filter(is_wanted).collect();
        let (ended, checkout, children, progress) =
            (ended.clone(), checkout.clone(), children.clone(), progress.clone());
        // Not waited for after an error: it may wait for another process's lock.
        thread::spawn(move || {
            let result = steps.iter().try_for_each(|step| step.take(&checkout, &children, &progress));
            // A second error has no receiver any more.
            let _ = ended.send(result);
        });
    }
    drop(ended);
    for result in ends {
        if result.is_err() {
            progress.hush();
            children.end();
            return result;
        }
    }
    Ok(())
}

/// Takes no flags from the make that may have started this process: its jobs are not those of this one.
fn make(step: &str, checkout: &Checkout) -> Command {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", &format!("step-{step}")]).current_dir(checkout.root());
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    make
}

/// Puts the scheduler beside the programs in Rust, by a copy that is moved into place, so that a running scheduler
/// can be replaced.
fn install(scheduler: &Path, checkout: &Checkout) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = checkout.root().join(target).join("bin");
    let (new, place) = (folder.join(".weir-scheduler.new"), folder.join("weir-scheduler"));
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    std::fs::copy(scheduler, &new).with_context(|| format!("copy {}", scheduler.display()))?;
    std::fs::rename(&new, &place).with_context(|| format!("move to {}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_step_but_the_programs_is_a_target_of_the_makefile() {
        let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Makefile");
        let makefile = fs::read_to_string(makefile).unwrap();
        for step in STEPS {
            let is_target = makefile.contains(&format!("\nstep-{}:", step.name));
            assert_eq!(is_target, matches!(step.work, Work::Target(..)), "{}", step.name);
        }
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_those_that_are() {
        let error = Step::named("rusty").unwrap_err().to_string();
        assert!(error.starts_with("rusty is no step; take of rustfmt, clippy, "), "{error}");
    }
}
