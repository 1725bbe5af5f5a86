//! The hosts: their capacity, what is left of it, and whether a pod fits.

use weir_model::{Amount, Class};
use weir_placement::binpack::{Devices, GpuRequest, Room, Shape};

use crate::openb::{TraceNode, TracePod};

/// A host during a replay.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its capacity, which does not change.
    pub(crate) has: Capacity,
    /// The cores and GPUs that are left.
    pub(crate) room: Room,
    /// The memory that is left, in mebibytes.
    pub(crate) memory_mib: i64,
    /// The number of its pods.
    pub(crate) pods: u32,
    /// The number of its pods of each kind: a part of a GPU, or so many whole ones.
    pub(crate) kinds: Vec<(GpuKind, u32)>,
    /// The version, which each placed pod raises by one.
    pub(crate) version: u32,
}

/// The capacity of a host.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    pub(crate) cpu_milli: i64,
    pub(crate) memory_mib: i64,
    pub(crate) gpu_milli: i64,
    pub(crate) gpus: i64,
    pub(crate) model: Option<String>,
    /// The node as Weir's filters see it, if they are on.
    pub(crate) class: Class,
}

/// The requests of a pod, shared by all pods that ask for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) shape: Shape,
    pub(crate) memory_mib: i64,
    pub(crate) models: Vec<String>,
    /// The pod as Weir's filters see it; `None` if no host could take it.
    pub(crate) class: Option<Class>,
}

/// The kinds of pods that the Clustering policy distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GpuKind {
    Part,
    Whole(u32),
}

impl Want {
    pub(crate) fn new(pod: &TracePod, class: Option<Class>) -> Self {
        let gpus = match (u32::try_from(pod.gpus).unwrap_or(u32::MAX), u16::try_from(pod.gpu_milli)) {
            (0, _) => GpuRequest::Nothing,
            (1, Ok(milli @ ..1000)) => GpuRequest::Part(milli),
            (count, _) => GpuRequest::Whole(count),
        };
        let shape = Shape { cpu_milli: Amount::new(pod.cpu_milli), gpus };
        Self { shape, memory_mib: pod.memory_mib, models: pod.models.clone(), class }
    }

    pub(crate) const fn kind(&self) -> Option<GpuKind> {
        match self.shape.gpus {
            GpuRequest::Nothing => None,
            GpuRequest::Part(_) => Some(GpuKind::Part),
            GpuRequest::Whole(count) => Some(GpuKind::Whole(count)),
        }
    }
}

impl Host {
    pub(crate) fn new(node: &TraceNode, class: Class) -> Self {
        let gpus = u32::try_from(node.gpus).unwrap_or(u32::MAX);
        let room = Room { cpu_milli: Amount::new(node.cpu_milli), gpus, whole: gpus, parts: Vec::new() };
        let has = Capacity {
            cpu_milli: node.cpu_milli,
            memory_mib: node.memory_mib,
            gpu_milli: room.idle_milli(),
            gpus: node.gpus,
            model: node.model.clone(),
            class,
        };
        Self { has, room, memory_mib: node.memory_mib, pods: 0, kinds: Vec::new(), version: 0 }
    }

    /// Whether the pod may be here at all, however empty the host is.
    pub(crate) fn admits(&self, want: &Want) -> bool {
        let model = self.has.model.as_ref();
        want.class.as_ref() == Some(&self.has.class)
            && (want.models.is_empty() || model.is_some_and(|model| want.models.contains(model)))
    }

    pub(crate) fn fits(&self, want: &Want) -> bool {
        self.memory_mib >= want.memory_mib && self.room.fits(&want.shape)
    }

    pub(crate) fn place(&mut self, want: &Want, devices: Devices) {
        self.room = self.room.after(&want.shape, devices);
        self.memory_mib -= want.memory_mib;
        self.pods += 1;
        self.version += 1;
        if let Some(kind) = want.kind() {
            match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => self.kinds.push((kind, 1)),
            }
        }
    }

    /// The GPUs in use, in thousandths.
    pub(crate) fn used_milli(&self) -> i64 {
        self.has.gpu_milli - self.room.idle_milli()
    }

    /// Whether it is a host of 8 GPUs of which none is in use.
    pub(crate) fn is_free_8gpu_host(&self) -> bool {
        self.has.gpus == 8 && self.used_milli() == 0
    }

    /// The device on which a pod that wants a part leaves the least over, an unused one last.
    pub(crate) fn tightest(&self, want: &Want) -> Devices {
        let left = |devices: &Devices| match *devices {
            Devices::Part(at) => self.room.parts.get(at).copied().unwrap_or(u16::MAX),
            Devices::Unused => 1000,
        };
        self.room.choices(&want.shape).min_by_key(left).unwrap_or(Devices::Unused)
    }
}
