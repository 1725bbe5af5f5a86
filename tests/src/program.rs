//! A program that runs to its end, and what it left behind; a process that is stopped for a while.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// What a start that fails may take at the most, and a small run.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the kernel may take to end a process that was killed.
const TO_BE_GONE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// A program of the workspace, as `cargo test` and `make build` leave it beside the running one.
///
/// # Errors
/// When it was not built.
pub fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let mut paths = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    paths.find(|path| path.exists()).with_context(|| format!("{name} is missing: cargo build --workspace --bins"))
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed to standard output.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
}

/// Runs a program without a terminal and returns when it has ended.
///
/// # Errors
/// When it cannot be started, or does not end; it is killed then, and the error has what it said.
pub async fn to_its_end(command: &mut Command) -> Result<Ended> {
    let mut child = start(command)?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let (mut out, mut err) = (child.stdout.take().context("its output")?, child.stderr.take().context("its errors")?);
    let all = async {
        tokio::try_join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr))?;
        child.wait().await
    };
    match tokio::time::timeout(PATIENCE, all).await {
        Ok(status) => Ok(Ended { code: status?.code(), stdout, stderr }),
        Err(_) => bail!("{command:?} did not end within {} s; it said:\n{stdout}{stderr}", PATIENCE.as_secs()),
    }
}

fn start(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().with_context(|| format!("run {}", command.as_std().get_program().to_string_lossy()))
}

/// A process that stands still for as long as this lives.
pub struct Stopped(Pid);

impl Stopped {
    /// Stops the process with this id.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn process(id: u32) -> Result<Self> {
        let id = i32::try_from(id).ok().and_then(Pid::from_raw).context("read the process id")?;
        kill_process(id, Signal::STOP).context("stop the process")?;
        Ok(Self(id))
    }

    /// Stops the one process of this name that works in a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str, folder: &Path) -> Result<Self> {
        let processes = running(folder)?;
        let (id, _) = processes.iter().find(|(_, other)| other == name).with_context(|| format!("no {name} runs"))?;
        Self::process(id.unsigned_abs())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // A process that was killed meanwhile has nothing to go on with.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// A folder for temporary files of programs that are expected to clean up after themselves.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// An empty one.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn new() -> Result<Self> {
        // Short, because a socket's path may have 107 bytes only.
        Ok(Self { folder: tempfile::Builder::new().prefix("e2e-").tempdir().context("create a folder")? })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// What is still there of programs that had this as their folder for temporary files: files other than
    /// the test's `own`, and processes.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn left_behind(&self, own: &[&str]) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.path()).context("list the folder")?.flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let files = names.filter(|name| !own.contains(&name.as_str()));
        Ok(files.chain(left_running(self.path())?).collect())
    }
}

/// The processes that work in a folder, or in one that was removed from it, and go on doing so.
///
/// A killed process takes a moment to be gone on a busy machine, so each is given the time for it.
///
/// # Errors
/// When the processes cannot be listed.
pub fn left_running(folder: &Path) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for (id, name) in running(folder)? {
        // Gone since it was listed, or a moment later.
        let Some(process) = Pid::from_raw(id).and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok()) else { continue };
        let ends = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&TO_BE_GONE)).context("wait for its end")?;
        if ends == 0 {
            left.push(format!("process {id} ({name})"));
        }
    }
    Ok(left)
}

/// The processes that work in a folder at this moment, with their names.
///
/// # Errors
/// When the processes cannot be listed.
pub fn running(folder: &Path) -> Result<Vec<(i32, String)>> {
    let processes = std::fs::read_dir("/proc").context("list the processes")?.flatten();
    let here = processes.filter_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        // Processes of other users, and those that end just now, do not say where they work.
        let works_in = std::fs::read_link(process.path().join("cwd")).ok()?;
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default().trim().to_owned();
        // A removed folder is shown with a word behind its name.
        works_in.to_string_lossy().starts_with(&*folder.to_string_lossy()).then_some((id, name))
    });
    Ok(here.collect())
}
