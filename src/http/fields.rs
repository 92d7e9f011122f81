//! `application/x-www-form-urlencoded`, read strictly: of a form's body and of a query.

use std::collections::HashSet;

use percent_encoding::percent_decode;
use serde::de::value::{MapDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::Problem;
use crate::domain::field::shown;
use crate::domain::{Error, FieldError};

/// Bytes of one value; far above what any field takes, and far below a body that is all one field.
const MAX_VALUE: usize = 16 * 1024;

/// What becomes of a name that comes twice, and of a value that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    Refused,
    /// As in the address of a page, which somebody may have put together: what comes later, or is too long to be
    /// meant, is passed over.
    FirstCounts,
    /// Refused but for this one, whose values [`Fields::take_all`] gives.
    RefusedBut(&'static str),
}

/// Names and values, decoded: UTF-8 without NUL.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn parse(encoded: &[u8], repeated: Repeated) -> Result<Self, Problem> {
        let mut seen = HashSet::new();
        let mut fields = Vec::new();
        for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(equals) => (&pair[..equals], &pair[equals + 1..]),
                None => (pair, &[][..]),
            };
            let name = decode(name).ok_or_else(|| Problem::bad_request("The name of a field can’t be read."))?;
            let refuse = |why: &str| Err(Problem::bad_request(format!("The field “{}” {why}.", shown(&name))));
            if value.len() > MAX_VALUE {
                if repeated == Repeated::FirstCounts {
                    continue;
                }
                return refuse("is too long");
            }
            let Some(value) = decode(value) else { return refuse("is not text in UTF-8") };
            let is_new = seen.insert(name.clone());
            match repeated {
                Repeated::RefusedBut(many) if name == many => fields.push((name, value)),
                _ if is_new => fields.push((name, value)),
                Repeated::FirstCounts => {}
                Repeated::Refused | Repeated::RefusedBut(_) => return refuse("came twice"),
            }
        }
        Ok(Self(fields))
    }

    /// Removes a field and gives its value.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(position).1)
    }

    /// Removes a field, however often it came, and gives its values.
    pub fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(known, _)| known == name).map(|(_, value)| value).collect()
    }

    /// Removes a field where it says just this.
    pub fn omit(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, text)| known != name || text != value);
    }

    /// As a struct whose fields are strings, or options of strings. Fields that it doesn't know are ignored, or with
    /// `#[serde(deny_unknown_fields)]` refused.
    pub fn into<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let pairs = self.0.into_iter().map(|(name, value)| (name, Value(value)));
        T::deserialize(MapDeserializer::new(pairs)).map_err(|mismatch| match mismatch {
            Mismatch::Missing(field) => Problem::bad_request(format!("The field “{field}” is missing.")),
            Mismatch::Unknown(field) => Error::Invalid(FieldError::unknown(&field).into()).into(),
            Mismatch::Other => Problem::bad_request("A field can’t be read."),
        })
    }
}

/// Percent-decoded, `+` as a space; `None` for what isn't UTF-8 or has a NUL.
fn decode(encoded: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = String::from_utf8(percent_decode(&spaced).collect()).ok()?;
    (!text.contains('\0')).then_some(text)
}

/// Why fields don't make the struct. What serde has to say about it stays here.
#[derive(Debug, thiserror::Error)]
enum Mismatch {
    #[error("missing")]
    Missing(&'static str),
    #[error("unknown")]
    Unknown(String),
    #[error("unreadable")]
    Other,
}

impl serde::de::Error for Mismatch {
    fn custom<M: std::fmt::Display>(_: M) -> Self {
        Self::Other
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown(field.to_owned())
    }
}

/// A string that also is the `Some` of an option.
struct Value(String);

impl IntoDeserializer<'_, Mismatch> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        StringDeserializer::new(self.0).deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Login {
        username: String,
        remember: Option<String>,
        #[serde(default)]
        next: String,
    }

    fn read(encoded: &[u8]) -> Result<Login, String> {
        Fields::parse(encoded, Repeated::Refused).and_then(Fields::into).map_err(|problem| {
            assert_eq!(problem.status.as_u16(), 400);
            problem.detail
        })
    }

    #[test]
    fn fields_are_decoded_and_unknown_ones_ignored() {
        let login = read("username=J%C3%B6rg+M&next=%2Fa%3Db&role=admin&&remember=on".as_bytes()).unwrap();
        let expected = Login { username: "Jörg M".into(), remember: Some("on".into()), next: "/a=b".into() };
        assert_eq!(login, expected);
        assert_eq!(read(b"username").unwrap(), Login { username: "".into(), remember: None, next: "".into() });
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_name_of_the_field() {
        let long = [b"username=", &vec![b'a'; MAX_VALUE + 1][..]].concat();
        for (encoded, expected) in [
            (&b"username=%00"[..], "The field “username” is not text in UTF-8."),
            (b"username=%ff", "The field “username” is not text in UTF-8."),
            (b"username=\xff", "The field “username” is not text in UTF-8."),
            (b"username=a&next=%ED%A0%80", "The field “next” is not text in UTF-8."),
            (b"%ff=a", "The name of a field can’t be read."),
            (b"username=a&username=a", "The field “username” came twice."),
            (b"username=a&user%6eame=b", "The field “username” came twice."),
            (b"x=1&x=2&username=a", "The field “x” came twice."),
            (b"next=a", "The field “username” is missing."),
            (b"", "The field “username” is missing."),
            (&long, "The field “username” is too long."),
        ] {
            assert_eq!(read(encoded).unwrap_err(), expected);
        }
    }

    #[test]
    fn nothing_that_serde_says_is_told() {
        #[derive(Deserialize, Debug)]
        struct Number {
            #[expect(dead_code, reason = "only read")]
            count: u32,
        }
        let problem = Fields::parse(b"count=x", Repeated::Refused).and_then(Fields::into::<Number>).unwrap_err();
        assert_eq!(problem.detail, "A field can’t be read.");
    }
}
