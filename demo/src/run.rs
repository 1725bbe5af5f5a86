//! Prepares a run, shows it while the [`driver`](crate::driver) does it, and says how it went.
//!
//! With a terminal the live view, without one plain lines and, last, one JSON document; then the cluster is ended or,
//! with `--keep`, left.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use weir_local::{Checkout, Cluster, Options, Port, Program, Programs, Progress};

use crate::display::{self, Display};
use crate::driver::Run;
use crate::driver::install::Shipped;
use crate::driver::ray::Ray;
use crate::driver::shared::SharedRun;
use crate::options::{Output, RunOptions};
use crate::report::{self, Outcome};
use crate::scenario::objects::SPECIAL_HARDWARE;
use crate::scenario::profile::{self, Profile};
use crate::scenario::workload::Workload;

/// Runs the trace and says how it went: 0 done, 1 failed or a promise was broken, 2 bad input, 130 stopped.
pub(crate) fn main(options: RunOptions) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new().context("start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, 1),
    };
    let workload = match options.workload() {
        Ok(workload) => workload,
        Err(error) => return failed(&error, 2),
    };
    match runtime.block_on(perform(&options, workload)) {
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

async fn perform(options: &RunOptions, workload: Workload) -> Result<End> {
    let run = prepare(options, workload).await?;
    let shared = SharedRun::begin();
    let mut display = Display::open(options.output, shared.clone())?;
    let played = display.play(run).await;
    // The terminal goes back to the user before anything is said on it.
    drop(display);
    match played? {
        Some(cluster) => conclude(options, cluster, &shared).await,
        None => {
            eprintln!("stopped before the end; nothing is left running");
            Ok(End::Stopped)
        }
    }
}

/// Finds or builds everything that a run needs.
async fn prepare(options: &RunOptions, workload: Workload) -> Result<Run> {
    let checkout = Checkout::find()?;
    let plugins = options.plugins.clone().unwrap_or_else(|| built_plugins(&checkout));
    let plugins = std::path::absolute(&plugins).with_context(|| format!("find {}", plugins.display()))?;
    let configuration = configuration(options, &checkout, &plugins)?;
    let shipped = Shipped::read(checkout.root())?;
    let sidecar = beside("weir-admission")?;
    let mut wanted = [&Program::CONTROL_PLANE[..], &[Program::Scheduler]].concat();
    wanted.extend(options.ray.then_some(Program::RayOperator));
    let programs = Programs::find(&wanted, &checkout, &Progress::to_stderr()).await?;
    let port = Options { port: options.port.map_or(Port::Free, Port::Fixed) };
    let ray = if options.ray { Some(Ray::read(&checkout).await?) } else { None };
    let scope = options.scope();
    Ok(Run { workload, programs, sidecar, options: port, configuration, plugins, shipped, scope, ray })
}

/// The scheduler's configuration: the one that was asked for as it is, or the shipped one completed.
fn configuration(options: &RunOptions, checkout: &Checkout, plugins: &Path) -> Result<String> {
    let shipped = || checkout.root().join("scheduler-config/weir.yaml");
    let file = options.scheduler_config.clone().unwrap_or_else(shipped);
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    if options.scheduler_config.is_some() {
        return Ok(text);
    }
    let Profile { text, added } = profile::complete(&text, SPECIAL_HARDWARE, profile::modules(plugins)?)
        .with_context(|| format!("complete {}", file.display()))?;
    if !added.is_empty() {
        eprintln!("the run takes along what the shipped profile does not name: {}", added.join(", "));
    }
    Ok(text)
}

/// Says how the run went, and ends or keeps the cluster.
async fn conclude(options: &RunOptions, cluster: Cluster, shared: &SharedRun) -> Result<End> {
    let chart = options.chart.clone().map_or_else(chart_file, Ok)?;
    let (picture, summary, outcome) = shared.look(|run| (report::chart(run), report::summary(run), Outcome::of(run)));
    std::fs::write(&chart, picture).with_context(|| format!("write {}", chart.display()))?;
    let summary = format!("{summary}chart  {}\n\n", chart.display());
    match options.output {
        Output::Text => print!("{summary}"),
        Output::Json => eprint!("{summary}"),
    }
    if options.keep {
        let kept = cluster.keep()?;
        eprintln!("the cluster is up: export KUBECONFIG={}", kept.kubeconfig().display());
        eprintln!("`weir-demo down` (or `make down`) ends it");
    } else {
        cluster.stop().await?;
    }
    if options.output == Output::Json || !display::is_watched() {
        println!("{}", outcome.to_json().context("write the result")?);
    }
    Ok(if outcome.violations > 0 { End::Broken } else { End::Done })
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
