//! `If-Match` (RFC 9110, 13.1.1): an act on an account that must still be as it was seen, by its `ETag`.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETag, EntityTag, Header as _, IF_MATCH, IfMatch};
use actix_web::{FromRequest, HttpRequest};

use super::parameters::PathParam;
use super::problem::Problem;
use crate::domain::{User, UserId};
use crate::services::authorization::Subject;

/// What [`SeenUser`] reads: `*`, or tags that have no comma, as ours don't.
pub const PATTERN: &str = r#"^(?:\*|(?:W/)?"[!#-+\--~]*"(?:, *(?:W/)?"[!#-+\--~]*")*)$"#;

/// The `ETag` of what can be edited of an account. When its owner last signed in, or whether it is locked, is no part
/// of that.
pub fn etag(user: &User) -> ETag {
    ETag(EntityTag::new_strong(user.version()))
}

/// The account in the path, as `If-Match` says that it was seen.
pub struct SeenUser(pub Subject);

impl FromRequest for SeenUser {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let id = PathParam::<UserId>::from_request(request, payload).into_inner();
        ready(id.and_then(|PathParam(id)| subject(request, id)).map(Self))
    }
}

fn subject(request: &HttpRequest, id: UserId) -> Result<Subject, Problem> {
    if !request.headers().contains_key(IF_MATCH) {
        return Ok(id.into());
    }
    match IfMatch::parse(request) {
        // The parser looks for it in the first line alone.
        Ok(IfMatch::Any) if parts(request) == 1 => Ok(id.into()),
        // A weak one matches nothing: the comparison is the strong one.
        Ok(IfMatch::Items(tags)) if !tags.is_empty() && tags.len() == parts(request) => {
            let strong = tags.into_iter().filter(|tag| !tag.weak);
            Ok(Subject::seen(id, strong.map(|tag| tag.tag().to_owned()).collect()))
        }
        _ => Err(Problem::bad_request("If-Match takes the ETag of the account, in its quotes.")),
    }
}

/// How many tags there are, with those that the parser passes over because they are none.
fn parts(request: &HttpRequest) -> usize {
    let lines = request.headers().get_all(IF_MATCH).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter(|part| !part.trim().is_empty()).count()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::domain::Clock;

    #[test]
    fn if_match_takes_strong_tags_or_a_star() {
        let id = UserId::new(Clock::default().now());
        let read = |lines: &[&'static str]| {
            let mut request = TestRequest::default();
            for line in lines {
                request = request.append_header((IF_MATCH, *line));
            }
            subject(&request.to_http_request(), id).map_err(|problem| problem.status.as_u16())
        };
        let seen = |versions: &[&str]| Ok(Subject::seen(id, versions.iter().map(|&tag| tag.to_owned()).collect()));
        assert_eq!(read(&[]), Ok(id.into()));
        assert_eq!(read(&["*"]), Ok(id.into()));
        assert_eq!(read(&["\"a\""]), seen(&["a"]));
        assert_eq!(read(&["\"a\", \"b\"", "\"c\""]), seen(&["a", "b", "c"]));
        assert_eq!(read(&["W/\"a\""]), seen(&[]));
        assert_eq!(read(&["*", "\"a\""]), Err(400));
        for broken in ["", "a", "\"a", "'a'", "\"a\", b", "\"a\", *"] {
            assert_eq!(read(&[broken]), Err(400), "{broken}");
        }
    }
}
