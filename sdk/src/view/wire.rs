//! Reads protobuf messages in place: no copy, no generated code.
//!
//! Decides what a byte of the wire format means and nothing about Kubernetes. Messages are walked, not
//! decoded: a plugin asks for a handful of fields, and decoding a whole Node into structs costs eighty times
//! as much (see RATIONALE.md). So that nothing is walked twice, an [`Index`] remembers where in a message
//! the fields of interest stand. The loops are functions of their own and not iterators in each caller:
//! modules stay small, and the host's compiler keeps what they count in registers.
//!
//! A field that appears twice where once is meant counts the first time. The host writes each field once.

use core::cell::OnceCell;

use crate::host;

/// The bytes of one message, or of some of its fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Message<'a>(pub(crate) &'a [u8]);

impl<'a> Message<'a> {
    /// The submessage, string or bytes in field `number`; empty when it is absent, as protobuf has it.
    pub(crate) fn message(self, number: u32) -> Self {
        Self(self.fields().seek(number).unwrap_or_default())
    }

    /// Whether there is a submessage, string or bytes in field `number`.
    pub(crate) fn has(self, number: u32) -> bool {
        self.fields().seek(number).is_some()
    }

    /// Every submessage, string or bytes in field `number`.
    pub(crate) fn messages(self, number: u32) -> impl Iterator<Item = Self> + use<'a> {
        let mut fields = self.fields();
        core::iter::from_fn(move || fields.seek(number).map(Self))
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
        // Nearly all of them are short and ASCII, and the standard way looks at every byte twice to find out.
        if self.0.iter().fold(0, |all, byte| all | byte) < 0x80 {
            // SAFETY: ASCII is UTF-8.
            return unsafe { core::str::from_utf8_unchecked(self.0) };
        }
        core::str::from_utf8(self.0).unwrap_or_default()
    }

    /// The length of the message in a buffer in which only zeros follow it: no field begins with a zero.
    pub(crate) fn len_before_zeros(self) -> usize {
        let mut fields = self.fields();
        while fields.rest.first().is_some_and(|byte| *byte != 0) && fields.next().is_some() {}
        self.0.len() - fields.rest.len()
    }

    /// The key and the value of a map's entry.
    #[inline(never)]
    pub(crate) fn entry(self) -> (Self, Self) {
        // Nearly every entry is its key and then its value, both shorter than 128 bytes, and nothing else.
        if let [KEY, len, rest @ ..] = self.0
            && *len < 0x80
            && let Some((key, [VALUE, len, value @ ..])) = rest.split_at_checked(usize::from(*len))
            && *len < 0x80
            && value.len() == usize::from(*len)
        {
            return (Self(key), Self(value));
        }
        (self.message(1), self.message(2))
    }

    /// The text in field 1 of a message that mostly has nothing else, such as a quantity.
    pub(crate) fn only_text(self) -> &'a str {
        match self.0 {
            [KEY, len, text @ ..] if *len < 0x80 && text.len() == usize::from(*len) => Self(text).as_text(),
            _ => self.text(1),
        }
    }

    /// The value of the first entry with this key, of the map in field `number`.
    #[inline(never)]
    pub(crate) fn value_in_map(self, number: u32, key: &[u8]) -> Option<Self> {
        let mut fields = self.fields();
        while let Some(entry) = fields.seek(number) {
            // Nearly every entry is its key, shorter than 128 bytes, and then its value; a look at two bytes
            // and the key itself tells most entries apart without walking them.
            let found = match entry {
                [KEY, len, rest @ ..] if *len < 0x80 => usize::from(*len) == key.len() && rest.starts_with(key),
                _ => Self(entry).entry().0.0 == key,
            };
            if found {
                return Some(Self(entry).entry().1);
            }
        }
        None
    }

    /// All its fields, in the order of the wire.
    fn fields(self) -> Fields<'a> {
        Fields { rest: self.0 }
    }
}

/// The first byte of a map's entry that begins with its key: field 1, a text.
const KEY: u8 = 1 << 3 | BYTES;
/// And the one that begins its value: field 2, a text or a message.
const VALUE: u8 = 2 << 3 | BYTES;

/// Where the fields of interest of a message stand in the bytes around it, found when first asked for.
///
/// For each of `N` field numbers it knows the stretch from the first such field to the end of the last.
#[derive(Debug)]
pub(crate) struct Index<const N: usize> {
    stretches: OnceCell<[Stretch; N]>,
}

/// Where something begins in a message and where it ends.
type Stretch = (u32, u32);

/// What an [`Index`] holds: by field number, one more than the position there.
pub(crate) type Positions = [u8; 48];

/// The positions of these field numbers, in their order.
pub(crate) const fn positions<const N: usize>(numbers: [u8; N]) -> Positions {
    let mut positions = [0; 48];
    let mut at = 0;
    while at < N {
        positions[numbers[at] as usize] = at as u8 + 1;
        at += 1;
    }
    positions
}

impl<const N: usize> Default for Index<N> {
    fn default() -> Self {
        Self { stretches: OnceCell::new() }
    }
}

impl<const N: usize> Index<N> {
    /// The part of a message that holds all fields whose number is at this position, and maybe others between
    /// them. It must be the same message, the same bytes around it and the same positions at every call.
    pub(crate) fn part<'a>(
        &self,
        bytes: &'a [u8],
        positions: &Positions,
        position: usize,
        message: impl FnOnce() -> Message<'a>,
    ) -> Message<'a> {
        let stretches = self.stretches.get_or_init(|| {
            let mut stretches = [(0, 0); N];
            let message = message();
            find(message, offset(bytes, message), positions, &mut stretches);
            stretches
        });
        cut(bytes, stretches, position)
    }

    /// The same, if a part was asked for before.
    pub(crate) fn known_part<'a>(&self, bytes: &'a [u8], position: usize) -> Option<Message<'a>> {
        self.stretches.get().map(|stretches| cut(bytes, stretches, position))
    }
}

fn cut<'a>(bytes: &'a [u8], stretches: &[Stretch], position: usize) -> Message<'a> {
    let part = stretches.get(position).and_then(|&(start, end)| bytes.get(start as usize..end as usize));
    Message(part.unwrap_or_default())
}

/// Where a message begins in the bytes that it is a part of.
pub(crate) fn offset(bytes: &[u8], message: Message<'_>) -> usize {
    (message.0.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize)
}

#[inline(never)]
fn find(message: Message<'_>, offset: usize, positions: &Positions, stretches: &mut [Stretch]) {
    let mut rest = message.0;
    loop {
        let before = rest;
        let number = match usual(rest) {
            Some((number, _, behind)) => {
                rest = behind;
                number
            }
            None => {
                let Some((field, behind)) = next(rest) else { return };
                rest = behind;
                field.number
            }
        };
        let position = positions.get(number as usize).map_or(0, |position| usize::from(*position));
        if let Some(stretch) = position.checked_sub(1).and_then(|position| stretches.get_mut(position)) {
            let place = |rest: &[u8]| (offset + message.0.len() - rest.len()) as u32;
            *stretch = (if stretch.1 == 0 { place(before) } else { stretch.0 }, place(rest));
        }
    }
}

/// One field of a message.
struct Field<'a> {
    number: u32,
    value: Value<'a>,
}

/// What a field holds.
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Eight or four bytes; nothing in a Pod or a Node that is of interest here is written so.
    Fixed,
}

/// The wire type of texts and submessages.
const BYTES: u8 = 2;

/// The fields of a message; ends at the first byte that is none, and notes it for the host.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Goes on to behind the next submessage, string or bytes in field `number`.
    #[inline(never)]
    fn seek(&mut self, number: u32) -> Option<&'a [u8]> {
        let mut rest = self.rest;
        loop {
            while let Some((found, bytes, behind)) = usual(rest) {
                rest = behind;
                if found == number {
                    self.rest = rest;
                    return Some(bytes);
                }
            }
            let Some((field, behind)) = next(rest) else {
                self.rest = &[];
                return None;
            };
            rest = behind;
            if let (Value::Bytes(bytes), true) = (field.value, field.number == number) {
                self.rest = rest;
                return Some(bytes);
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (field, behind) = next(self.rest)?;
        self.rest = behind;
        Some(field)
    }
}

/// The number and the content of the first field, and what follows it, if it is as most fields are: a text or a
/// submessage below 128 bytes, with a number below 16.
#[inline(always)]
fn usual(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    match bytes {
        [key, len, rest @ ..] if *key & 0x87 == BYTES && *key > 7 && *len < 0x80 => {
            let (value, rest) = rest.split_at_checked(usize::from(*len))?;
            Some((u32::from(*key >> 3), value, rest))
        }
        _ => None,
    }
}

/// The first field, of whatever kind, and what follows it.
#[inline(never)]
fn next(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let mut rest = bytes;
    let field = field(&mut rest);
    if field.is_none() {
        host::note_malformed();
    }
    field.map(|field| (field, rest))
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
    let value = match key & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(take(rest, len)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        // Groups (3 and 4) died with proto1, 6 and 7 never were.
        _ => return None,
    };
    Some(Field { number, value })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(taken)
}
