//! Clusters that were left running on purpose, and how to end them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::identity::write_private;

/// The file in a cluster's folder that says that it was kept.
const FILE: &str = "kept.json";
/// How the folders of clusters begin.
pub(crate) const PREFIX: &str = "weir-";

/// A cluster that outlived the command that started it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeptCluster {
    folder: PathBuf,
    group: u32,
    kubeconfig: PathBuf,
}

impl KeptCluster {
    pub(crate) fn write(folder: &Path, group: u32, kubeconfig: &Path) -> Result<Self> {
        let kept = Self { folder: folder.to_owned(), group, kubeconfig: kubeconfig.to_owned() };
        let text = serde_json::to_string(&kept).context("describe the cluster")?;
        write_private(&folder.join(FILE), &text)?;
        Ok(kept)
    }

    /// Where its kubeconfig is.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Ends its processes and removes its folder.
    ///
    /// # Errors
    /// When the processes cannot be signalled or the folder not removed.
    pub fn end(self) -> Result<()> {
        let members: Vec<_> =
            self.members().into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        for member in &members {
            // The process may have ended since it was listed.
            let _ = pidfd_send_signal(member, Signal::KILL);
        }
        // A process that still runs may write into the folder.
        for member in &members {
            poll(&mut [PollFd::new(member, PollFlags::IN)], None).context("wait for the end of a process")?;
        }
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("remove {}", self.folder.display()))
    }

    /// The processes that are in the group and work in the folder: the system may have given the group's number to
    /// another one since.
    fn members(&self) -> Vec<Pid> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == self.folder))
            .filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?))
            .filter(|pid| rustix::process::getpgid(Some(*pid)).is_ok_and(|group| self.is_group(group)))
            .collect()
    }

    fn is_group(&self, group: Pid) -> bool {
        group.as_raw_nonzero().get().unsigned_abs() == self.group
    }
}

/// The clusters of this user that were kept and not ended since.
#[must_use]
pub fn kept_clusters() -> Vec<KeptCluster> {
    let folders = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    folders
        .filter(|folder| folder.file_name().to_string_lossy().starts_with(PREFIX))
        .filter_map(|folder| std::fs::read_to_string(folder.path().join(FILE)).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect()
}
