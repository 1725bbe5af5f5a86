//! Settings on their way from JSON to a type, and where in them a mistake is.
//!
//! serde_json reads the text into a tree, and the type is read from the tree. Reading the type from the text
//! directly would be shorter, and worse in two ways: of a wrong value serde_json knows line and column, where
//! a person who set `gpuResources` wants to read `gpuResources[1]`; and its parser would be compiled into a
//! module once for every kind of value in the settings, together with the printing of floating-point numbers
//! for its messages, 40 KiB in all.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::{fmt, slice};

use serde::Deserialize;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Expected, Unexpected, Visitor};

/// A value in JSON. Objects keep their members in order and twice if they are there twice, so that the type
/// can complain about it.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// What is wrong, and the path to where it is, such as `.gpuResources[1]`; empty at the top.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) path: String,
    pub(crate) what: String,
}

/// Reads a value from JSON.
pub(crate) fn from_json<T: de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    let tree: Tree = serde_json::from_str(text).map_err(|error| Error::new(format!("no JSON: {error}")))?;
    T::deserialize(&tree)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Planter)
    }
}

struct Planter;

impl<'de> Visitor<'de> for Planter {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_string()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Tree::Object(object))
    }
}

impl Tree {
    /// What it is, in the words of an error.
    fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(true) => "true".into(),
            Self::Bool(false) => "false".into(),
            Self::Unsigned(number) => format!("the number {number}"),
            Self::Signed(number) => format!("the number {number}"),
            // Printing it would cost 20 KiB.
            Self::Float(_) => "a number with a fraction".into(),
            Self::Text(text) => format!("the text \"{text}\""),
            Self::List(_) => "a list".into(),
            Self::Object(_) => "an object".into(),
        }
    }

    #[cold]
    #[inline(never)]
    fn is_no(&self, expected: &dyn Expected) -> Error {
        Error::new(format!("expected {expected}, found {}", self.describe()))
    }

    fn visit_integer<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        match *self {
            Self::Unsigned(number) => visitor.visit_u64(number),
            Self::Signed(number) => visitor.visit_i64(number),
            _ => Err(self.is_no(&visitor)),
        }
    }

    fn visit_text<'de, V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Text(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.is_no(&visitor)),
        }
    }

    fn visit_list<'de, V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let Self::List(list) = self else {
            return Err(self.is_no(&visitor));
        };
        let mut items = Items { rest: list.iter(), index: 0 };
        let value = visitor.visit_seq(&mut items)?;
        match items.rest.len() {
            0 => Ok(value),
            more => Err(Error::new(format!("there are {more} values too many"))),
        }
    }

    fn visit_object<'de, V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Object(object) => visitor.visit_map(Members { rest: object.iter(), current: None }),
            _ => Err(self.is_no(&visitor)),
        }
    }
}

macro_rules! deserialize_as {
    ($($method:ident => $visit:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$visit(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &'de Tree {
    type Error = Error;

    deserialize_as! {
        deserialize_i8 => visit_integer, deserialize_i16 => visit_integer, deserialize_i32 => visit_integer,
        deserialize_i64 => visit_integer, deserialize_u8 => visit_integer, deserialize_u16 => visit_integer,
        deserialize_u32 => visit_integer, deserialize_u64 => visit_integer,
        deserialize_char => visit_text, deserialize_str => visit_text, deserialize_string => visit_text,
        deserialize_identifier => visit_text,
        deserialize_seq => visit_list, deserialize_map => visit_object,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Unsigned(_) | Tree::Signed(_) => self.visit_integer(visitor),
            Tree::Float(number) => visitor.visit_f64(*number),
            Tree::Text(_) => self.visit_text(visitor),
            Tree::List(_) => self.visit_list(visitor),
            Tree::Object(_) => self.visit_object(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.is_no(&visitor)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Float(number) => visitor.visit_f64(*number),
            _ => self.visit_integer(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// serde would also take a list, for the fields in their order; in settings that is a mistake.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Tree::Object(_) => self.visit_object(visitor),
            _ => Err(self.is_no(&"an object")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.visit_list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_list(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (name, content) = match self {
            Tree::Text(name) => (name, None),
            Tree::Object(object) => match object.as_slice() {
                [(name, content)] => (name, Some(content)),
                _ => return Err(Error::new("expected an object with one key")),
            },
            _ => return Err(self.is_no(&"a text, or an object with one key")),
        };
        visitor.visit_enum(Variant { name, content })
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct ignored_any }
}

/// The items of a list.
struct Items<'de> {
    rest: slice::Iter<'de, Tree>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.rest.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(item).map(Some).map_err(|error| error.under(format!("[{index}]")))
    }
}

/// The members of an object.
struct Members<'de> {
    rest: slice::Iter<'de, (String, Tree)>,
    /// The member whose key was taken last.
    current: Option<&'de (String, Tree)>,
}

impl<'de> de::MapAccess<'de> for Members<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        match self.current {
            Some((key, _)) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.current {
            Some((key, value)) => seed.deserialize(value).map_err(|error| error.under(format!(".{key}"))),
            None => Err(Error::new("a value was asked for before its key")),
        }
    }
}

/// A variant of an enum: `"Name"`, or `{"Name": content}`.
struct Variant<'de> {
    name: &'de str,
    content: Option<&'de Tree>,
}

impl<'de> Variant<'de> {
    fn content(self) -> Result<&'de Tree, Error> {
        self.content.ok_or_else(|| Error::new(format!("expected an object with the key `{}`", self.name)))
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        seed.deserialize(BorrowedStrDeserializer::new(self.name)).map(|value| (value, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(Error::new(format!("expected only the text `{}`", self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let name = self.name;
        seed.deserialize(self.content()?).map_err(|error| error.under(format!(".{name}")))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let name = self.name;
        self.content()?.visit_list(visitor).map_err(|error| error.under(format!(".{name}")))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let name = self.name;
        self.content()?.visit_object(visitor).map_err(|error| error.under(format!(".{name}")))
    }
}

/// An object whose keys are not known beforehand, in the order in which they stand there.
#[derive(Debug)]
pub(crate) struct Pairs<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collector<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collector<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut members: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = members.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collector(PhantomData))
    }
}

impl Error {
    fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    /// The same error, seen from the value around it.
    fn under(mut self, step: String) -> Self {
        self.path = step + &self.path;
        self
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
        Self::invalid_value(unexpected, expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match unexpected {
            Unexpected::Unsigned(number) => Tree::Unsigned(number),
            Unexpected::Signed(number) => Tree::Signed(number),
            Unexpected::Str(text) => Tree::Text(text.into()),
            Unexpected::Bool(value) => Tree::Bool(value),
            Unexpected::Unit | Unexpected::Option => Tree::Null,
            Unexpected::Seq => Tree::List(Vec::new()),
            Unexpected::Map => Tree::Object(Vec::new()),
            Unexpected::Float(number) => Tree::Float(number),
            _ => return Self::new(format!("expected {expected}")),
        };
        found.is_no(expected)
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
        let Error { path, what } = from_json::<T>(text).unwrap_err();
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
            (r#"{"percent": 1.5}"#, ".percent: expected u8, found a number with a fraction"),
            (
                r#"{"percnt": 1}"#,
                ": unknown field `percnt`, expected one of `names`, `limits`, `percent`, `ratio`, `mode`",
            ),
            (r#"{"mode": "Most", "mode": "Most"}"#, ": duplicate field `mode`"),
            (r#"{"mode": "Worst"}"#, ".mode: unknown variant `Worst`, expected one of `Most`, `Least`, `Between`"),
            (r#"{"mode": {"Least": true}}"#, ".mode.Least: expected u32, found true"),
            (r#"{"mode": {"Between": {"high": 1}}}"#, ".mode.Between: missing field `low`"),
            (r#"{"mode": "Least"}"#, ".mode: expected an object with the key `Least`"),
            (r#"{"mode": {"Most": 1}}"#, ".mode: expected only the text `Most`"),
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
            ("", ": no JSON: EOF while parsing a value at line 1 column 0"),
            ("{\n  \"names\": [\"a\",]\n}", ": no JSON: trailing comma at line 2 column 17"),
            ("{} {}", ": no JSON: trailing characters at line 1 column 4"),
            ("nothing", ": no JSON: expected ident at line 1 column 2"),
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
        assert_eq!(from_json::<Settings>(text).unwrap(), settings);
    }

    #[test]
    fn what_nobody_looks_at_may_be_anything() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Loose {
            a: u8,
        }
        let text = r#"{"x": [1.5, {"y": -2e3}, null, "z"], "a": 1}"#;
        assert_eq!(from_json::<Loose>(text).unwrap(), Loose { a: 1 });
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            (-1e300..1e300).prop_map(|number: f64| number.into()),
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
        fn a_tree_of_any_type_is_what_serde_json_reads(value in value()) {
            let text = serde_json::to_string(&value).unwrap();
            let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(from_json::<serde_json::Value>(&text).unwrap(), theirs);
        }
    }
}
