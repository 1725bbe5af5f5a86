//! What a run is shown on while it goes on: the terminal, or lines.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use weir_local::Cluster;

use crate::driver::Run;
use crate::driver::shared::SharedRun;
use crate::options::Output;
use crate::report::LineLog;
use crate::run_state::Event;
use crate::view::Screen;

/// How often the view is drawn.
const FRAME: Duration = Duration::from_millis(66);

/// Whether people watch: standard output is a terminal that can be drawn on.
pub(crate) fn is_watched() -> bool {
    Screen::possible()
}

/// Shows a run; dropping it gives the terminal back.
pub(crate) struct Display {
    shared: SharedRun,
    shown: Shown,
}

enum Shown {
    Screen(Screen),
    Lines(LineLog),
    LinesOnStderr(LineLog),
}

impl Display {
    /// Takes the terminal over where there is one.
    pub(crate) fn open(output: Output, shared: SharedRun) -> Result<Self> {
        let shown = match output {
            Output::Json => Shown::LinesOnStderr(LineLog::default()),
            Output::Text if is_watched() => Shown::Screen(Screen::open().context("take the terminal over")?),
            Output::Text => Shown::Lines(LineLog::default()),
        };
        Ok(Self { shared, shown })
    }

    /// Shows the run until it ends; `None` when the user stopped it, and then nothing of it is left.
    pub(crate) async fn play(&mut self, run: Run) -> Result<Option<Cluster>> {
        let shared = self.shared.clone();
        let mut work = std::pin::pin!(run.perform(&shared));
        let mut frame = tokio::time::interval(FRAME);
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let result = loop {
            tokio::select! {
                result = &mut work => break result.map(Some),
                _ = frame.tick() => if self.show()? { break Ok(None) },
                _ = terminate.recv() => break Ok(None),
                _ = interrupt.recv() => break Ok(None),
            }
        };
        if let Ok(Some(_)) = &result {
            self.shared.tell(Event::Ended { why: "every pod of the trace had its turn".to_owned() });
        }
        self.show()?;
        result
    }

    /// Draws what is new; whether the user asked to stop.
    fn show(&mut self) -> io::Result<bool> {
        match &mut self.shown {
            Shown::Screen(screen) => {
                self.shared.look(|run| screen.show(run))?;
                return screen.asked_to_stop();
            }
            Shown::Lines(log) => self.shared.look(|run| log.lines(run)).iter().for_each(|line| println!("{line}")),
            Shown::LinesOnStderr(log) => {
                self.shared.look(|run| log.lines(run)).iter().for_each(|line| eprintln!("{line}"));
            }
        }
        Ok(false)
    }
}
