//! Writes protobuf messages, for pods and nodes of tests.

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

/// A protobuf message that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn int(mut self, number: u32, value: u64) -> Self {
        self.varint(u64::from(number) << 3);
        self.varint(value);
        self
    }

    pub(crate) fn text(self, number: u32, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    pub(crate) fn message(self, number: u32, message: Self) -> Self {
        self.bytes(number, &message.0)
    }

    pub(crate) fn several(self, number: u32, messages: impl IntoIterator<Item = Self>) -> Self {
        messages.into_iter().fold(self, |all, message| all.message(number, message))
    }

    pub(crate) fn has_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn map(self, number: u32, map: &BTreeMap<String, String>) -> Self {
        map.iter().fold(self, |all, (key, value)| all.message(number, Self::new().text(1, key).text(2, value)))
    }

    pub(crate) fn quantities(self, number: u32, map: &BTreeMap<String, String>) -> Self {
        map.iter().fold(self, |all, (key, value)| {
            all.message(number, Self::new().text(1, key).message(2, Self::new().text(1, value)))
        })
    }

    pub(crate) fn bytes(mut self, number: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A NodeList of these nodes.
pub(crate) fn node_list<'a>(nodes: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    nodes.fold(Message::new(), |list, node| list.bytes(2, node)).0
}
