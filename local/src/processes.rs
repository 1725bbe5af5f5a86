//! Processes that never outlive their owner.
//!
//! All processes of a cluster form one process group. Two shells watch over it, each blocked on a pipe whose
//! other end only the owner holds, so that the kernel tells them when the owner is gone, be it by a return, a
//! panic, Ctrl-C or `kill -9`: the *anchor* leads the group and keeps its number from being reused, the
//! *warden* kills the group and removes the cluster's folder. A parent-death signal would be the other way,
//! but it hangs on the thread that forked, needs unsafe code and does not remove the folder.
//!
//! Killing is enough: what these processes wrote is thrown away with the folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{PipeWriter, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

/// Waits for the owner's end, ends the group `$1` and removes the folder `$2`. A process that is just dying may
/// still write into the folder, hence the retries; a shell that is not its parent has no event to wait for.
const WARDEN: &str = r#"
trap '' INT TERM HUP
read -r _
kill -s KILL -- "-$1" 2>/dev/null
tries=100
until rm -rf -- "$2" 2>/dev/null || [ $((tries -= 1)) = 0 ]; do sleep 0.05; done
"#;

/// Waits for the owner's end and ignores the signals that a terminal or `kill` sends.
const ANCHOR: &str = "trap '' INT TERM HUP; read -r _";

/// How much of a log an error shows.
const TAIL_LINES: usize = 15;

/// How long a program may take until it answers.
const DEADLINE: Duration = Duration::from_secs(60);

/// The processes of one cluster.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    folder: PathBuf,
    anchor: std::process::Child,
    warden: std::process::Child,
    /// The pipe that anchor and warden read; closed when this value is dropped or this process ends.
    lifeline: Option<PipeWriter>,
    deaths: watch::Sender<Option<Death>>,
}

/// The end of a process that was not stopped.
#[derive(Clone, Debug)]
pub struct Death {
    name: String,
    status: String,
    /// The end of the log, because the file is removed with the cluster.
    tail: String,
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, status, tail } = self;
        write!(f, "{name} ended ({status}); the end of its log:\n{tail}")
    }
}

impl std::error::Error for Death {}

/// One process of a cluster; dropping this leaves it running until the cluster ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    pid: Pid,
    /// Set before a signal is sent, so that the end that follows is no [`Death`].
    stopped: Arc<Mutex<bool>>,
    ended: watch::Receiver<Option<End>>,
}

/// How a process ended.
#[derive(Clone, Debug)]
struct End {
    /// `exit status: 1`, or why it is not known.
    status: String,
    /// Whether it was stopped.
    stopped: bool,
}

impl ProcessGroup {
    /// A group without processes, whose folder is removed together with it.
    pub(crate) fn create(folder: PathBuf) -> Result<Self> {
        let (reader, lifeline) = std::io::pipe().context("open a pipe")?;
        let shell = |script: &str, stdin: Stdio| {
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", script, "weir"]).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
            shell.process_group(0).current_dir("/");
            shell
        };
        let shared = reader.try_clone().context("share a pipe")?;
        let anchor = shell(ANCHOR, shared.into()).spawn().context("start /bin/sh")?;
        let warden =
            shell(WARDEN, reader.into()).arg(anchor.id().to_string()).arg(&folder).spawn().context("start /bin/sh")?;
        let (deaths, _) = watch::channel(None);
        Ok(Self { folder, anchor, warden, lifeline: Some(lifeline), deaths })
    }

    /// Starts `program`; what it prints goes to `logs/NAME.log` in the group's folder.
    pub(crate) fn start(
        &self,
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<Process> {
        let log = self.log_of(name)?;
        let out = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let err = out.try_clone().with_context(|| format!("share {}", log.display()))?;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .envs(environment)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(i32::try_from(self.anchor.id()).context("the group's number")?)
            .spawn()
            .with_context(|| format!("start {} ({})", name, program.display()))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("read the process id")?;
        let stopped = Arc::new(Mutex::new(false));
        let (end, ended) = watch::channel(None);
        let process = Process { name: name.to_owned(), log, pid, stopped: Arc::clone(&stopped), ended };
        tokio::spawn(async move {
            let status = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            let stopped = stopped.lock().is_ok_and(|stopped| *stopped);
            end.send_replace(Some(End { status, stopped }));
        });
        Ok(process)
    }

    /// Starts a process that the cluster cannot do without: see [`Self::death`].
    pub(crate) fn start_vital(&self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        let process = self.start(name, program, arguments, &BTreeMap::new())?;
        let deaths = self.deaths.clone();
        tokio::spawn(async move {
            let death = process.death().await;
            deaths.send_if_modified(|first| first.is_none() && first.replace(death).is_none());
        });
        Ok(())
    }

    /// Returns once a vital process ended.
    pub(crate) async fn death(&self) -> Death {
        let mut deaths = self.deaths.subscribe();
        loop {
            if let Some(death) = deaths.borrow_and_update().clone() {
                return death;
            }
            // The sender lives as long as `self`.
            if deaths.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The number of the group; every process of it can be signalled by it.
    pub(crate) fn number(&self) -> u32 {
        self.anchor.id()
    }

    /// Lets the processes go on when this one ends; from then on [`crate::kept_clusters`] finds them.
    pub(crate) fn release(mut self) -> Result<()> {
        self.warden.kill().context("dismiss the warden")?;
        self.warden.wait().context("dismiss the warden")?;
        self.lifeline = None;
        Ok(())
    }

    fn log_of(&self, name: &str) -> Result<PathBuf> {
        let logs = self.folder.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        // A scheduler that is started again must not overwrite the log of the first one.
        let paths = (1..).map(|run| match run {
            1 => logs.join(format!("{name}.log")),
            run => logs.join(format!("{name}.{run}.log")),
        });
        paths.into_iter().find(|path| !path.exists()).context("name a log file")
    }
}

impl Drop for ProcessGroup {
    /// Ends every process and returns when the folder is gone.
    fn drop(&mut self) {
        if self.lifeline.take().is_some() {
            // An error leaves nothing to do: the warden runs by itself.
            let _ = self.warden.wait();
        }
        let _ = self.anchor.wait();
    }
}

impl Process {
    /// Its name, as errors and the log file have it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The file that holds what it printed.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that it printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail_of(&self.log)
    }

    /// Returns once it ended, by itself or not.
    pub async fn ended(&self) {
        // An error means that the task that waits for the process is gone, which happens when the runtime ends.
        let _ = self.ended.clone().wait_for(Option::is_some).await;
    }

    /// Returns once it ended by itself, and never if it was stopped.
    pub async fn death(&self) -> Death {
        self.ended().await;
        let end = self.ended.borrow().clone();
        match end {
            Some(End { status, stopped: false }) => Death { name: self.name.clone(), status, tail: self.log_tail() },
            _ => std::future::pending().await,
        }
    }

    /// Returns once `answers` says yes; `how` completes "it is not …" when it does not in time.
    ///
    /// # Errors
    /// When it ends before, or the time is over; the error has the end of its log.
    pub(crate) async fn until(&self, how: &str, answers: impl AsyncFn() -> bool) -> Result<()> {
        let asked = async {
            // As with the API server: before it listens, no watch can report that it does.
            let mut tick = tokio::time::interval(Duration::from_millis(25));
            loop {
                tick.tick().await;
                if answers().await {
                    return;
                }
            }
        };
        tokio::select! {
            () = asked => Ok(()),
            death = self.death() => Err(anyhow!(death)),
            () = tokio::time::sleep(DEADLINE) => bail!(
                "{} is not {how} after {} s; the end of its log:\n{}", self.name, DEADLINE.as_secs(), self.log_tail()
            ),
        }
    }

    /// Asks it to end, makes it end if it does not within 10 s, and returns when it has.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        if tokio::time::timeout(Duration::from_secs(10), self.ended()).await.is_err() {
            self.signal(Signal::KILL)?;
            self.ended().await;
        }
        Ok(())
    }

    /// Ends it as a crash would and returns when it is gone.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.ended().await;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Ok(mut stopped) = self.stopped.lock() else { bail!("{}: a thread panicked", self.name) };
        *stopped = true;
        if self.ended.borrow().is_some() {
            return Ok(());
        }
        rustix::process::kill_process(self.pid, signal).with_context(|| format!("signal {}", self.name))
    }
}

/// The last lines of a file; empty when it cannot be read.
fn tail_of(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> (ProcessGroup, PathBuf) {
        let folder = tempfile::Builder::new().prefix("weir-test-").tempdir().unwrap().keep();
        (ProcessGroup::create(folder.clone()).unwrap(), folder)
    }

    fn sh(group: &ProcessGroup, name: &str, script: &str) -> Process {
        group.start(name, Path::new("/bin/sh"), &["-c".into(), script.into()], &BTreeMap::new()).unwrap()
    }

    fn alive(process: &Process) -> bool {
        Path::new(&format!("/proc/{}", process.id())).exists()
    }

    #[tokio::test]
    async fn dropping_the_group_ends_its_processes_and_removes_the_folder() {
        let (group, folder) = group();
        let stubborn = sh(&group, "stubborn", "trap '' TERM INT; while :; do sleep 1; done");
        assert!(alive(&stubborn));
        drop(group);
        stubborn.ended().await;
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn a_vital_process_that_dies_is_told_with_the_end_of_its_log() {
        let (group, _folder) = group();
        let script = ["-c".into(), "echo cannot open the disk; exit 3".into()];
        group.start_vital("etcd", Path::new("/bin/sh"), &script).unwrap();
        let death = group.death().await.to_string();
        assert!(death.starts_with("etcd ended (exit status: 3)"), "{death}");
        assert!(death.ends_with("cannot open the disk"), "{death}");
    }

    #[tokio::test]
    async fn a_process_that_was_stopped_is_no_death() {
        let (group, _folder) = group();
        let (stopped, dies) = (sh(&group, "stopped", "exec sleep 1000"), sh(&group, "dies", "exit 1"));
        stopped.stop().await.unwrap();
        let first = tokio::select! {
            biased;
            death = stopped.death() => death,
            death = dies.death() => death,
        };
        assert!(first.to_string().starts_with("dies ended"));
    }

    #[tokio::test]
    async fn a_second_process_of_one_name_has_a_log_of_its_own() {
        let (group, _folder) = group();
        let logs = [1, 2].map(|_| sh(&group, "scheduler", "exit 0").log().file_name().unwrap().to_owned());
        assert_eq!(logs, ["scheduler.log", "scheduler.2.log"]);
    }
}
