//! The last line of a run without a terminal, as a program reads it. Its form is a contract (contracts.md:
//! `make run`): fields are added, never renamed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::run_state::RunState;
use crate::run_state::counts::Counts;
use crate::run_state::event::PluginFigures;

/// How a run ended, in numbers. `pods` = `bound.cpu` + `bound.gpu` + `refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Nodes at the end.
    pub nodes: usize,
    /// Pods of the trace that were created; a recreated one counts once.
    pub pods: usize,
    /// Those that were bound at least once.
    pub bound: Bound,
    /// Those that never were.
    pub refused: usize,
    /// Promises that the history checker saw broken.
    pub violations: usize,
    /// What the plugins did, by name.
    pub plugins: BTreeMap<String, Plugin>,
}

/// Pods that were bound at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Those that ask for no GPU.
    pub cpu: usize,
    /// Those that ask for GPUs.
    pub gpu: usize,
}

/// What a plugin did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plugin {
    /// `sha256:…` of the module.
    pub digest: String,
    /// Calls, remembered verdicts included.
    pub calls: u64,
}

impl Outcome {
    /// The outcome of a run as it was told.
    #[must_use]
    pub fn of(run: &RunState) -> Self {
        let counts = run.counts();
        let Counts { created, bound_cpu, bound_gpu, .. } = counts;
        let plugin = |PluginFigures { name, digest, calls }: &PluginFigures| {
            (name.clone(), Plugin { digest: digest.clone(), calls: *calls })
        };
        Self {
            nodes: run.cluster().nodes().len(),
            pods: created,
            bound: Bound { cpu: bound_cpu, gpu: bound_gpu },
            refused: counts.never_bound(),
            violations: run.violations().len(),
            plugins: run.plugins().map(plugin).collect(),
        }
    }

    /// The document on one line.
    ///
    /// # Errors
    /// Never in practice: every part of it has a form in JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn the_last_line_is_the_document_that_the_contract_promises() {
        assert_eq!(
            Outcome::of(&example::run()).to_json().unwrap(),
            r#"{"nodes":2,"pods":4,"bound":{"cpu":1,"gpu":2},"refused":1,"violations":1,"#.to_owned()
                + r#""plugins":{"GPUFilter":{"digest":"sha256:0123456789abcdef0123","calls":8}}}"#
        );
    }

    #[test]
    fn every_pod_is_either_bound_or_refused() {
        let Outcome { pods, bound, refused, .. } = Outcome::of(&example::run());
        assert_eq!(pods, bound.cpu + bound.gpu + refused);
    }
}
