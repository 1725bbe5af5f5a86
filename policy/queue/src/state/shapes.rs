//! What pods ask for, kept once: a hundred thousand waiting pods have a handful of templates.
//!
//! A **shape** is what one pod asks for and where it may run. A **request** is what is admitted in one piece: a
//! pod, or a gang as so many pods of each shape, with the word preemptible. Two requests that are equal get the
//! same answer from every check, so a check is made once for all of them. What no pod, claim or queue needs any more
//! is given back (`sweep`).
//!
//! Which dimensions a shape counts in follows from the class of its host, so the dimensions and the filters
//! that name classes are kept here too.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use weir_model::dimension::{CPU, PODS};
use weir_model::{Amount, Class, Dim, Dimensions, ResourceVec};

use super::arena::Arena;
use super::ids::{RequestId, ShapeId};
use super::resource_names::ResourceNames;
use crate::contract::hosts::{Hosts, Node};
use crate::contract::pod::{Obstacle, PodShape};

/// What one pod asks for.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) spec: Arc<PodShape>,
    /// The class that the pod may run on, or why there is none.
    pub(crate) class: Result<Class, Obstacle>,
    /// A resource that the pod asks for and that does not exist: no node has it and no pool lists it.
    pub(crate) unknown: Option<Box<str>>,
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

impl Default for Shape {
    fn default() -> Self {
        Self {
            spec: Arc::default(),
            class: Ok(Class::CpuHosts),
            unknown: None,
            needs: Vec::new(),
            counts_in: Vec::new(),
            amounts: ResourceVec::new(),
            main: 0,
            weight: 1,
        }
    }
}

impl Shape {
    /// Whether the shape is read the same: what it is read from is its specification and which names exist.
    fn reads_as(&self, other: &Self) -> bool {
        let Self { spec: _, class: _, unknown, needs, counts_in: _, amounts, main: _, weight: _ } = self;
        *unknown == other.unknown && *needs == other.needs && *amounts == other.amounts
    }
}

/// What is admitted in one piece.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// So many pods of each shape, the largest first.
    pub(crate) members: Vec<(ShapeId, u32)>,
    pub(crate) preemptible: bool,
    /// What all of them count for together, by dimension.
    pub(crate) amounts: ResourceVec,
    /// How many pods.
    pub(crate) pods: u32,
}

/// The shapes and requests, with the dimensions and resource names in them.
pub(crate) struct Shapes {
    hosts: Box<dyn Hosts>,
    /// The dimensions that became known.
    pub(crate) dims: Dimensions,
    pub(crate) names: ResourceNames,
    shapes: Arena<Shape>,
    by_spec: HashMap<Arc<PodShape>, ShapeId>,
    requests: Arena<Request>,
    /// By members and whether they are preemptible.
    by_members: HashMap<(Vec<(ShapeId, u32)>, bool), RequestId>,
}

impl Shapes {
    /// No shapes, with the filters that name classes.
    pub(crate) fn new(hosts: Box<dyn Hosts>) -> Self {
        Self {
            hosts,
            dims: Dimensions::new(),
            names: ResourceNames::new(),
            shapes: Arena::default(),
            by_spec: HashMap::new(),
            requests: Arena::default(),
            by_members: HashMap::new(),
        }
    }

    /// The shape of these requests and constraints.
    pub(crate) fn shape(&mut self, spec: &Arc<PodShape>) -> ShapeId {
        if let Some(&known) = self.by_spec.get(spec) {
            return known;
        }
        let shape = self.read(spec);
        let id = ShapeId::at(self.shapes.insert(shape));
        self.by_spec.insert(Arc::clone(spec), id);
        id
    }

    /// What a specification means while these names exist.
    fn read(&mut self, spec: &Arc<PodShape>) -> Shape {
        let class = self.hosts.pod_class(spec);
        let amounts = class.as_ref().map_or_else(|_| ResourceVec::new(), |class| self.counted(spec, class));
        let (mut main, mut weight, mut gpu) = (self.names.position(CPU), 1, false);
        for (name, amount) in asked(spec) {
            let is_gpu = self.hosts.is_gpu(name);
            if let Some(at) = self.names.find(name).filter(|_| is_gpu || (!gpu && name == CPU)) {
                (main, weight, gpu) = (at, amount.units(), is_gpu);
            }
        }
        let Self { hosts, names, .. } = self;
        let exists = |name: &str| {
            let class = class.as_ref().unwrap_or(&Class::CpuHosts);
            names.exists(name, || class.dimension(name, hosts.is_gpu(name)))
        };
        let unknown = asked(spec).map(|(name, _)| name).find(|name| !exists(name)).map(Into::into);
        let needs = self.needs(spec);
        let counts_in = needs.iter().map(|&(resource, _)| self.dim_of(class.as_ref().ok()?, resource)).collect();
        Shape { spec: Arc::clone(spec), class, unknown, needs, counts_in, amounts, main, weight }
    }

    /// The dimension in which a resource counts on hosts of a class, if it counts at all: `pods` do where a pool lists
    /// them.
    fn dim_of(&mut self, class: &Class, resource: usize) -> Option<Dim> {
        let counts = self.names.name(resource) != PODS || self.dims.find(PODS).is_some();
        counts.then(|| self.dim_on(class, resource))
    }

    /// What a pod takes of a node, by position of the resource name; the first is the pod itself. A name that does not
    /// exist is left out.
    pub(crate) fn needs(&self, spec: &PodShape) -> Vec<(usize, i64)> {
        let others = asked(spec).filter_map(|(name, amount)| Some((self.names.find(name)?, amount.units())));
        std::iter::once((0, 1)).chain(others).collect()
    }

    /// What these requests count for, by dimension of the class. A name that does not exist counts for nothing.
    fn counted(&mut self, spec: &PodShape, class: &Class) -> ResourceVec {
        let Self { hosts, names, dims, .. } = self;
        let of = |(name, amount): (&str, Amount)| {
            let dimension = || class.dimension(name, hosts.is_gpu(name));
            names.position_of(name, dimension)?;
            Some((dims.intern(&dimension()), amount))
        };
        let mut amounts: ResourceVec = asked(spec).filter_map(of).collect();
        if let Some(pods) = dims.find(PODS) {
            amounts.set(pods, Amount::new(1));
        }
        amounts
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
        let request = self.together(key.0.clone(), preemptible);
        let id = RequestId::at(self.requests.insert(request));
        self.by_members.insert(key, id);
        id
    }

    /// So many pods of each shape as one request.
    fn together(&self, members: Vec<(ShapeId, u32)>, preemptible: bool) -> Request {
        let mut amounts = ResourceVec::new();
        for &(shape, count) in &members {
            let one = &self.shape_of(shape).amounts;
            amounts.add(&one.iter().map(|(dim, amount)| (dim, amount.scale(i64::from(count), 1))).collect());
        }
        let pods = members.iter().map(|&(_, count)| count).sum();
        Request { members, preemptible, amounts, pods }
    }

    /// The shapes that read otherwise since other names exist.
    pub(crate) fn outdated(&mut self) -> Vec<(ShapeId, Shape)> {
        let specs: Vec<_> = self.shapes.iter().map(|(at, shape)| (ShapeId::at(at), Arc::clone(&shape.spec))).collect();
        let read = specs.into_iter().map(|(id, spec)| (id, self.read(&spec)));
        let read: Vec<(ShapeId, Shape)> = read.collect();
        read.into_iter().filter(|(id, shape)| !shape.reads_as(self.shape_of(*id))).collect()
    }

    /// Puts shapes as they read now in the place of the outdated ones, and counts their requests anew.
    pub(crate) fn replace(&mut self, shapes: Vec<(ShapeId, Shape)>) {
        let replaced: BTreeSet<ShapeId> = shapes.iter().map(|&(id, _)| id).collect();
        shapes.into_iter().for_each(|(id, shape)| self.shapes.replace(id.index(), shape));
        let concerned = |request: &Request| request.members.iter().any(|(shape, _)| replaced.contains(shape));
        let requests = self.requests.iter().filter(|(_, request)| concerned(request));
        let requests: Vec<_> = requests.map(|(at, one)| (at, one.members.clone(), one.preemptible)).collect();
        for (at, members, preemptible) in requests {
            self.by_members.remove(&(members.clone(), preemptible));
            let mut members = members;
            members.sort_unstable_by_key(|&(shape, _)| (Reverse(self.size(shape)), shape));
            self.by_members.insert((members.clone(), preemptible), RequestId::at(at));
            let request = self.together(members, preemptible);
            self.requests.replace(at, request);
        }
    }

    /// Gives back all shapes and requests but these, and says which.
    pub(crate) fn retain(
        &mut self,
        shapes: &BTreeSet<ShapeId>,
        requests: &BTreeSet<RequestId>,
    ) -> (Vec<ShapeId>, Vec<RequestId>) {
        self.by_spec.retain(|_, id| shapes.contains(id));
        self.by_spec.shrink_to(2 * self.by_spec.len());
        self.by_members.retain(|_, id| requests.contains(id));
        self.by_members.shrink_to(2 * self.by_members.len());
        let gone = self.shapes.retain(|at| shapes.contains(&ShapeId::at(at)));
        let ended = self.requests.retain(|at| requests.contains(&RequestId::at(at)));
        (gone.into_iter().map(ShapeId::at).collect(), ended.into_iter().map(RequestId::at).collect())
    }

    /// What a pod of a shape counts for on a host of a class, or in the class of its own.
    pub(crate) fn counted_on(&mut self, shape: ShapeId, class: Option<&Class>) -> ResourceVec {
        let Shape { spec, class: own, amounts, .. } = self.shape_of(shape);
        match class {
            Some(class) if own.as_ref() != Ok(class) => {
                let spec = Arc::clone(spec);
                self.counted(&spec, class)
            }
            _ => amounts.clone(),
        }
    }

    /// The class that a node is of.
    pub(crate) fn node_class(&self, node: &Node) -> Class {
        self.hosts.node_class(node)
    }

    /// Takes over which names a node has, given which it had.
    pub(crate) fn learn_node(&mut self, before: Option<&Node>, now: Option<&Node>) {
        fn names(node: Option<&Node>) -> impl Iterator<Item = &String> {
            let capacity = node
                .into_iter()
                .flat_map(|node| node.capacity.keys().filter(|name| !node.allocatable.contains_key(*name)));
            node.into_iter().flat_map(|node| node.allocatable.keys()).chain(capacity)
        }
        if !names(before).eq(names(now)) {
            names(now).for_each(|name| self.names.count_node(name, 1));
            names(before).for_each(|name| self.names.count_node(name, -1));
        }
    }

    /// The dimension in which the resource at a position counts on hosts of a class.
    pub(crate) fn dim_on(&mut self, class: &Class, resource: usize) -> Dim {
        let name = self.names.name(resource);
        self.dims.intern(&class.dimension(name, self.hosts.is_gpu(name)))
    }

    /// How many shapes and requests there are.
    pub(crate) const fn len(&self) -> usize {
        self.shapes.len() + self.requests.len()
    }

    pub(crate) fn shape_of(&self, id: ShapeId) -> &Shape {
        self.shapes.at(id.index())
    }

    pub(crate) fn request_of(&self, id: RequestId) -> &Request {
        self.requests.at(id.index())
    }

    /// What a request asks for, by the dimension's name.
    pub(crate) fn amounts(&self, request: RequestId) -> Vec<(String, Amount)> {
        let amounts = self.request_of(request).amounts.iter();
        amounts.map(|(dim, amount)| (self.dims.name(dim).to_owned(), amount)).collect()
    }

    /// How large a shape is: GPUs count before anything else, then everything that it asks for.
    fn size(&self, id: ShapeId) -> (bool, i64, i128) {
        let Shape { needs, main, weight, .. } = self.shape_of(id);
        (self.names.find(CPU) != Some(*main), *weight, needs.iter().map(|&(_, amount)| i128::from(amount)).sum())
    }
}

/// What a pod asks for beside a place for itself.
fn asked(spec: &PodShape) -> impl Iterator<Item = (&str, Amount)> {
    let others = spec.requests.iter().filter(|&(name, amount)| !amount.is_zero() && name != PODS);
    others.map(|(name, &amount)| (name.as_str(), amount))
}
