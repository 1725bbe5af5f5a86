//! An object of Kubernetes as the host wrote it down: metadata, spec and status.
//!
//! Decides where these three stand, also in an object that travels packed, and reads the metadata, which all
//! objects have. What is in a spec or a status is for [`Pod`](super::Pod) and [`Node`](super::Node).

use alloc::vec::Vec;

use super::Texts;
use super::wire::{Index, Message, Positions, offset, positions};

/// The bytes of an object.
#[derive(Debug)]
pub(crate) struct Object {
    bytes: Vec<u8>,
    /// Where the object begins and ends in the bytes.
    start: usize,
    end: usize,
    /// Where the annotations stand: the labels come before them, dozens on a node.
    annotations: Index<1>,
}

const METADATA: u32 = 1;
const SPEC: u32 = 2;
const STATUS: u32 = 3;

const NAME: u32 = 1;
const NAMESPACE: u32 = 3;
const UID: u32 = 5;
const LABELS: u32 = 11;
const ANNOTATIONS: u32 = 12;

impl Object {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self::behind(bytes, 0)
    }

    /// The object that begins at this place in the bytes.
    pub(crate) fn behind(bytes: Vec<u8>, start: usize) -> Self {
        let end = bytes.len();
        Self { bytes, start, end, annotations: Index::default() }
    }

    /// The object that a host has put into an annotation of this one, as the message that it made once; else
    /// this one. The extension writes an object down anew at each call, with its maps sorted, which takes
    /// longer than the rest of the call together.
    pub(crate) fn unpacked(self, annotation: &str) -> Self {
        let Some(packed) = self.metadata().value_in_map(ANNOTATIONS, annotation.as_bytes()) else { return self };
        let start = offset(&self.bytes, packed);
        Self { start, end: start + packed.0.len(), ..Self::new(self.bytes) }
    }

    /// The bytes that the host wrote.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that the host wrote.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// `metadata.name`
    pub(crate) fn name(&self) -> &str {
        self.metadata().text(NAME)
    }

    /// `metadata.namespace`
    pub(crate) fn namespace(&self) -> &str {
        self.metadata().text(NAMESPACE)
    }

    /// `metadata.uid`
    pub(crate) fn uid(&self) -> &str {
        self.metadata().text(UID)
    }

    /// `metadata.labels`
    pub(crate) fn labels(&self) -> Texts<'_> {
        Texts::new(self.metadata(), LABELS)
    }

    /// `metadata.annotations`
    pub(crate) fn annotations(&self) -> Texts<'_> {
        const ONLY: Positions = positions([ANNOTATIONS as u8]);
        Texts::new(self.annotations.part(&self.bytes, &ONLY, 0, || self.metadata()), ANNOTATIONS)
    }

    /// The part of the spec that an index of it holds at this position.
    pub(crate) fn spec_part<const N: usize>(&self, index: &Index<N>, of: &Positions, position: usize) -> Message<'_> {
        index.part(&self.bytes, of, position, || self.spec())
    }

    /// The same for what mostly stands in front: the index is not made before something else needs it.
    pub(crate) fn front_of_spec<const N: usize>(&self, index: &Index<N>, position: usize) -> Message<'_> {
        index.known_part(&self.bytes, position).unwrap_or_else(|| self.spec())
    }

    /// The part of the status that an index of it holds at this position.
    pub(crate) fn status_part<const N: usize>(&self, index: &Index<N>, of: &Positions, position: usize) -> Message<'_> {
        index.part(&self.bytes, of, position, || self.message().message(STATUS))
    }

    /// The same for what mostly stands in front: the index is not made before something else needs it.
    pub(crate) fn front_of_status<const N: usize>(&self, index: &Index<N>, position: usize) -> Message<'_> {
        index.known_part(&self.bytes, position).unwrap_or_else(|| self.message().message(STATUS))
    }

    /// `spec`
    pub(crate) fn spec(&self) -> Message<'_> {
        self.message().message(SPEC)
    }

    fn metadata(&self) -> Message<'_> {
        self.message().message(METADATA)
    }

    fn message(&self) -> Message<'_> {
        Message(self.bytes.get(self.start..self.end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::Object;
    use crate::testing::node;

    const PACKED: &str = "node.weir.dev/packed";

    #[test]
    fn an_object_that_the_host_packed_is_read_out_of_its_annotation() {
        let told = node("n1").label("zone", "a").cordoned().build().into_protobuf();
        let text = String::from_utf8(told).unwrap();
        let packed = Object::new(node("outside").annotation(PACKED, &text).build().into_protobuf()).unpacked(PACKED);
        assert_eq!((packed.name(), packed.labels().get("zone"), packed.spec().int(4)), ("n1", Some("a"), 1));
    }

    #[test]
    fn any_other_object_is_read_as_it_is() {
        let plain = node("n1").label("zone", "a").annotation("node.weir.dev/requested.cpu", "0").build();
        let plain = Object::new(plain.into_protobuf()).unpacked(PACKED);
        assert_eq!((plain.name(), plain.labels().get("zone")), ("n1", Some("a")));
    }
}
