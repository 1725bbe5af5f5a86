//! Reads protobuf messages in place: no copy, no allocation, no generated code.
//!
//! Decides what a byte of the wire format means and nothing about Kubernetes. A message is walked from its
//! start each time something is asked of it. That sounds slow and is not: skipping a field costs a few
//! instructions, a plugin asks for a handful of fields, and decoding a whole Node into structs costs eighty
//! times as much (see RATIONALE.md).
//!
//! A field that appears twice counts the first time. The host writes each field once.

use crate::host;

/// The bytes of one message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Message<'a>(pub(crate) &'a [u8]);

impl<'a> Message<'a> {
    /// All its fields, in the order of the wire.
    pub(crate) fn fields(self) -> Fields<'a> {
        Fields { rest: self.0 }
    }

    /// The submessage, string or bytes in field `number`; empty when it is absent, as protobuf has it.
    pub(crate) fn message(self, number: u32) -> Self {
        self.messages(number).next().unwrap_or_default()
    }

    /// Whether a submessage is there at all.
    pub(crate) fn has(self, number: u32) -> bool {
        self.messages(number).next().is_some()
    }

    /// Every submessage, string or bytes in field `number`.
    pub(crate) fn messages(self, number: u32) -> impl Iterator<Item = Self> + use<'a> {
        self.fields().filter_map(move |field| match field.value {
            Value::Bytes(bytes) if field.number == number => Some(Self(bytes)),
            _ => None,
        })
    }

    /// The text in field `number`; empty when it is absent.
    pub(crate) fn text(self, number: u32) -> &'a str {
        self.message(number).as_text()
    }

    /// Every text in field `number`.
    pub(crate) fn texts(self, number: u32) -> impl Iterator<Item = &'a str> + use<'a> {
        self.messages(number).map(Self::as_text)
    }

    /// The number in field `number`; zero when it is absent.
    pub(crate) fn int(self, number: u32) -> i64 {
        self.optional_int(number).unwrap_or(0)
    }

    /// The number in field `number`, if it is there.
    pub(crate) fn optional_int(self, number: u32) -> Option<i64> {
        self.fields().find_map(|field| match field.value {
            // Negative numbers are written as 64 bits in two's complement.
            Value::Varint(bits) if field.number == number => Some(bits as i64),
            _ => None,
        })
    }

    /// The bytes as text. Kubernetes keeps strings as Go does, which may hold any bytes; what is not UTF-8
    /// is read as empty, since no name, label or quantity can look like that.
    pub(crate) fn as_text(self) -> &'a str {
        core::str::from_utf8(self.0).unwrap_or_default()
    }
}

/// One field of a message.
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
}

/// What a field holds.
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Eight or four bytes; nothing in a Pod or a Node that is of interest here is written so.
    Fixed,
}

/// Iterates over the fields of a message; ends at the first byte that is none, and notes it for the host.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
            host::note_malformed();
        }
        field
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups (3 and 4) died with proto1, 6 and 7 never were.
            _ => return None,
        };
        Some(Field { number, value })
    }

    fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for place in 1..10 {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}
