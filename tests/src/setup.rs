//! Which scheduler a test runs: the program, its configuration, and the folder with the modules.
//!
//! The usual one is the one that is shipped: `weir-scheduler` with `scheduler-config/weir.yaml` and the modules
//! of `make plugins`, word for word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use weir_local::{Checkout, Cluster, Program, Programs, Progress, Scheduler, SchedulerSettings};

use crate::program::Sandbox;

/// The host then asks a module again for every answer that it remembers, and counts where they differ.
const RECHECK_EVERYTHING: (&str, &str) = ("WEIR_RECHECK_ONE_IN", "1");

/// How many schedulers this process has started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// What is started.
#[derive(Clone, Debug)]
pub struct Setup {
    program: Program,
    configuration: String,
    plugins: PathBuf,
}

impl Setup {
    /// As it is shipped.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn shipped() -> Result<Self> {
        let file = Checkout::find()?.root().join("scheduler-config/weir.yaml");
        let configuration = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        Ok(Self { program: Program::Scheduler, configuration, plugins: built("plugins/packed")? })
    }

    /// The unmodified scheduler of kube-scheduler-wasm-extension, with this configuration.
    ///
    /// # Errors
    /// When the modules were not built.
    pub fn unmodified(configuration: &str) -> Result<Self> {
        let plugins = built("plugins/packed")?;
        Ok(Self { program: Program::ExtensionScheduler, configuration: configuration.to_owned(), plugins })
    }

    /// The same with another configuration.
    #[must_use]
    pub fn configured(self, configuration: &str) -> Self {
        Self { configuration: configuration.to_owned(), ..self }
    }

    /// The same with the modules of another folder.
    #[must_use]
    pub fn with_modules_of(self, plugins: &Path) -> Self {
        Self { plugins: plugins.to_owned(), ..self }
    }

    /// The same with `text` of the configuration replaced.
    ///
    /// # Errors
    /// When the configuration does not have it: the test speaks of something that is not there any more.
    pub fn replacing(self, text: &str, by: &str) -> Result<Self> {
        ensure!(self.configuration.contains(text), "the configuration has no {text:?} to replace");
        Ok(Self { configuration: self.configuration.replace(text, by), ..self })
    }

    /// Starts it and returns when it is healthy.
    ///
    /// # Errors
    /// When it ends before; the error has its exit status and the end of its log.
    pub async fn start(&self, cluster: &Cluster) -> Result<Scheduler> {
        let Self { program, configuration, plugins } = self;
        let programs = programs_with(&[*program]).await?;
        // Its files are named after it, and tests start theirs at the same time.
        let name = format!("{}-{}", program.name(), STARTED.fetch_add(1, Ordering::Relaxed));
        let settings = SchedulerSettings { name: &name, program: programs.path(*program)?, configuration, plugins };
        let (key, value) = RECHECK_EVERYTHING;
        Scheduler::start_with(cluster, settings, &BTreeMap::from([(key.to_owned(), value.to_owned())])).await
    }
}

/// How a scheduler reaches others, and others it, when it is run by hand.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// With what it reaches the API server.
    pub kubeconfig: &'a Path,
    /// The port that it serves on; 0 for none.
    pub port: u16,
}

impl Setup {
    /// The command that runs it by hand, with `sandbox` for its temporary files and for [`CONFIG`].
    ///
    /// # Errors
    /// When it cannot be built, or the configuration not be written.
    pub async fn command(&self, reach: Reach<'_>, sandbox: &Sandbox) -> Result<Command> {
        let Self { program, configuration, plugins } = self;
        let programs = programs_with(&[*program]).await?;
        let text = configuration
            .replace("${KUBECONFIG}", &reach.kubeconfig.display().to_string())
            .replace("${WEIR_PLUGINS}", &plugins.display().to_string());
        let config = sandbox.file(CONFIG, text)?;
        let mut command = Command::new(programs.path(*program)?);
        command.env("TMPDIR", sandbox.path()).current_dir(sandbox.path());
        command.args(["--bind-address=127.0.0.1", "--leader-elect=false", "--cert-dir=certificates"]);
        command.arg(format!("--config={}", config.display())).arg(format!("--secure-port={}", reach.port));
        for flag in ["authentication", "authorization"] {
            command.arg(format!("--{flag}-kubeconfig={}", reach.kubeconfig.display()));
        }
        Ok(command)
    }
}

/// The file with the configuration, as [`Setup::command`] writes it.
pub const CONFIG: &str = "scheduler.yaml";

/// The paths of these programs; those that are missing are built now, with a line for each on standard error.
///
/// # Errors
/// When a build fails.
pub async fn programs_with(programs: &[Program]) -> Result<Programs> {
    Programs::find(programs, &Checkout::find()?, &Progress::to_stderr()).await
}

/// A file or folder that make leaves in `target/`.
///
/// # Errors
/// When it is not there; the error says how to make it.
pub fn built(what: &str) -> Result<PathBuf> {
    let root = Checkout::find()?.root().to_owned();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let path = root.join(target).join(what);
    let how = if what.starts_with("plugins") { "make plugins" } else { "make build" };
    ensure!(path.exists(), "{} is missing: run `{how}` first, or all of it with `make test`", path.display());
    Ok(path)
}
