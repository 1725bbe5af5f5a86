//! What pods ask for, kept once: a hundred thousand waiting pods have a handful of templates.
//!
//! A **shape** is what one pod asks for and where it may run. An **request** is what is admitted in one piece:
//! a pod, or a gang as so many pods of each shape, with the word preemptible. Two requests that are equal get
//! the same answer from every check, so the queue asks once for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::dimension::CPU;
use weir_model::{Amount, Class, Dimensions, ResourceVec};

use crate::hosts::Hosts;
use crate::pod::{Obstacle, PodShape};

/// A shape, by its position in [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShapeId(u32);

impl ShapeId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A request, by its position in [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(u32);

impl RequestId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What one pod asks for.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) spec: Arc<PodShape>,
    /// Where it may run, or why nowhere.
    pub(crate) class: Result<Class, Obstacle>,
    /// What it takes of a node, by position of the resource name; the first is the pod itself.
    pub(crate) needs: Vec<(usize, i64)>,
    /// What it counts for in its class, by dimension.
    pub(crate) amounts: ResourceVec,
    /// The resource by which it is packed and its work is weighed: a GPU name if it asks for GPUs, else CPU.
    pub(crate) main: usize,
    /// How much it takes of that, at least 1.
    pub(crate) weight: i64,
}

/// What is admitted in one piece.
#[derive(Debug)]
pub(crate) struct Request {
    /// So many pods of each shape, the largest first.
    pub(crate) members: Vec<(ShapeId, u32)>,
    pub(crate) preemptible: bool,
    /// What all of them count for together, by dimension.
    pub(crate) amounts: ResourceVec,
    /// How many pods.
    pub(crate) pods: u32,
}

/// All shapes and requests that were seen, and the resource names in them.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    resources: Dimensions,
    shapes: Vec<Shape>,
    by_spec: HashMap<Arc<PodShape>, ShapeId>,
    requests: Vec<Request>,
    by_members: HashMap<(Vec<(ShapeId, u32)>, bool), RequestId>,
}

/// The resource name that counts pods; it is always the first.
const PODS: &str = "pods";

impl Shapes {
    /// The shape of these requests and constraints.
    pub(crate) fn shape(&mut self, spec: &Arc<PodShape>, hosts: &dyn Hosts, dims: &mut Dimensions) -> ShapeId {
        if let Some(&known) = self.by_spec.get(spec) {
            return known;
        }
        let class = hosts.pod_class(spec);
        let amounts = class.as_ref().map(|class| counted(spec, class, hosts, dims)).unwrap_or_default();
        let mut needs = vec![(self.resource(PODS), 1)];
        let (mut main, mut weight, mut gpu) = (self.resource(CPU), 1, false);
        for (name, amount) in spec.requests.iter().filter(|&(name, amount)| !amount.is_zero() && name != PODS) {
            let at = self.resource(name);
            needs.push((at, amount.units()));
            if hosts.is_gpu(name) || (!gpu && name == CPU) {
                (main, weight, gpu) = (at, amount.units(), hosts.is_gpu(name));
            }
        }
        let id = ShapeId(self.shapes.len() as u32);
        self.shapes.push(Shape { spec: Arc::clone(spec), class, needs, amounts, main, weight });
        self.by_spec.insert(Arc::clone(spec), id);
        id
    }

    /// The ask for one pod of each of these shapes together.
    pub(crate) fn request(&mut self, shapes: impl Iterator<Item = ShapeId>, preemptible: bool) -> RequestId {
        let mut members: Vec<(ShapeId, u32)> = Vec::with_capacity(1);
        for shape in shapes {
            match members.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, count)) => *count += 1,
                None => members.push((shape, 1)),
            }
        }
        members.sort_unstable_by_key(|&(shape, _)| (std::cmp::Reverse(self.size(shape)), shape));
        let key = (members, preemptible);
        if let Some(&known) = self.by_members.get(&key) {
            return known;
        }
        let members = key.0.clone();
        let mut amounts = ResourceVec::new();
        for &(shape, count) in &members {
            let one = &self.shapes[shape.index()].amounts;
            amounts.add(&one.iter().map(|(dim, amount)| (dim, amount.scale(i64::from(count), 1))).collect());
        }
        let pods = members.iter().map(|&(_, count)| count).sum();
        let id = RequestId(self.requests.len() as u32);
        self.requests.push(Request { members, preemptible, amounts, pods });
        self.by_members.insert(key, id);
        id
    }

    /// What a pod of this shape counts for on a host of this class.
    pub(crate) fn counted_in(
        &self,
        shape: ShapeId,
        class: &Class,
        hosts: &dyn Hosts,
        dims: &mut Dimensions,
    ) -> ResourceVec {
        let Shape { spec, class: own, amounts, .. } = &self.shapes[shape.index()];
        if own.as_ref() == Ok(class) { amounts.clone() } else { counted(spec, class, hosts, dims) }
    }

    /// How many shapes and requests there are.
    pub(crate) fn len(&self) -> usize {
        self.shapes.len() + self.requests.len()
    }

    /// The position of a resource name.
    pub(crate) fn resource(&mut self, name: &str) -> usize {
        self.resources.intern(PODS);
        self.resources.intern(name).index()
    }

    /// The name of a resource at a position.
    pub(crate) fn resource_name(&self, at: usize) -> &str {
        self.resources.iter().nth(at).map_or("", |dim| self.resources.name(dim))
    }

    pub(crate) fn shape_of(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.index()]
    }

    pub(crate) fn request_of(&self, id: RequestId) -> &Request {
        &self.requests[id.index()]
    }

    /// Placed first if larger: GPUs before anything else, then everything it asks for.
    fn size(&self, id: ShapeId) -> (bool, i64, i128) {
        let Shape { needs, main, weight, .. } = &self.shapes[id.index()];
        let cpu = self.resources.find(CPU).map(|dim| dim.index());
        (cpu != Some(*main), *weight, needs.iter().map(|&(_, amount)| i128::from(amount)).sum())
    }
}

/// What these requests count for, by dimension of the class.
fn counted(spec: &PodShape, class: &Class, hosts: &dyn Hosts, dims: &mut Dimensions) -> ResourceVec {
    let dim = |(name, &amount): (&String, &Amount)| {
        (name != PODS).then(|| (dims.intern(&class.dimension(name, hosts.is_gpu(name))), amount))
    };
    spec.requests.iter().filter_map(dim).collect()
}
