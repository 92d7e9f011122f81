//! Lists in pages: newest first, a page after the other by a cursor that only we can make.

use std::borrow::Cow;
use std::fmt::Display;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::LINK;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, RefBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::texts;
use crate::domain::cursor::{NoSuchCursor, PagedList, cut};
use crate::domain::{Error, FieldError};
use crate::http::fields::{Fields, Repeated};
use crate::http::problem::Problem;
use crate::representations::{EventShape, KeyShape, SessionShape, UserShape};
use crate::services::Services;

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

/// Which part of a list is asked for: what [`ListQuery`] reads of every list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what ListQuery reads")]
pub struct PageParameters {
    /// How many at most.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<String>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(value_type = Option<texts::Cursor>)]
    cursor: Option<String>,
}

/// The order of a list that has no other.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what ListQuery reads")]
pub struct NewestFirst {
    /// Newest first, as without it.
    #[param(value_type = Option<texts::NewestFirstOrder>)]
    sort: Option<String>,
}

/// The query of a list: which part of it is asked for, and the filters `T`, a struct of options of strings with
/// `#[serde(deny_unknown_fields)]`. A name that is unknown is 422: a filter that was passed over would widen the list.
/// So is a limit that is none; a name that comes twice is 400.
pub struct ListQuery<T> {
    pub page: PageQuery,
    pub filter: T,
}

/// Which part of a list is asked for.
pub struct PageQuery {
    pub limit: u16,
    pub cursor: Option<String>,
}

/// The filters of a list that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfiltered {}

impl<T: DeserializeOwned> FromRequest for ListQuery<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let fields = Fields::parse(request.query_string().as_bytes(), Repeated::Refused);
        ready(fields.and_then(|mut fields| {
            let limit = fields.take("limit").map_or(Some(DEFAULT_LIMIT), |text| parse_limit(&text));
            let limit = limit.ok_or_else(|| refused("limit", "Write a whole number from 1 to 200."))?;
            let cursor = fields.take("cursor");
            fields.omit("sort", texts::NEWEST_FIRST);
            Ok(Self { page: PageQuery { limit, cursor }, filter: fields.into()? })
        }))
    }
}

/// Digits alone: no sign, no space.
fn parse_limit(text: &str) -> Option<u16> {
    let limit = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    (1..=MAX_LIMIT).contains(&limit).then_some(limit)
}

fn refused(field: &'static str, message: &'static str) -> Problem {
    Error::Invalid(FieldError::new(field, "invalid", message).into()).into()
}

/// A list whose place is an id: one page that is about to be read.
pub struct Listing<I> {
    limit: u16,
    /// The id of the last one of the page before.
    before: Option<I>,
    list: PagedList,
}

impl<I: FromStr + Display> Listing<I> {
    /// `name` says which list of whom it is: a cursor of another one is refused.
    pub fn of(services: &Services, query: PageQuery, name: String) -> Result<Self, Problem> {
        let list = PagedList::new(&services.root_key, name);
        let refuse = |NoSuchCursor| refused("cursor", "Use next_cursor of the page before, or none.");
        let before = list.place(query.cursor.as_deref()).map_err(refuse)?;
        Ok(Self { limit: query.limit, before, list })
    }

    pub fn before(&self) -> Option<&I> {
        self.before.as_ref()
    }

    /// How many rows to read: one more than are shown, to know whether others follow.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page. `id` is the place of a row; `shape` may leave a row out.
    pub fn answer<R, S: Serialize>(
        self,
        request: &HttpRequest,
        services: &Services,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> I,
        shape: impl Fn(R) -> Option<S>,
    ) -> HttpResponse {
        let others_follow = cut(&mut rows, self.limit.into());
        let next_cursor = rows.last().filter(|_| others_follow).map(|last| self.list.cursor(&id(last)));
        page(request, services, self.limit, next_cursor, rows.into_iter().filter_map(shape).collect())
    }
}

/// One page of a list, and in `Link` (RFC 8288) the address of the next one: that of this one with another cursor.
pub fn page<S: Serialize>(
    request: &HttpRequest,
    services: &Services,
    limit: u16,
    next_cursor: Option<String>,
    data: Vec<S>,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(cursor) = &next_cursor {
        let query = form_urlencoded::parse(request.query_string().as_bytes()).filter(|(name, _)| name != "cursor");
        let mut next = form_urlencoded::Serializer::new(String::new());
        let next = next.extend_pairs(query).append_pair("cursor", cursor).finish();
        let url = services.settings.public_url.as_str();
        response.insert_header((LINK, format!("<{url}{}?{next}>; rel=\"next\"", request.path())));
    }
    response.json(Page { data, page: PageInfo { limit, next_cursor } })
}

/// A part of a list.
#[derive(Serialize)]
pub struct Page<S> {
    data: Vec<S>,
    page: PageInfo,
}

/// In the document a page is named by what it holds, `UserPage`, and holds it by reference: a derived schema would
/// repeat all of it, under a name of its own.
impl<S: ToSchema> PartialSchema for Page<S> {
    fn schema() -> RefOr<Schema> {
        let rows = ArrayBuilder::new()
            .items(Ref::from_schema_name(S::name()))
            .description(Some("So many as were asked for, or fewer."));
        let place = RefBuilder::new()
            .ref_location_from_schema_name(PageInfo::name())
            .description(Some("Where in the list they are, and where it goes on."));
        ObjectBuilder::new()
            .description(Some("A part of a list."))
            .property("data", rows)
            .required("data")
            .property("page", place)
            .required("page")
            .into()
    }
}

impl<S: ToSchema> ToSchema for Page<S> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", S::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((S::name().into(), S::schema()));
        schemas.push((PageInfo::name().into(), PageInfo::schema()));
        S::schemas(schemas);
    }
}

// By these names, a path says which; of a type with a parameter the macro would make a name of its own.
pub type UserPage = Page<UserShape>;
pub type SessionPage = Page<SessionShape>;
pub type EventPage = Page<EventShape>;
pub type KeyPage = Page<KeyShape>;

/// Where in the list it is.
#[derive(Serialize, ToSchema)]
pub struct PageInfo {
    /// How many were asked for.
    #[schema(minimum = 1, maximum = 200)]
    limit: u16,
    /// For `?cursor=`; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_from_1_to_200() {
        let parameters = PageParameters::into_params(|| None);
        let limit = serde_json::to_value(parameters.iter().find(|one| one.name == "limit").unwrap()).unwrap();
        let schema = &limit["schema"];
        assert_eq!((&schema["minimum"], &schema["maximum"]), (&1.into(), &MAX_LIMIT.into()));
        assert_eq!(schema["default"], DEFAULT_LIMIT);
        let page = serde_json::to_value(PageInfo::schema()).unwrap();
        assert_eq!(page["properties"]["limit"]["maximum"], MAX_LIMIT);
        for (text, limit) in [("1", Some(1)), ("200", Some(200)), ("050", Some(50))] {
            assert_eq!(parse_limit(text), limit);
        }
        for text in ["", "0", "201", "-1", "+1", " 1", "1.0", "1e2", "9223372036854775808", "٣", "null"] {
            assert_eq!(parse_limit(text), None, "{text}");
        }
    }
}
