//! What was ticked in a list: the field `id`, as often as there were ticks, and the fields beside it.

use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::fields::{Fields, Repeated};
use super::forms::{Sent, read_own_fields};
use super::problem::Problem;

const FIELD: &str = "id";

/// In the query of the page that says what will happen to them.
pub struct SelectionQuery<I, T> {
    pub ids: Vec<I>,
    pub rest: T,
}

/// In the form that does it: the ids, and the fields beside them. As [`super::forms::Form`], with the session's token.
pub struct SelectionForm<I, T>(pub Sent<(Vec<I>, T)>);

fn split<I: FromStr, T: DeserializeOwned>(mut fields: Fields) -> Result<(Vec<I>, T), Problem> {
    let ids = fields
        .take_all(FIELD)
        .iter()
        .map(|id| id.parse().map_err(|_| Problem::not_found()))
        .collect::<Result<_, _>>()?;
    Ok((ids, fields.into()?))
}

impl<I: FromStr, T: DeserializeOwned> FromRequest for SelectionQuery<I, T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let fields = Fields::parse(request.query_string().as_bytes(), Repeated::RefusedBut(FIELD));
        ready(fields.and_then(split).map(|(ids, rest)| Self { ids, rest }))
    }
}

impl<I: FromStr + 'static, T: DeserializeOwned + 'static> FromRequest for SelectionForm<I, T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let fields = read_own_fields(request, payload, Repeated::RefusedBut(FIELD));
        Box::pin(async move { fields.await?.and_then(split).map(Self) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Rest {
        all: Option<String>,
    }

    fn parsed(query: &str) -> Result<(Vec<u32>, Rest), u16> {
        let fields = Fields::parse(query.as_bytes(), Repeated::RefusedBut(FIELD));
        fields.and_then(split).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn only_the_id_may_come_more_than_once() {
        let (ids, rest) = parsed("id=3&all=1&id=2&id=3").unwrap();
        assert_eq!((ids, rest.all.as_deref()), (vec![3, 2, 3], Some("1")));
        assert!(parsed("").is_ok_and(|(ids, rest)| ids.is_empty() && rest.all.is_none()));
        assert_eq!(parsed("id=1&all=1&all=2").unwrap_err(), 400);
        assert_eq!(parsed("id=x").unwrap_err(), 404);
    }
}
