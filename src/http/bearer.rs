//! The access token of a request (RFC 6750). Asking ends in one of three ways: none was given, it is good, it is bad; a
//! bad one is never taken for none.
//!
//! Only the `Authorization` header is read, and only where there is exactly one: never the query, a form or a cookie.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, web};

use super::principal::Principal;
use super::problem::Problem;
use crate::domain::Actor;
use crate::domain::session::LiveSession;
use crate::services::sessions::access_tokens;
use crate::services::{AuthContext, Caller, Services};

/// The program that is calling: its access token is good, and the session that it belongs to is alive. Refuses a
/// request without a token, or with a bad one, with 401.
#[derive(Clone, Debug)]
pub struct ApiUser {
    pub session: LiveSession,
    /// As it was when the token was issued.
    pub username: String,
}

impl ApiUser {
    pub fn caller(&self) -> Caller {
        Caller { user_id: self.session.user_id, session_id: self.session.id, role: self.session.role }
    }

    pub fn actor(&self) -> Actor {
        Actor::User { id: self.session.user_id, username: self.username.clone() }
    }

    /// For what an administrator does. The role is the present one, not the token's.
    pub fn auth_context(&self) -> AuthContext {
        AuthContext::signed_in(self.actor(), self.session.role, self.session.id)
    }
}

/// What came of asking, for the length of the request.
#[derive(Clone)]
enum Identified {
    None,
    Good(Box<ApiUser>),
    Bad(Problem),
}

impl Identified {
    fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or(Self::None)
    }
}

/// Asks once who is calling, around all routes of the API. Refuses nobody: the extractors and the roles of the routes
/// do. Wrap with `from_fn`.
pub async fn identify<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let outcome = match bearer_token(request.headers()) {
        Ok(None) => Identified::None,
        Ok(Some(token)) => authenticate(request.request(), token).await,
        Err(problem) => Identified::Bad(problem),
    };
    request.extensions_mut().insert(outcome);
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = next.call(request).await?;
    // RFC 9110, 15.5.2: a 401 says how one could be let in.
    if response.status() == StatusCode::UNAUTHORIZED && !is_preflight {
        let headers = response.headers_mut();
        if !headers.contains_key(WWW_AUTHENTICATE) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(Problem::BEARER));
        }
    }
    Ok(response)
}

async fn authenticate(request: &HttpRequest, token: &str) -> Identified {
    let Some(services) = request.app_data::<web::Data<Services>>() else { return Identified::None };
    match access_tokens::authenticate(services, token).await {
        Ok(bearer) => {
            let (session, username) = (bearer.session, bearer.claims.preferred_username.clone());
            Identified::Good(Box::new(ApiUser { session, username }))
        }
        Err(error) => Identified::Bad(error.into()),
    }
}

/// The token of the one `Authorization: Bearer …`; `None` without the header.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut lines = headers.get_all(AUTHORIZATION);
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(Problem::invalid_request("Send one Authorization header."));
    }
    let (scheme, rest) = line.to_str().ok().and_then(|line| line.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Problem::no_token());
    }
    let token = rest.trim_start_matches(' ');
    if is_token(token) { Ok(Some(token)) } else { Err(Problem::invalid_token()) }
}

/// `b64token` of RFC 6750, 2.1.
fn is_token(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let is_of_a_token =
        |byte| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-'..=b'9' | b'_' | b'~' | b'+');
    !bare.is_empty() && bare.bytes().all(is_of_a_token)
}

impl FromRequest for ApiUser {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match Identified::of(request) {
            Identified::Good(user) => Ok(*user),
            Identified::None => Err(Problem::no_token().into()),
            Identified::Bad(problem) => Err(problem.into()),
        })
    }
}

impl Principal for ApiUser {
    fn session(&self) -> &LiveSession {
        &self.session
    }

    fn forbidden() -> Problem {
        Problem::forbidden().challenge(r#"Bearer error="insufficient_scope""#)
    }

    /// 401 `reauthentication_required`.
    fn password_first(_: &HttpRequest) -> Error {
        Problem::from(crate::domain::Error::ReauthenticationRequired).into()
    }
}

/// Who is calling, or nobody; a bad token is 401 all the same.
pub struct MaybeApiUser(pub Option<ApiUser>);

impl FromRequest for MaybeApiUser {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match Identified::of(request) {
            Identified::Good(user) => Ok(Self(Some(*user))),
            Identified::None => Ok(Self(None)),
            Identified::Bad(problem) => Err(problem),
        })
    }
}

/// Whom limits count; `None` for whoever is not signed in.
pub(super) fn user_id(request: &HttpRequest) -> Option<crate::domain::UserId> {
    match request.extensions().get() {
        Some(Identified::Good(user)) => Some(user.session.user_id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&[u8]]) -> Result<Option<String>, (u16, &'static str)> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(line).unwrap());
        }
        let token = bearer_token(&headers).map_err(|problem| (problem.status.as_u16(), problem.code))?;
        Ok(token.map(str::to_owned))
    }

    #[test]
    fn a_token_comes_in_one_authorization_header_or_not_at_all() {
        assert_eq!(read(&[]), Ok(None));
        for line in ["Bearer a.b-c_d~+/==", "bearer a.b-c_d~+/==", "BEARER   a.b-c_d~+/=="] {
            assert_eq!(read(&[line.as_bytes()]), Ok(Some("a.b-c_d~+/==".to_owned())), "{line}");
        }
        for line in [&b"Bearer "[..], b"Bearer a b", b"Bearer a,b", b"Bearer =", b"Bearer a=b", b"Bearer \"a\""] {
            assert_eq!(read(&[line]), Err((401, "invalid_token")));
        }
        for line in [&b""[..], b"Bearer", b"Bearer\ta", b"a.b.c", b"Basic YTpi", b"Token a", b"Bearer \xff"] {
            assert_eq!(read(&[line]), Err((401, "not_signed_in")));
        }
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]), Err((400, "invalid_request")));
    }
}
