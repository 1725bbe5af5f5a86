//! Child processes that end with this one, however it ends.
//!
//! All of them form one process group. A shell, the *warden*, leads it, blocked on a pipe whose other end only this
//! process holds, so that the kernel tells it when this process is gone, be it by an error, Ctrl-C or `kill -9`. It
//! then interrupts the group, which makes cargo and Go stop and remove their temporary files, and kills what is left.

use std::fs::File;
use std::io::{PipeWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::{fmt, io};

use anyhow::{Context as _, Result, bail};

/// Leads the group. `done` says that nothing is left to end.
const WARDEN: &str = r#"
trap '' INT TERM HUP
read -r word
[ "$word" != done ] || exit 0
kill -s INT -- "-$$"
sleep 3
kill -s KILL -- "-$$"
"#;

/// How much of a log an error shows: enough for the errors of a compiler, which come last.
const TAIL_LINES: usize = 60;
const TAIL_BYTES: u64 = 64 * 1024;

/// The child processes of this one.
#[derive(Clone, Debug)]
pub(crate) struct Children(Arc<Group>);

#[derive(Debug)]
struct Group {
    number: i32,
    /// Closed by [`Children::end`] and when this process ends: what the warden waits for.
    lifeline: Mutex<Option<PipeWriter>>,
    warden: Child,
}

/// How a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    program: String,
    status: ExitStatus,
    tail: String,
    log: PathBuf,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, status, tail, log } = self;
        write!(f, "{program} ended with {status}; the end of {}:\n{tail}", log.display())
    }
}

impl std::error::Error for Failure {}

impl Children {
    /// None yet.
    ///
    /// # Errors
    /// When the system has no room for another process.
    pub(crate) fn new() -> Result<Self> {
        let (reader, lifeline) = io::pipe().context("open a pipe")?;
        let mut warden = Command::new("/bin/sh");
        warden.args(["-c", WARDEN]).stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        let warden = warden.process_group(0).current_dir("/").spawn().context("start /bin/sh")?;
        let number = i32::try_from(warden.id()).context("read the number of a process")?;
        Ok(Self(Arc::new(Group { number, lifeline: Mutex::new(Some(lifeline)), warden })))
    }

    /// Runs a command to its end. What it prints goes to a file, of which the error has the end.
    ///
    /// # Errors
    /// When it cannot be started, fails, or the children were ended.
    pub(crate) fn run(&self, command: &mut Command, log: &Path) -> Result<()> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(file.try_clone().context("share the log")?).stderr(file);
        let mut child = {
            // Held while the child starts, so that the group is not ended between the question and the start.
            let lifeline = self.0.lifeline.lock();
            if !lifeline.as_ref().is_ok_and(|lifeline| lifeline.is_some()) {
                bail!("{program} was not started, because another step failed");
            }
            command.process_group(self.0.number).spawn().with_context(|| format!("start {program}"))?
        };
        let status = child.wait().with_context(|| format!("wait for {program}"))?;
        if status.success() {
            return Ok(());
        }
        let tail = tail_of(log);
        bail!(Failure { program, status, tail, log: log.to_owned() })
    }

    /// Ends all of them, and lets none start any more.
    pub(crate) fn end(&self) {
        if let Ok(mut lifeline) = self.0.lifeline.lock() {
            *lifeline = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(Some(mut lifeline)) = self.lifeline.lock().map(|mut lifeline| lifeline.take()) {
            // Without the word the warden interrupts an empty group: no harm done.
            let _ = lifeline.write_all(b"done\n");
            drop(lifeline);
            // It ends at once, and a program that goes on for hours keeps no dead child.
            let _ = self.warden.wait();
        }
    }
}

/// The last lines of a log, without what make adds about its own goal.
fn tail_of(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("make: *** ")).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failed_command_is_an_error_with_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/build.log");
        let script = "seq 1 100; echo 'error: no such type' >&2; echo 'make: *** [step] Error 101'; exit 101";
        let error = Children::new().unwrap().run(&mut sh(script), &log).unwrap_err().to_string();
        let start = format!("/bin/sh ended with exit status: 101; the end of {}:\n42\n43\n", log.display());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with("\n100\nerror: no such type"), "{error}");
    }

    #[test]
    fn ending_the_children_ends_what_they_started_and_lets_none_start() {
        let folder = tempfile::tempdir().unwrap();
        let (children, log, alive) = (Children::new().unwrap(), folder.path().join("log"), folder.path().join("alive"));
        assert!(Command::new("mkfifo").arg(&alive).status().unwrap().success());
        let running = thread::spawn({
            let (children, log) = (children.clone(), log.clone());
            let mut command = sh("exec 9>alive; sleep 1000 & sleep 1000");
            command.current_dir(folder.path());
            move || children.run(&mut command, &log)
        });
        // Opened once the script runs, and at its end once nothing of it runs any more.
        let mut alive = File::open(alive).unwrap();
        children.end();
        alive.read_to_end(&mut Vec::new()).unwrap();
        assert!(running.join().unwrap().is_err());
        let error = children.run(&mut sh("exit 0"), &log).unwrap_err().to_string();
        assert_eq!(error, "/bin/sh was not started, because another step failed");
    }
}
