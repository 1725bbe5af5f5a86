//! The steps of the set-up, each told while it goes on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::shared::SharedRun;
use crate::run_state::Event;
use crate::run_state::setup::{SetupState, SetupStep};

const CONTROL_PLANE: &str = "start the control plane";
const INSTALL: &str = "install Weir and its pools";
const RAY: &str = "install KubeRay and start its operator";
const SCHEDULER: &str = "start weir-scheduler";
const SIDECAR: &str = "start weir-admission";

/// What a node takes to be created, with the first report of its load.
const NODE: Duration = Duration::from_millis(3);

/// The set-up of a run.
pub(super) struct SetUp<'a> {
    shared: &'a SharedRun,
    nodes: usize,
}

impl<'a> SetUp<'a> {
    /// Tells the steps that will come.
    pub(super) fn plan(shared: &'a SharedRun, nodes: usize, with_ray: bool) -> Self {
        let set_up = Self { shared, nodes };
        let create_nodes = set_up.create_nodes();
        let first = [CONTROL_PLANE, INSTALL, &create_nodes];
        for name in first.into_iter().chain(with_ray.then_some(RAY)).chain([SCHEDULER, SIDECAR]) {
            set_up.tell(name, SetupState::Planned);
        }
        set_up
    }

    pub(super) async fn control_plane<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(CONTROL_PLANE, Duration::from_secs(4), work).await
    }

    pub(super) async fn install<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(INSTALL, Duration::from_secs(1), work).await
    }

    pub(super) async fn nodes<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let expected = NODE * u32::try_from(self.nodes).unwrap_or(u32::MAX);
        self.step(&self.create_nodes(), expected, work).await
    }

    pub(super) async fn ray<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(RAY, Duration::from_secs(3), work).await
    }

    pub(super) async fn scheduler<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(SCHEDULER, Duration::from_secs(1), work).await
    }

    pub(super) async fn sidecar<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(SIDECAR, Duration::from_secs(1), work).await
    }

    fn create_nodes(&self) -> String {
        format!("create {} nodes", self.nodes)
    }

    /// Does `work` as one step and tells how far it is.
    async fn step<T>(&self, name: &str, expected: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut work = std::pin::pin!(work);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = tick.tick() => {
                    self.tell(name, SetupState::Running { elapsed: began.elapsed(), expected: Some(expected) });
                }
            }
        };
        match &result {
            Ok(_) => self.tell(name, SetupState::Done { took: began.elapsed() }),
            Err(error) => self.tell(name, SetupState::Failed { why: first_line(&format!("{error:#}")) }),
        }
        result.with_context(|| name.to_owned())
    }

    fn tell(&self, name: &str, state: SetupState) {
        self.shared.tell(Event::SetUp(SetupStep { name: name.to_owned(), state }));
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
