//! `weir-demo setup`: finds or builds the programs that a local cluster is made of, before a run waits for one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use weir_local::{Checkout, Program, Programs, Progress};

/// What to set up.
#[derive(Args, Clone, Debug)]
pub(crate) struct SetupArgs {
    /// Also put weir-scheduler into this folder.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Also build what only the end-to-end tests start.
    #[arg(long)]
    tests: bool,
}

/// Sets everything up; 1 when a build fails.
pub(crate) fn main(arguments: &SetupArgs) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime");
    match runtime.and_then(|runtime| runtime.block_on(set_up(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-demo setup: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn set_up(arguments: &SetupArgs) -> Result<()> {
    let mut wanted = [&Program::CONTROL_PLANE[..], &[Program::Scheduler]].concat();
    if arguments.tests {
        wanted.extend([Program::ExtensionScheduler, Program::RayOperator]);
    }
    let programs = Programs::find(&wanted, &Checkout::find()?, &Progress::to_stderr()).await?;
    match &arguments.into {
        Some(folder) => install(programs.path(Program::Scheduler)?, folder),
        None => Ok(()),
    }
}

/// Moves a copy into place, so that a running program can be replaced.
fn install(program: &Path, folder: &Path) -> Result<()> {
    let name = program.file_name().context("name the program")?;
    let (new, place) = (folder.join(format!(".{}.new", name.to_string_lossy())), folder.join(name));
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    std::fs::copy(program, &new).with_context(|| format!("write {}", new.display()))?;
    std::fs::rename(&new, &place).with_context(|| format!("write {}", place.display()))
}
