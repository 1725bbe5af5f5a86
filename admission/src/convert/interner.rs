//! Equal shapes and names are kept once: a hundred thousand pods have a handful of them. What no pod has any more is
//! given back (G2).

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use weir_queue::PodShape;

/// Shapes and names that are kept once, for as long as a pod has them.
#[derive(Debug, Default)]
pub struct Interner {
    shapes: Kept<PodShape>,
    names: Kept<str>,
}

/// So many unused items are worth no search for them.
const FEW: usize = 1024;

/// Items of one kind.
#[derive(Debug)]
struct Kept<T: ?Sized> {
    items: HashSet<Arc<T>>,
    /// How many the last search for unused ones left.
    left: usize,
}

impl<T: ?Sized> Default for Kept<T> {
    fn default() -> Self {
        Self { items: HashSet::new(), left: 0 }
    }
}

impl<T: ?Sized + Hash + Eq> Kept<T> {
    fn insert(&mut self, item: Arc<T>) -> Arc<T> {
        if self.items.len() > 2 * self.left + FEW {
            self.items.retain(|item| Arc::strong_count(item) > 1);
            self.items.shrink_to(2 * self.items.len());
            self.left = self.items.len();
        }
        self.items.insert(Arc::clone(&item));
        item
    }
}

impl Interner {
    /// A shape, kept once.
    pub fn shape(&mut self, shape: PodShape) -> Arc<PodShape> {
        match self.shapes.items.get(&shape) {
            Some(known) => Arc::clone(known),
            None => self.shapes.insert(Arc::new(shape)),
        }
    }

    /// A name, kept once.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        match self.names.items.get(name) {
            Some(known) => Arc::clone(known),
            None => self.names.insert(name.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_and_shapes_are_one() {
        let mut interner = Interner::default();
        let names = [interner.name("team"), interner.name("team")];
        assert!(Arc::ptr_eq(&names[0], &names[1]));
        let shapes = [interner.shape(PodShape::default()), interner.shape(PodShape::default())];
        assert!(Arc::ptr_eq(&shapes[0], &shapes[1]));
    }

    #[test]
    fn what_no_pod_has_any_more_is_given_back() {
        let mut interner = Interner::default();
        let held: Vec<_> = (0..100).map(|at| interner.name(&format!("held-{at}"))).collect();
        (0..100_000).for_each(|at| drop(interner.name(&format!("gone-{at}"))));
        assert!(interner.names.items.len() < 3_000);
        assert!(Arc::ptr_eq(&held[7], &interner.name("held-7")));
    }
}
