//! The lines of the trace.

/// A node of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceNode {
    /// Unique in the file.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: i64,
    /// Mebibytes.
    pub memory_mib: i64,
    /// Whole GPUs; 0 for a CPU host.
    pub gpus: i64,
    /// The model of its GPUs; `None` for a CPU host.
    pub model: Option<String>,
}

/// A pod of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracePod {
    /// Unique in the file.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: i64,
    /// Mebibytes.
    pub memory_mib: i64,
    /// The number of GPUs that it uses; 0 for a CPU pod.
    pub gpus: i64,
    /// The part of each GPU, in thousandths: 1000 is all of it. Below 1000 only with one GPU.
    pub gpu_milli: i64,
    /// The GPU models it may run on, sorted, each once; empty when any will do.
    pub models: Vec<String>,
    /// The time of its creation, in seconds from the start of the trace; `None` where the file has no such column.
    pub created: Option<i64>,
    /// The time of its deletion, in seconds from the start of the trace, never before its creation.
    pub deleted: Option<i64>,
}

impl TracePod {
    /// Whether it uses a part of one GPU only, which whole devices of `nvidia.com/gpu` cannot express.
    #[must_use]
    pub fn is_fractional(&self) -> bool {
        self.gpus == 1 && self.gpu_milli < 1000
    }
}
