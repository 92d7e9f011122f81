//! Lists in pages: newest first, a page after the other by a cursor that only we can make.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::LINK;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::cursor::Cursors;
use crate::domain::{Error, FieldError};
use crate::http::parameters::StrictQuery;
use crate::http::problem::Problem;
use crate::services::Services;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Which part of a list is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that PageQuery reads")]
pub struct PageParameters {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// The query as it came; a limit that is none is 422.
pub struct PageQuery {
    limit: usize,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Parameters {
    limit: Option<String>,
    cursor: Option<String>,
}

impl FromRequest for PageQuery {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let query = StrictQuery::<Parameters>::from_request(request, payload).into_inner();
        ready(query.and_then(|StrictQuery(Parameters { limit, cursor })| {
            let limit = limit.map_or(Some(DEFAULT_LIMIT), |text| parse_limit(&text));
            let limit = limit.ok_or_else(|| refused("limit", "Write a whole number from 1 to 200."))?;
            Ok(Self { limit, cursor })
        }))
    }
}

/// Digits alone: no sign, no space.
fn parse_limit(text: &str) -> Option<usize> {
    let limit = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    (1..=MAX_LIMIT).contains(&limit).then_some(limit)
}

fn refused(field: &'static str, message: &'static str) -> Problem {
    Error::Invalid(FieldError::new(field, "invalid", message).into()).into()
}

/// One page that is about to be read.
pub struct Listing {
    limit: usize,
    /// The id after which it begins.
    before: Option<Uuid>,
    cursors: Cursors,
    name: String,
}

impl Listing {
    /// `name` says which list of whom it is: a cursor of another one is refused.
    pub fn of(services: &Services, query: PageQuery, name: String) -> Result<Self, Problem> {
        let cursors = Cursors::new(&services.root_key);
        let before = query.cursor.map(|cursor| cursors.read(&name, &cursor)?.parse().ok());
        let before = match before {
            Some(None) => return Err(refused("cursor", "Use next_cursor of the page before, or none.")),
            other => other.flatten(),
        };
        Ok(Self { limit: query.limit, before, cursors, name })
    }

    pub fn before(&self) -> Option<Uuid> {
        self.before
    }

    /// How many rows to read: one more than are shown, to know whether others follow.
    pub fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// The page. `id` is what the rows are sorted by; `shape` may leave a row out.
    pub fn answer<R, S: Serialize>(
        self,
        request: &HttpRequest,
        services: &Services,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> Uuid,
        shape: impl Fn(R) -> Option<S>,
    ) -> HttpResponse {
        let others_follow = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next_cursor =
            rows.last().filter(|_| others_follow).map(|last| self.cursors.write(&self.name, &id(last).to_string()));
        let mut response = HttpResponse::Ok();
        if let Some(cursor) = &next_cursor {
            let url = format!("{}{}", services.settings.public_url.as_str(), request.path());
            response.insert_header((LINK, format!("<{url}?limit={}&cursor={cursor}>; rel=\"next\"", self.limit)));
        }
        let data = rows.into_iter().filter_map(shape).collect();
        response.json(Page { data, page: PageInfo { limit: self.limit, next_cursor } })
    }
}

#[derive(Serialize)]
struct Page<S> {
    data: Vec<S>,
    page: PageInfo,
}

/// Where in the list it is.
#[derive(Serialize, ToSchema)]
pub struct PageInfo {
    #[schema(minimum = 1, maximum = 200)]
    limit: usize,
    /// For `?cursor=`; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl PageInfo {
    /// Of a list that is never more than one page.
    pub fn whole() -> Self {
        Self { limit: MAX_LIMIT, next_cursor: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_from_1_to_200() {
        for (text, limit) in [("1", Some(1)), ("200", Some(200)), ("050", Some(50))] {
            assert_eq!(parse_limit(text), limit);
        }
        for text in ["", "0", "201", "-1", "+1", " 1", "1.0", "1e2", "9223372036854775808", "٣", "null"] {
            assert_eq!(parse_limit(text), None, "{text}");
        }
    }
}
