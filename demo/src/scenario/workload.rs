//! What is to be run: the part of the trace that was asked for. It is read before anything is started, so that a
//! malformed line costs no cluster.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use weir_simulator::openb::{self, TraceNode, TracePod, read_nodes, read_pods, sample};

use super::timeline::{Pace, Timeline};
use crate::run_state::event::Plan;

/// Which part of which trace.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The node list; `None` is the one that is shipped.
    pub(crate) node_file: Option<PathBuf>,
    /// The pod list; `None` is the one that is shipped.
    pub(crate) pod_file: Option<PathBuf>,
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
}

/// Nodes, and pods with their times.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) title: String,
    pub(crate) nodes: Vec<TraceNode>,
    pub(crate) timeline: Timeline,
}

impl Workload {
    pub(crate) fn read(wanted: Wanted) -> Result<Self> {
        let Wanted { node_file, pod_file, nodes, pods, seed, pace } = wanted;
        ensure!(nodes > 0, "--nodes 0: pods need somewhere to run; ask for 1 or more");
        ensure!(pods > 0, "--pods 0: there is nothing to run; ask for 1 or more");
        let node_file = node_file.unwrap_or_else(|| openb::folder().join("openb_node_list_all_node.csv"));
        let pod_file = pod_file.unwrap_or_else(|| openb::folder().join("openb_pod_list_gpuspec33.csv"));
        let (all_nodes, all_pods) = (read_nodes(&node_file)?, read_pods(&pod_file)?);
        ensure!(
            nodes <= all_nodes.len(),
            "--nodes {nodes}: {} has {}; ask for at most that many",
            node_file.display(),
            all_nodes.len()
        );
        ensure!(
            pods <= all_pods.len(),
            "--pods {pods}: {} has {}; ask for at most that many",
            pod_file.display(),
            all_pods.len()
        );
        let title = pod_file.file_stem().unwrap_or_default().to_string_lossy().replace("_pod_list_", " ");
        let pods = sample(&all_pods, pods, seed, shape_of_pod);
        let nodes = sample(&all_nodes, nodes, seed, shape_of_node);
        Ok(Self { title, nodes, timeline: Timeline::new(pods, pace, seed) })
    }

    pub(crate) fn plan(&self) -> Plan {
        let pods = &self.timeline.arrivals;
        Plan {
            title: self.title.clone(),
            nodes: self.nodes.len(),
            pods: pods.len(),
            rounded_up: pods.iter().filter(|arrival| arrival.pod.is_fractional()).count(),
            pace: self.timeline.told(),
        }
    }
}

/// By this order neighbours are alike, and the sample takes every so-many-th: models keep their part, and
/// within each the sizes do.
fn shape_of_node(node: &TraceNode) -> (Option<String>, i64, i64, i64) {
    (node.model.clone(), node.gpus, node.cpu_milli, node.memory_mib)
}

fn shape_of_pod(pod: &TracePod) -> (i64, Vec<String>, i64, i64, i64) {
    (pod.gpus, pod.models.clone(), pod.gpu_milli, pod.cpu_milli, pod.memory_mib)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(nodes: usize, pods: usize) -> Wanted {
        Wanted { node_file: None, pod_file: None, nodes, pods, seed: 42, pace: Pace { speed: None } }
    }

    #[test]
    fn the_default_run_is_the_whole_cluster_and_a_quarter_of_its_pods() {
        let workload = Workload::read(wanted(1523, 2000)).unwrap();
        let Plan { title, nodes, pods, rounded_up, pace: _ } = workload.plan();
        assert_eq!((title.as_str(), nodes, pods), ("openb gpuspec33", 1523, 2000));
        // 44 % of the GPU pods of the trace ask for a fraction
        assert!((750..=790).contains(&rounded_up), "{rounded_up}");
        assert_eq!(workload.timeline.arrivals.last().unwrap().at.as_secs(), 40);
    }

    #[test]
    fn more_than_the_trace_has_is_refused_with_what_it_has() {
        let said = Workload::read(wanted(1524, 1)).unwrap_err().to_string();
        assert!(said.starts_with("--nodes 1524: ") && said.ends_with("has 1523; ask for at most that many"), "{said}");
        let said = Workload::read(wanted(1, 9000)).unwrap_err().to_string();
        assert!(said.ends_with("has 8152; ask for at most that many"), "{said}");
    }

    #[test]
    fn nothing_to_run_or_nowhere_to_run_it_is_refused() {
        assert!(Workload::read(wanted(0, 1)).unwrap_err().to_string().starts_with("--nodes 0: "));
        assert!(Workload::read(wanted(1, 0)).unwrap_err().to_string().starts_with("--pods 0: "));
    }
}
