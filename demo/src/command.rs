//! Reads the command line, shows the run while [`driver`](super::driver) does it, and says how it
//! went.
//!
//! With a terminal the live view, without one plain lines and, last, one JSON document; then the cluster is
//! ended or, with `--keep`, left.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use weir_local::{Checkout, Cluster, Options, Port, Program, Programs, Progress};

use super::driver::{Ray, Run, Scope, Wires};
use super::install::Shipped;
use super::objects::SPECIAL_HARDWARE;
use super::profile::{self, Profile};
use super::report::{self, Outcome};
use super::run_state::{Counts, Event, RunState};
use super::timeline::Pace;
use super::view::Screen;
use super::workload::{Wanted, Workload};

/// How often the view is drawn.
const FRAME: Duration = Duration::from_millis(66);

/// A real GPU cluster's workload on an upstream kube-scheduler with WebAssembly plugins.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Nodes of the trace: a sample that keeps the proportions of models and sizes.
    #[arg(long, default_value_t = 1523)]
    nodes: usize,
    /// Pods of the trace: a sample that keeps the proportions of shapes.
    #[arg(long, default_value_t = 2000)]
    pods: usize,
    /// Seconds of the trace in one second; without it, so that 50 pods come in a second.
    #[arg(long, value_parser = positive)]
    speed: Option<f64>,
    /// Leave the cluster up at the end; `weir-demo down` ends it.
    #[arg(long)]
    keep: bool,
    /// Chooses the sample.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The API server's port; without it, a free one.
    #[arg(long)]
    port: Option<u16>,
    /// A node list of the openb format; without it, openb's own.
    #[arg(long, value_name = "CSV")]
    node_list: Option<PathBuf>,
    /// A pod list of the openb format; without it, openb's gpuspec33.
    #[arg(long, value_name = "CSV")]
    pod_list: Option<PathBuf>,
    /// The scheduler's configuration, taken as it is; without it, scheduler-config/weir.yaml and every module of
    /// the plugins' folder that it does not name.
    #[arg(long, value_name = "YAML")]
    scheduler_config: Option<PathBuf>,
    /// The folder with the plugins' modules; without it, where `make plugins` leaves them.
    #[arg(long, value_name = "FOLDER")]
    plugins: Option<PathBuf>,
    /// Replay the trace, and leave out the story of giving back that follows it.
    #[arg(long)]
    trace_only: bool,
    /// Add two RayJobs to the story, made by KubeRay's operator, which is built where it is missing.
    #[arg(long, conflicts_with = "trace_only")]
    ray: bool,
    /// Where the chart is written at the end; without it, run.svg beside the folder of this program.
    #[arg(long, value_name = "SVG")]
    chart: Option<PathBuf>,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The live view and a summary; without a terminal plain lines, and a JSON document as the last.
    #[default]
    Text,
    /// One JSON document and nothing else; what goes on is told on standard error.
    Json,
}

/// Runs the trace and says how it went: 0 done, 1 failed or a promise was broken, 2 bad input, 130 stopped.
pub fn main(arguments: RunArgs) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new().context("start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, 1),
    };
    let workload = match arguments.workload() {
        Ok(workload) => workload,
        Err(error) => return failed(&error, 2),
    };
    match runtime.block_on(arguments.perform(workload)) {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Broken) => ExitCode::FAILURE,
        Ok(End::Stopped) => ExitCode::from(130),
        Err(error) => failed(&error, 1),
    }
}

fn failed(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("weir-demo: {error:#}");
    ExitCode::from(code)
}

/// How a run ended that did not fail.
enum End {
    /// Every pod had its turn, and every promise held.
    Done,
    /// Every pod had its turn, but a promise was broken.
    Broken,
    /// The user stopped it.
    Stopped,
}

impl RunArgs {
    fn workload(&self) -> Result<Workload> {
        Workload::read(Wanted {
            node_file: self.node_list.clone(),
            pod_file: self.pod_list.clone(),
            nodes: self.nodes,
            pods: self.pods,
            seed: self.seed,
            pace: Pace { speed: self.speed },
        })
    }

    async fn perform(self, workload: Workload) -> Result<End> {
        let checkout = Checkout::find()?;
        let plugins = self.plugins.clone().unwrap_or_else(|| built_plugins(&checkout));
        let plugins = std::path::absolute(&plugins).with_context(|| format!("find {}", plugins.display()))?;
        let configuration = self.configuration(&checkout, &plugins)?;
        let shipped = Shipped::read(checkout.root())?;
        let sidecar = beside("weir-admission")?;
        let mut wanted = [&Program::CONTROL_PLANE[..], &[Program::Scheduler]].concat();
        wanted.extend(self.ray.then_some(Program::RayOperator));
        let programs = Programs::find(&wanted, &checkout, &Progress::to_stderr()).await?;
        let options = Options { port: self.port.map_or(Port::Free, Port::Fixed) };
        let ray = if self.ray { Some(Ray::read(&checkout).await?) } else { None };
        let scope = self.scope();
        let run = Run { workload, programs, sidecar, options, configuration, plugins, shipped, scope, ray };
        let mut stage = Stage::open(self.output)?;
        let played = stage.play(run).await;
        // The terminal goes back to the user before anything is said on it.
        let state = stage.close();
        match played? {
            Some(cluster) => self.conclude(cluster, &state).await,
            None => {
                eprintln!("stopped before the end; nothing is left running");
                Ok(End::Stopped)
            }
        }
    }

    const fn scope(&self) -> Scope {
        match (self.trace_only, self.ray) {
            (true, _) => Scope::TraceOnly,
            (false, true) => Scope::WithRay,
            (false, false) => Scope::TraceAndStory,
        }
    }

    /// The scheduler's configuration: the one that was asked for as it is, or the shipped one completed.
    fn configuration(&self, checkout: &Checkout, plugins: &Path) -> Result<String> {
        let file = self.scheduler_config.clone().unwrap_or_else(|| checkout.root().join("scheduler-config/weir.yaml"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        if self.scheduler_config.is_some() {
            return Ok(text);
        }
        let Profile { text, added } = profile::complete(&text, SPECIAL_HARDWARE, profile::modules(plugins)?)
            .with_context(|| format!("complete {}", file.display()))?;
        if !added.is_empty() {
            eprintln!("the run takes along what the shipped profile does not name: {}", added.join(", "));
        }
        Ok(text)
    }

    async fn conclude(&self, cluster: Cluster, state: &RunState) -> Result<End> {
        let chart = self.chart.clone().map_or_else(chart_file, Ok)?;
        std::fs::write(&chart, report::chart(state)).with_context(|| format!("write {}", chart.display()))?;
        let summary = format!("{}chart  {}\n\n", report::summary(state), chart.display());
        let outcome = Outcome::of(state);
        let broken = outcome.violations > 0;
        match self.output {
            Output::Text => print!("{summary}"),
            Output::Json => eprint!("{summary}"),
        }
        if self.keep {
            let kept = cluster.keep()?;
            eprintln!("the cluster is up: export KUBECONFIG={}", kept.kubeconfig().display());
            eprintln!("`weir-demo down` (or `make down`) ends it");
        } else {
            cluster.stop().await?;
        }
        if self.output == Output::Json || !Screen::possible() {
            println!("{}", outcome.to_json().context("write the result")?);
        }
        Ok(if broken { End::Broken } else { End::Done })
    }
}

/// A program that is built with this one and lies beside it.
fn beside(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("find this program")?;
    let program = here.with_file_name(name);
    ensure!(program.is_file(), "{} is missing; `make build` builds it", program.display());
    Ok(program)
}

/// Where the chart goes: beside this program's own folder, whatever the target folder is.
fn chart_file() -> Result<PathBuf> {
    let here = std::env::current_exe().context("find this program")?;
    let folder = here.ancestors().nth(2).with_context(|| format!("{} lies in no folder", here.display()))?;
    Ok(folder.join("run.svg"))
}

/// Where `make plugins` left the packed modules: beside this program's own folder, whatever the target folder is.
fn built_plugins(checkout: &Checkout) -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("plugins/packed")));
    beside.filter(|folder| folder.is_dir()).unwrap_or_else(|| checkout.root().join("target/plugins/packed"))
}

/// What the run is shown on.
struct Stage {
    state: RunState,
    began: Instant,
    shown: Shown,
}

enum Shown {
    Screen(Screen),
    Lines(report::LineLog),
    LinesOnStderr(report::LineLog),
}

impl Stage {
    fn open(output: Output) -> Result<Self> {
        let shown = match output {
            Output::Json => Shown::LinesOnStderr(report::LineLog::default()),
            Output::Text if Screen::possible() => Shown::Screen(Screen::open().context("take the terminal over")?),
            Output::Text => Shown::Lines(report::LineLog::default()),
        };
        Ok(Self { state: RunState::new(), began: Instant::now(), shown })
    }

    /// Shows the run until it ends; `None` when the user stopped it, and then nothing of it is left.
    async fn play(&mut self, run: Run) -> Result<Option<Cluster>> {
        let (tell, mut events) = mpsc::unbounded_channel();
        let (counts, seen) = watch::channel(Counts::default());
        let mut work = std::pin::pin!(run.perform(Wires { tell, counts: seen }));
        let mut frame = tokio::time::interval(FRAME);
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let result = loop {
            tokio::select! {
                result = &mut work => break result.map(Some),
                Some(event) = events.recv() => {
                    self.tell(event);
                    while let Ok(event) = events.try_recv() {
                        self.tell(event);
                    }
                    counts.send_replace(self.state.counts());
                }
                _ = frame.tick() => if self.show()? { break Ok(None) },
                _ = terminate.recv() => break Ok(None),
                _ = interrupt.recv() => break Ok(None),
            }
        };
        while let Ok(event) = events.try_recv() {
            self.tell(event);
        }
        if let Ok(Some(_)) = &result {
            self.tell(Event::Ended { why: "every pod of the trace had its turn".to_owned() });
        }
        self.show()?;
        result
    }

    fn tell(&mut self, event: Event) {
        self.state.tell(self.began.elapsed(), event);
    }

    /// Draws what is new; whether the user asked to stop.
    fn show(&mut self) -> io::Result<bool> {
        self.state.advance(self.began.elapsed());
        match &mut self.shown {
            Shown::Screen(screen) => {
                screen.show(&self.state)?;
                return screen.asked_to_stop();
            }
            Shown::Lines(progress) => progress.lines(&self.state).iter().for_each(|line| println!("{line}")),
            Shown::LinesOnStderr(progress) => progress.lines(&self.state).iter().for_each(|line| eprintln!("{line}")),
        }
        Ok(false)
    }

    fn close(self) -> RunState {
        self.state
    }
}

fn positive(text: &str) -> Result<f64> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Ok(speed),
        _ => bail!("a number of seconds above 0, for example 50000"),
    }
}
