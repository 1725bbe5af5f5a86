//! Equal shapes and names are kept once: a hundred thousand pods have a handful of them.

use std::collections::HashSet;
use std::sync::Arc;

use weir_queue::PodShape;

/// Shapes and names that are kept once, for as long as a term lasts.
#[derive(Debug, Default)]
pub struct Interner {
    shapes: HashSet<Arc<PodShape>>,
    names: HashSet<Arc<str>>,
}

impl Interner {
    /// A shape, kept once.
    pub fn shape(&mut self, shape: PodShape) -> Arc<PodShape> {
        if let Some(known) = self.shapes.get(&shape) {
            return Arc::clone(known);
        }
        let shape = Arc::new(shape);
        self.shapes.insert(Arc::clone(&shape));
        shape
    }

    /// A name, kept once.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
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
}
