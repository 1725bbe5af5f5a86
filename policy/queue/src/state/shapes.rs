//! What pods ask for, kept once: a hundred thousand waiting pods have a handful of templates.
//!
//! A **shape** is what one pod asks for and where it may run. A **request** is what is admitted in one piece: a
//! pod, or a gang as so many pods of each shape, with the word preemptible. Two requests that are equal get the
//! same answer from every check, so a check is made once for all of them.
//!
//! Which dimensions a shape counts in follows from the class of its host, so the dimensions and the filters
//! that name classes are kept here too.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use weir_model::dimension::CPU;
use weir_model::{Amount, Class, Dim, Dimensions, ResourceVec};

use super::ids::{RequestId, ShapeId};
use crate::contract::hosts::{Hosts, Node};
use crate::contract::pod::{Obstacle, PodShape};

/// What one pod asks for.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) spec: Arc<PodShape>,
    /// The class that the pod may run on, or why there is none.
    pub(crate) class: Result<Class, Obstacle>,
    /// What the pod takes of a node, by position of the resource name; the first is the pod itself.
    pub(crate) needs: Vec<(usize, i64)>,
    /// The dimension in which each of the needs counts in the pod's class, where it counts at all.
    pub(crate) counts_in: Vec<Option<Dim>>,
    /// What the pod counts for in its class, by dimension.
    pub(crate) amounts: ResourceVec,
    /// The resource by which the pod is packed and its work is weighed: a GPU name if it asks for GPUs, else CPU.
    pub(crate) main: usize,
    /// How much the pod takes of that, at least 1.
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

/// All shapes and requests that were seen, with the dimensions and resource names in them.
pub(crate) struct Shapes {
    hosts: Box<dyn Hosts>,
    /// The dimensions that became known.
    pub(crate) dims: Dimensions,
    resources: Dimensions,
    shapes: Vec<Shape>,
    by_spec: HashMap<Arc<PodShape>, ShapeId>,
    requests: Vec<Request>,
    /// By members and whether they are preemptible.
    by_members: HashMap<(Vec<(ShapeId, u32)>, bool), RequestId>,
}

/// The resource name that counts pods; it is always the first.
const PODS: &str = "pods";

impl Shapes {
    /// No shapes, with the filters that name classes.
    pub(crate) fn new(hosts: Box<dyn Hosts>) -> Self {
        Self {
            hosts,
            dims: Dimensions::new(),
            resources: Dimensions::new(),
            shapes: Vec::new(),
            by_spec: HashMap::new(),
            requests: Vec::new(),
            by_members: HashMap::new(),
        }
    }

    /// The shape of these requests and constraints.
    pub(crate) fn shape(&mut self, spec: &Arc<PodShape>) -> ShapeId {
        if let Some(&known) = self.by_spec.get(spec) {
            return known;
        }
        let class = self.hosts.pod_class(spec);
        let amounts = match &class {
            Ok(class) => counted(spec, class, &*self.hosts, &mut self.dims),
            Err(_) => ResourceVec::new(),
        };
        let mut needs = vec![(self.resource(PODS), 1)];
        let (mut main, mut weight, mut gpu) = (self.resource(CPU), 1, false);
        for (name, amount) in spec.requests.iter().filter(|&(name, amount)| !amount.is_zero() && name != PODS) {
            let at = self.resource(name);
            needs.push((at, amount.units()));
            let is_gpu = self.hosts.is_gpu(name);
            if is_gpu || (!gpu && name == CPU) {
                (main, weight, gpu) = (at, amount.units(), is_gpu);
            }
        }
        let counts_in = needs.iter().map(|&(resource, _)| {
            let class = class.as_ref().ok()?;
            (resource != self.resource(PODS)).then(|| self.dim_on(class, resource))
        });
        let counts_in = counts_in.collect();
        let id = ShapeId::at(self.shapes.len());
        self.shapes.push(Shape { spec: Arc::clone(spec), class, needs, counts_in, amounts, main, weight });
        self.by_spec.insert(Arc::clone(spec), id);
        id
    }

    /// The request for one pod of each of these shapes together.
    pub(crate) fn request(&mut self, shapes: impl Iterator<Item = ShapeId>, preemptible: bool) -> RequestId {
        let mut members: Vec<(ShapeId, u32)> = Vec::with_capacity(1);
        for shape in shapes {
            match members.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, count)) => *count += 1,
                None => members.push((shape, 1)),
            }
        }
        members.sort_unstable_by_key(|&(shape, _)| (Reverse(self.size(shape)), shape));
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
        let id = RequestId::at(self.requests.len());
        self.requests.push(Request { members, preemptible, amounts, pods });
        self.by_members.insert(key, id);
        id
    }

    /// What a pod of a shape counts for on a host of a class, or in the class of its own.
    pub(crate) fn counted_on(&mut self, shape: ShapeId, class: Option<&Class>) -> ResourceVec {
        let Shape { spec, class: own, amounts, .. } = &self.shapes[shape.index()];
        match class {
            Some(class) if own.as_ref() != Ok(class) => counted(spec, class, &*self.hosts, &mut self.dims),
            _ => amounts.clone(),
        }
    }

    /// The class that a node is of.
    pub(crate) fn node_class(&self, node: &Node) -> Class {
        self.hosts.node_class(node)
    }

    /// The dimension in which the resource at a position counts on hosts of a class.
    pub(crate) fn dim_on(&mut self, class: &Class, resource: usize) -> Dim {
        let name = self.resources.iter().nth(resource).map_or("", |dim| self.resources.name(dim));
        self.dims.intern(&class.dimension(name, self.hosts.is_gpu(name)))
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

    pub(crate) fn shape_of(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.index()]
    }

    pub(crate) fn request_of(&self, id: RequestId) -> &Request {
        &self.requests[id.index()]
    }

    /// What a request asks for, by the dimension's name.
    pub(crate) fn amounts(&self, request: RequestId) -> Vec<(String, Amount)> {
        let amounts = self.request_of(request).amounts.iter();
        amounts.map(|(dim, amount)| (self.dims.name(dim).to_owned(), amount)).collect()
    }

    /// How large a shape is: GPUs count before anything else, then everything that it asks for.
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
