//! A program that runs to its end, and what it left behind.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What a start that fails may take at the most, and a small run.
const PATIENCE: Duration = Duration::from_secs(180);

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

/// Runs a program until it says something on standard error, and ends it then.
///
/// # Errors
/// When it ends before, or does not say it.
pub async fn until_it_says(command: &mut Command, text: &str) -> Result<()> {
    let mut child = start(command)?;
    let mut lines = BufReader::new(child.stderr.take().context("its errors")?).lines();
    let mut said = Vec::new();
    let heard = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains(text) {
                return anyhow::Ok(true);
            }
            said.push(line);
        }
        Ok(false)
    };
    let heard = tokio::time::timeout(PATIENCE, heard).await.unwrap_or(Ok(false))?;
    child.kill().await.context("end it")?;
    ensure!(heard, "{command:?} did not say {text:?}; it said:\n{}", said.join("\n"));
    Ok(())
}

fn start(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().with_context(|| format!("run {}", command.as_std().get_program().to_string_lossy()))
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
    /// those of [`Self::file`] that are named here, and processes that work in it.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn left_behind(&self, own: &[&str]) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.path()).context("list the folder")?.flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut left: Vec<_> = names.filter(|name| !own.contains(&name.as_str())).collect();
        for process in std::fs::read_dir("/proc").context("list the processes")?.flatten() {
            // Processes of other users, and those that end just now, do not say where they work.
            let Ok(cwd) = std::fs::read_link(process.path().join("cwd")) else { continue };
            if cwd.starts_with(self.path()) {
                let command = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                left.push(format!("process {} ({})", process.file_name().to_string_lossy(), command.trim()));
            }
        }
        Ok(left)
    }
}
