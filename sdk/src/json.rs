//! Reads JSON into a type, with serde, and says where in it a mistake is.
//!
//! Why not serde_json: it has to be ready for floating-point numbers wherever a value can stand, and for
//! them it brings 35 KiB of tables and arithmetic into a module of 60; and of a wrong value it tells line
//! and column, where a person who set `gpuResources` wants to read `gpuResources[1]`. What is accepted is the
//! same, but for two things: a number with a fraction or an exponent is taken only where the type asks for an
//! `f64` or `f32` by itself, and values may be nested 64 deep.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{self, DeserializeSeed, Expected, Unexpected, Visitor};

/// How deep objects and lists may be nested; the stack of a module is small.
const DEPTH: usize = 64;

/// What is wrong, and the path to where it is, such as `.gpuResources[1]`; empty at the top.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) path: String,
    pub(crate) what: String,
}

impl Error {
    fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    /// The same error, seen from the value around it.
    fn under(self, step: &str) -> Self {
        Self { path: format!("{step}{}", self.path), what: self.what }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl de::StdError for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what.to_string())
    }

    // serde's own words for these two would bring the printing of floating-point numbers with them.
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {}", found(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {}", found(unexpected)))
    }
}

fn found(unexpected: Unexpected<'_>) -> Cow<'_, str> {
    match unexpected {
        Unexpected::Bool(true) => "true".into(),
        Unexpected::Bool(false) => "false".into(),
        Unexpected::Unsigned(number) => format!("the number {number}").into(),
        Unexpected::Signed(number) => format!("the number {number}").into(),
        Unexpected::Str(text) => format!("the text \"{text}\"").into(),
        Unexpected::Unit | Unexpected::Option => "null".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "an object".into(),
        _ => "another kind of value".into(),
    }
}

/// Reads the one value that `text` holds.
pub(crate) fn from_str<'de, T: de::Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.syntax("more text behind the end")),
    }
}

struct Reader<'de> {
    text: &'de str,
    /// Always at the border of a character.
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    /// The next byte that is no white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.bytes().get(self.at).copied()
    }

    /// Takes the next byte that is no white space, if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(self.syntax(&format!("expected `{}`", char::from(byte)))) }
    }

    fn bytes(&self) -> &'de [u8] {
        self.text.as_bytes()
    }

    /// An error in the text itself, with its place: no path leads there.
    fn syntax(&self, what: &str) -> Error {
        let before = &self.bytes()[..self.at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Error::new(format!("no JSON: {what} at line {line}, column {column}"))
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        if self.bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.syntax(&format!("expected `{word}`")))
    }

    /// The text of a number, as JSON writes it, and whether it has a fraction or an exponent.
    fn number(&mut self) -> Result<(&'de str, bool), Error> {
        let start = self.at;
        self.at += usize::from(self.bytes()[self.at] == b'-');
        let whole = self.digits();
        let leading_zero = whole > 1 && self.bytes()[self.at - whole] == b'0';
        if whole == 0 || leading_zero {
            return Err(self.syntax("expected a number"));
        }
        let mut fraction = false;
        if self.bytes().get(self.at) == Some(&b'.') {
            fraction = true;
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.syntax("expected a digit"));
            }
        }
        if matches!(self.bytes().get(self.at), Some(b'e' | b'E')) {
            fraction = true;
            self.at += 1;
            self.at += usize::from(matches!(self.bytes().get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.syntax("expected a digit"));
            }
        }
        Ok((self.text.get(start..self.at).unwrap_or_default(), fraction))
    }

    fn digits(&mut self) -> usize {
        let count = self.bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// A text behind its opening quote; borrowed if nothing in it is escaped.
    fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        let start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let piece = self.at;
            let rest = &self.bytes()[self.at..];
            self.at += rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
            let plain = self.text.get(piece..self.at).unwrap_or_default();
            if let Some(text) = &mut unescaped {
                text.push_str(plain);
            }
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    let whole = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(unescaped.map_or(Cow::Borrowed(whole), Cow::Owned));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let char = self.escape()?;
                    unescaped.get_or_insert_with(|| plain.to_string()).push(char);
                }
                _ => return Err(self.syntax("a text that does not end, or holds a control character,")),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, Error> {
        let byte = self.bytes().get(self.at).copied();
        self.at += usize::from(byte.is_some_and(|byte| byte.is_ascii()));
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.syntax("an escape that JSON does not know")),
        })
    }

    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff => {
                self.word("\\u")?;
                match self.hex4()? {
                    second @ 0xdc00..=0xdfff => 0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00)),
                    _ => return Err(self.syntax("half a character")),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.syntax("half a character"))
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += if code.is_some() { 4 } else { 0 };
        code.ok_or_else(|| self.syntax("expected four hexadecimal digits"))
    }

    /// Takes the opening bracket of an object or a list, and does something inside.
    fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.syntax("nested too deep"));
        }
        let value = inside(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'{') => self.nested(|reader| {
                let value = visitor.visit_map(Members { reader, first: true, key: Cow::Borrowed("") })?;
                reader.expect(b'}').map(|()| value)
            }),
            Some(b'[') => self.nested(|reader| {
                let value = visitor.visit_seq(Items { reader, index: 0 })?;
                reader.expect(b']').map(|()| value)
            }),
            Some(b'"') => {
                self.at += 1;
                match self.string()? {
                    Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                    Cow::Owned(text) => visitor.visit_string(text),
                }
            }
            Some(b't') => self.word("true").and_then(|()| visitor.visit_bool(true)),
            Some(b'f') => self.word("false").and_then(|()| visitor.visit_bool(false)),
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_unit()),
            Some(b'-' | b'0'..=b'9') => {
                let (number, fraction) = self.number()?;
                if let (false, Ok(number)) = (fraction, number.parse()) {
                    return visitor.visit_u64(number);
                }
                match (fraction, number.parse()) {
                    (false, Ok(number)) => visitor.visit_i64(number),
                    _ => Err(Error::new(format!("expected a whole number of at most 64 bits, found {number}"))),
                }
            }
            Some(_) => Err(self.syntax("expected a value")),
            None => Err(self.syntax("the text ends too early")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                visitor.visit_enum(CowStrDeserializer::new(self.string()?))
            }
            Some(b'{') => self.nested(|reader| {
                let value = visitor.visit_enum(Variant { reader })?;
                reader.expect(b'}').map(|()| value)
            }),
            _ => Err(Error::new("expected a text, or an object with one key")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => {
                let (number, _) = self.number()?;
                visitor.visit_f64(number.parse().map_err(|_| Error::new("expected a number"))?)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek() {
            // serde would take it for the fields in their order; in settings that is a mistake.
            Some(b'[') => Err(Error::new("expected an object, found a list")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            // A number that nobody looks at may have a fraction.
            Some(b'-' | b'0'..=b'9') => self.number().and_then(|_| visitor.visit_unit()),
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

/// The members of an object.
struct Members<'a, 'de> {
    reader: &'a mut Reader<'de>,
    first: bool,
    /// The key of the value that comes next, for the path.
    key: Cow<'de, str>,
}

impl<'de> de::MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.reader.peek() == Some(b'}') {
            return Ok(None);
        }
        if !core::mem::take(&mut self.first) {
            self.reader.expect(b',')?;
        }
        self.reader.expect(b'"')?;
        self.key = self.reader.string()?;
        seed.deserialize(CowStrDeserializer::new(self.key.clone())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader).map_err(|error| error.under(&format!(".{}", self.key)))
    }
}

/// The items of a list.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.reader.peek() == Some(b']') {
            return Ok(None);
        }
        let index = self.index;
        if index > 0 {
            self.reader.expect(b',')?;
        }
        self.index += 1;
        seed.deserialize(&mut *self.reader).map(Some).map_err(|error| error.under(&format!("[{index}]")))
    }
}

/// An enum's variant that carries something: `{"Name": …}`.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        self.reader.expect(b'"')?;
        let name = self.reader.string()?;
        let value = seed.deserialize(CowStrDeserializer::<Error>::new(name))?;
        self.reader.expect(b':')?;
        Ok((value, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self.reader)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self.reader, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self.reader, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn error_of<T: de::DeserializeOwned + fmt::Debug>(text: &str) -> String {
        let Error { path, what } = from_str::<T>(text).unwrap_err();
        format!("{path}: {what}")
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Settings {
        names: Vec<String>,
        limits: BTreeMap<String, i64>,
        percent: Option<u8>,
        ratio: f64,
        mode: Mode,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    enum Mode {
        #[default]
        Most,
        Least(u32),
        Between {
            low: u32,
        },
    }

    #[test]
    fn a_mistake_is_named_with_the_path_to_it() {
        let cases = [
            (r#"{"names": ["a", 5]}"#, ".names[1]: expected a string, found the number 5"),
            (r#"{"limits": {"cpu": 1, "x.y": "2"}}"#, ".limits.x.y: expected i64, found the text \"2\""),
            (r#"{"percent": 300}"#, ".percent: expected u8, found the number 300"),
            (r#"{"percent": 1.5}"#, ".percent: expected a whole number of at most 64 bits, found 1.5"),
            (
                r#"{"percnt": 1}"#,
                ": unknown field `percnt`, expected one of `names`, `limits`, `percent`, `ratio`, `mode`",
            ),
            (r#"{"mode": "Most", "mode": "Most"}"#, ": duplicate field `mode`"),
            (r#"{"mode": "Worst"}"#, ".mode: unknown variant `Worst`, expected one of `Most`, `Least`, `Between`"),
            (r#"{"mode": {"Least": true}}"#, ".mode: expected u32, found true"),
            (r#"{"names": null}"#, ".names: expected a sequence, found null"),
            ("[]", ": expected an object, found a list"),
        ];
        for (text, message) in cases {
            assert_eq!(error_of::<Settings>(text), message, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_named_with_line_and_column() {
        let cases = [
            ("", ": no JSON: the text ends too early at line 1, column 1"),
            ("{\n  \"names\": [\"a\",]\n}", ".names[1]: no JSON: expected a value at line 2, column 17"),
            ("{} {}", ": no JSON: more text behind the end at line 1, column 4"),
            ("{\"ratio\": 01}", ".ratio: no JSON: expected a number at line 1, column 13"),
            (r#"{"names": ["\ud800"]}"#, ".names[0]: no JSON: expected `\\u` at line 1, column 19"),
            ("nothing", ": no JSON: expected `null` at line 1, column 1"),
        ];
        for (text, message) in cases {
            assert_eq!(error_of::<Settings>(text), message, "{text}");
        }
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"{"names": ["a\n\u00e9\ud83d\ude00"], "limits": {"cpu": -5}, "percent": null, "ratio": 1.5e1,
            "mode": {"Between": {"low": 3}}}"#;
        let settings = Settings {
            names: Vec::from(["a\né😀".to_string()]),
            limits: BTreeMap::from([("cpu".to_string(), -5)]),
            percent: None,
            ratio: 15.0,
            mode: Mode::Between { low: 3 },
        };
        assert_eq!(from_str::<Settings>(text).unwrap(), settings);
    }

    #[test]
    fn what_nobody_looks_at_may_be_anything() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Loose {
            a: u8,
        }
        let text = r#"{"x": [1.5, {"y": -2e3}, null, "z"], "a": 1}"#;
        assert_eq!(from_str::<Loose>(text).unwrap(), Loose { a: 1 });
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        let deep = "[".repeat(100_000);
        assert!(error_of::<serde_json::Value>(&deep).ends_with("nested too deep at line 1, column 66"));
        let fine = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        assert!(from_str::<serde_json::Value>(&fine).is_ok());
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_writes(value in value()) {
            for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(from_str::<serde_json::Value>(&text).unwrap(), value.clone());
            }
        }

        #[test]
        fn it_takes_and_refuses_what_serde_json_does(text in r#"([\[\]{},:"ab \n]|-?[0-9]{1,2}|true|null|\\[nu/]|00|é){0,12}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let ours = from_str::<serde_json::Value>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?}", ours, theirs);
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
