//! JSON, read strictly: each name may come once, and what a field is refused for is told by its name and never in the
//! words of a library.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::FieldError;
use super::field::shown;

/// Why text is not the JSON that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    NotJson,
    /// An object has a name twice; the name as it may be shown.
    Repeated(String),
}

/// The value that the text says.
pub fn read(text: &[u8]) -> Result<Value, Unreadable> {
    let repeated = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // The depth is bounded by serde_json, at 128.
    let value = Tree(&repeated).deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match (repeated.take(), value) {
        (Some(name), _) => Err(Unreadable::Repeated(shown(&name))),
        (None, value) => value.map_err(|_| Unreadable::NotJson),
    }
}

/// The struct of that value. `T` has `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// Names the field that is missing, unknown or of the wrong type; no field where the value is no object.
pub fn structured<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    T::deserialize(Node(value)).map_err(Fault::into_field_error)
}

/// Reads a [`Value`], and stops at an object in which a name comes twice: two readers would not agree on what it says.
#[derive(Clone, Copy)]
struct Tree<'a>(&'a Cell<Option<String>>);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                self.0.set(Some(name));
                return Err(de::Error::custom("repeated"));
            }
            let value = entries.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Why JSON doesn't make the struct, and in which field.
#[derive(Debug)]
struct Fault {
    /// `None` until the object around it names it.
    field: Option<String>,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Missing,
    Unknown,
    /// What it should be, as the end of "Write …".
    Type(&'static str),
    Nul,
}

impl Fault {
    fn of(why: Why) -> Self {
        Self { field: None, why }
    }

    fn into_field_error(self) -> FieldError {
        let field = self.field.as_deref().map(shown).unwrap_or_default();
        match self.why {
            Why::Missing => FieldError::new(field, "required", "This field is missing."),
            Why::Unknown => FieldError::unknown(&field),
            Why::Type(expected) => FieldError::new(field, "wrong_type", format!("Write {expected} here.")),
            Why::Nul => FieldError::new(field, "invalid", "Leave out the NUL character."),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.why)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::of(Why::Type("something else"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { field: Some(field.to_owned()), why: Why::Missing }
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self { field: Some(field.to_owned()), why: Why::Unknown }
    }
}

/// A value that a struct is made from.
struct Node(Value);

impl IntoDeserializer<'_, Fault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Node {
    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) if text.contains('\0') => Err(Fault::of(Why::Nul)),
            Value::String(text) => visitor.visit_string(text),
            _ => Err(Fault::of(Why::Type("text"))),
        }
    }

    fn object<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Object(object) => visitor.visit_map(Entries { rest: object.into_iter(), value: None }),
            _ => Err(Fault::of(Why::Type("a JSON object"))),
        }
    }
}

impl<'de> de::Deserializer<'de> for Node {
    type Error = Fault;

    /// For what none of the others asked for: numbers.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(Fault::of(Why::Type("a number"))),
            },
            Value::String(_) => self.text(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.object(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(Fault::of(Why::Type("true or false"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(de::value::SeqDeserializer::new(items.into_iter().map(Node))),
            _ => Err(Fault::of(Why::Type("a list"))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

/// The fields of an object; what is wrong with a value is wrong with its field.
struct Entries {
    rest: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        let key = seed.deserialize(name.as_str().into_deserializer())?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.value.take().ok_or_else(|| Fault::of(Why::Missing))?;
        seed.deserialize(Node(value)).map_err(|fault| Fault { field: Some(name), ..fault })
    }
}
