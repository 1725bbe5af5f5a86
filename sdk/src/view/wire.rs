//! Reads protobuf messages in place: no copy, no generated code.
//!
//! Decides what a byte of the wire format means and nothing about Kubernetes. Messages are walked, not
//! decoded: a plugin asks for a handful of fields, and decoding a whole Node into structs costs eighty times
//! as much (see RATIONALE.md). So that nothing is walked twice, an [`Index`] remembers where in a message
//! the fields of interest stand.
//!
//! A field that appears twice where once is meant counts the first time. The host writes each field once.

use core::cell::OnceCell;

use crate::host;

/// The bytes of one message, or of some of its fields.
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

    /// Whether there is a submessage, string or bytes in field `number`.
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

    /// The length of the message in a buffer in which only zeros follow it: no field begins with a zero.
    #[cfg(target_family = "wasm")]
    pub(crate) fn len_before_zeros(self) -> usize {
        let mut fields = self.fields();
        while fields.rest.first().is_some_and(|byte| *byte != 0) && fields.next().is_some() {}
        self.0.len() - fields.rest.len()
    }

    /// The key of a map's entry.
    pub(crate) fn entry_key(self) -> Self {
        self.message(1)
    }

    /// The value of a map's entry.
    pub(crate) fn entry_value(self) -> Self {
        self.message(2)
    }

    /// The value of a map's entry, if its key is this one.
    pub(crate) fn value_of(self, key: &[u8]) -> Option<Self> {
        // Nearly every entry is its key, shorter than 128 bytes, and then its value; a look at two bytes and
        // the key itself tells most entries apart without walking them.
        match self.0 {
            [KEY, len, rest @ ..] if *len < 0x80 => {
                if usize::from(*len) != key.len() {
                    return None;
                }
                rest.strip_prefix(key).map(|rest| Self(rest).entry_value())
            }
            _ => (self.entry_key().0 == key).then(|| self.entry_value()),
        }
    }
}

/// The first byte of a map's entry that begins with its key: field 1, a text.
const KEY: u8 = 1 << 3 | 2;

/// Where the fields of interest stand in a message, found when first asked for.
///
/// For each of `N` field numbers it knows the stretch from the first such field to the end of the last.
#[derive(Debug)]
pub(crate) struct Index<const N: usize> {
    stretches: OnceCell<[(u32, u32); N]>,
}

impl<const N: usize> Default for Index<N> {
    fn default() -> Self {
        Self { stretches: OnceCell::new() }
    }
}

impl<const N: usize> Index<N> {
    /// The part of the message that holds all fields of the number at this position of `numbers`, and maybe
    /// others between them. It must be the same message and the same numbers at every call.
    pub(crate) fn part<'a>(&self, message: Message<'a>, numbers: [u32; N], position: usize) -> Message<'a> {
        let stretches = self.stretches.get_or_init(|| find(message, numbers));
        let part = stretches.get(position).and_then(|&(start, end)| message.0.get(start as usize..end as usize));
        Message(part.unwrap_or_default())
    }
}

fn find<const N: usize>(message: Message<'_>, numbers: [u32; N]) -> [(u32, u32); N] {
    let mut stretches = [(0, 0); N];
    let mut fields = message.fields();
    let mut start = 0;
    while let Some(field) = fields.next() {
        let end = (message.0.len() - fields.rest.len()) as u32;
        for (number, stretch) in numbers.iter().zip(&mut stretches) {
            if *number == field.number {
                *stretch = (if stretch.1 == 0 { start } else { stretch.0 }, end);
            }
        }
        start = end;
    }
    stretches
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

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        // Most fields are texts and submessages below 128 bytes, with a number below 16.
        if let [key, len, rest @ ..] = self.rest
            && *key & 0x87 == 2
            && *len < 0x80
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(*len))
            && *key > 7
        {
            self.rest = rest;
            return Some(Field { number: u32::from(*key >> 3), value: Value::Bytes(bytes) });
        }
        if self.rest.is_empty() { None } else { self.any() }
    }
}

impl<'a> Fields<'a> {
    #[inline(never)]
    fn any(&mut self) -> Option<Field<'a>> {
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
            host::note_malformed();
        }
        field
    }

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
        let mut value = 0;
        for place in 0..10 {
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
