//! JSON as an extractor, read strictly: size, time, type and encoding are checked here, each name may come once, and
//! what a field is refused for is told by its name and never in the words of a library.
//!
//! What is not JSON is 400 (415 where it doesn't say that it is JSON); a field that is missing, unknown or of the wrong
//! type is 422.

use std::cell::Cell;
use std::fmt;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::body;
use super::fields::shown;
use super::problem::Problem;
use crate::domain::{Error, FieldError};

/// A JSON object. `T` has `#[serde(deny_unknown_fields)]`.
pub struct Json<T>(pub T);

/// The same where the whole body may be left out: then `T` is its default.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head = check_type(request).and_then(|()| body::check_length(request));
        let payload = payload.take();
        Box::pin(async move {
            head?;
            parse(&body::read(payload).await?).map(Self)
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (length, media_type) = (body::check_length(request), check_type(request));
        let payload = payload.take();
        Box::pin(async move {
            length?;
            let body = body::read(payload).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            media_type?;
            parse(&body).map(Self)
        })
    }
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let is_json = request.content_type().eq_ignore_ascii_case("application/json");
    let is_utf8 = matches!(request.encoding(), Ok(encoding) if encoding.name() == "UTF-8");
    if is_json && is_utf8 && !request.headers().contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    let detail = "Send JSON: Content-Type: application/json, in UTF-8, not compressed.";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let repeated = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // The depth is bounded by serde_json, at 128.
    let value = Tree(&repeated).deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    if let Some(name) = repeated.take() {
        return Err(Problem::bad_request(format!("The field “{}” came twice.", shown(&name))));
    }
    let value = value.map_err(|_| Problem::bad_request("This is not JSON."))?;
    T::deserialize(Node(value)).map_err(|fault| Error::Invalid(fault.into_field_error().into()).into())
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
            Why::Unknown => FieldError::new(field, "unknown_field", "There is no such field here. Leave it out."),
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

#[cfg(test)]
mod tests {
    use actix_web::http::header::CONTENT_TYPE;
    use actix_web::test::TestRequest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Login {
        username: String,
        device_name: Option<String>,
        #[serde(default)]
        refresh_cookie: bool,
        #[serde(default)]
        ids: Vec<String>,
    }

    fn refusal(body: &[u8]) -> (u16, String, String) {
        let problem = parse::<Login>(body).expect_err("refused");
        let named = problem.errors.iter().next().map(|error| format!("{} {}", error.field, error.code));
        (problem.status.as_u16(), named.unwrap_or_default(), problem.detail)
    }

    #[test]
    fn fields_are_read_and_those_left_out_or_null_are_none() {
        for body in [r#"{"username":"ann"}"#, r#" {"username":"\u0061nn","device_name":null} "#] {
            let expected = Login { username: "ann".into(), ..Login::default() };
            assert_eq!(parse::<Login>(body.as_bytes()).unwrap(), expected);
        }
        let full = br#"{"ids":["a","b"],"refresh_cookie":true,"device_name":"x","username":"a"}"#;
        let expected = Login {
            username: "a".into(),
            device_name: Some("x".into()),
            refresh_cookie: true,
            ids: vec!["a".into(), "b".into()],
        };
        assert_eq!(parse::<Login>(full).unwrap(), expected);
    }

    #[test]
    fn a_field_that_is_missing_unknown_or_of_the_wrong_type_is_named() {
        for (body, named) in [
            ("{}", "username required"),
            (r#"{"username":"a","role":"admin"}"#, "role unknown_field"),
            (r#"{"username":1}"#, "username wrong_type"),
            (r#"{"username":null}"#, "username wrong_type"),
            (r#"{"username":["a"]}"#, "username wrong_type"),
            (r#"{"username":{"$ne":""}}"#, "username wrong_type"),
            (r#"{"username":"a","device_name":7}"#, "device_name wrong_type"),
            (r#"{"username":"a","refresh_cookie":"true"}"#, "refresh_cookie wrong_type"),
            (r#"{"username":"a","refresh_cookie":1}"#, "refresh_cookie wrong_type"),
            (r#"{"username":"a","ids":[1]}"#, "ids wrong_type"),
            (r#"{"username":"a\u0000"}"#, "username invalid"),
            ("[]", " wrong_type"),
            ("\"a\"", " wrong_type"),
            ("null", " wrong_type"),
        ] {
            let (status, found, _) = refusal(body.as_bytes());
            assert_eq!((status, found.as_str()), (422, named), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_and_a_name_that_comes_twice_is_400_without_the_words_of_a_library() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for body in [
            &b""[..],
            b"{",
            b"{'username':'a'}",
            br#"{"username":"a"} x"#,
            br#"{"username":"a",}"#,
            b"\xef\xbb\xbf{}",
            b"{\"username\":\"\xff\"}",
            br#"{"username":"\ud800"}"#,
            br#"{"username":1e999}"#,
            b"NaN",
            deep.as_bytes(),
        ] {
            let (status, named, detail) = refusal(body);
            assert_eq!((status, named.as_str(), detail.as_str()), (400, "", "This is not JSON."));
        }
        for body in [r#"{"username":"a","username":"b"}"#, r#"{"username":"a","user\u006eame":"b"}"#] {
            assert_eq!(refusal(body.as_bytes()).2, "The field “username” came twice.");
        }
    }

    async fn sent(content_type: &str, body: &'static str) -> (u16, u16) {
        let (request, mut payload) =
            TestRequest::post().insert_header((CONTENT_TYPE, content_type)).set_payload(body).to_http_parts();
        let strict =
            Json::<Login>::from_request(&request, &mut payload).await.map_or_else(|p| p.status.as_u16(), |_| 200);
        let (request, mut payload) =
            TestRequest::post().insert_header((CONTENT_TYPE, content_type)).set_payload(body).to_http_parts();
        let optional = OptionalJson::<Login>::from_request(&request, &mut payload)
            .await
            .map_or_else(|p| p.status.as_u16(), |_| 200);
        (strict, optional)
    }

    #[actix_web::test]
    async fn only_json_is_taken_and_an_optional_body_may_be_empty() {
        for (content_type, expected) in [
            ("application/json", 200),
            ("Application/JSON; charset=UTF-8", 200),
            ("application/json; charset=utf-16", 415),
            ("application/x-www-form-urlencoded", 415),
            ("text/plain", 415),
            ("application/jsonp", 415),
            ("", 415),
        ] {
            assert_eq!(sent(content_type, r#"{"username":"a"}"#).await, (expected, expected), "{content_type}");
        }
        assert_eq!(sent("text/plain", "").await, (415, 200));
        assert_eq!(sent("application/json", "").await, (400, 200));
    }
}
