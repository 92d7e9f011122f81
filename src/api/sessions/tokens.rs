//! The token body, and the cookie in which a browser application keeps its refresh token.

use actix_web::cookie::time::Duration;
use actix_web::{HttpRequest, HttpResponseBuilder};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{Answer, user_shape};
use crate::domain::SessionId;
use crate::http::cookies::OurCookie;
use crate::http::cors;
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::representations::UserShape;
use crate::services::Services;
use crate::services::sessions::tokens::IssuedTokens;

/// What a program gets when it signs in or refreshes.
#[derive(Serialize, ToSchema)]
pub struct TokenBody {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    /// Seconds until the access token is no longer good.
    expires_in: i64,
    /// New at each refresh; null where it is in the cookie.
    #[schema(required)]
    refresh_token: Option<String>,
    /// Seconds until the session ends, unless the refresh token is used before.
    refresh_expires_in: i64,
    /// The session of both tokens.
    session_id: SessionId,
    /// The account as it is now.
    user: UserShape,
}

/// Where the refresh token goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Body,
    Cookie,
}

/// The answer to a sign-in or a refresh.
pub async fn answer(
    services: &Services,
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    tokens: &IssuedTokens,
    delivery: Delivery,
) -> Answer {
    let user = user_shape(services, &tokens.user).await?;
    let refresh_token = tokens.refresh_token.expose_secret();
    if delivery == Delivery::Cookie {
        let mut cookie = OurCookie::Refresh.with_value(refresh_token.to_owned(), Site::of(request).https);
        cookie.set_max_age(Duration::seconds(tokens.refresh_expires_in));
        response.cookie(cookie);
    }
    Ok(response.json(TokenBody {
        access_token: tokens.access.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: tokens.access.expires_in,
        refresh_token: (delivery == Delivery::Body).then(|| refresh_token.to_owned()),
        refresh_expires_in: tokens.refresh_expires_in,
        session_id: tokens.session_id,
        user,
    }))
}

/// The refresh token of the cookie, if there is one; where another site may have made the browser send it, it is 403.
pub fn from_cookie(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let site = Site::of(request);
    let Some(cookie) = request.cookie(OurCookie::Refresh.name(site.https)) else { return Ok(None) };
    cors::check_origin(request.headers(), site)?;
    Ok(Some(cookie.value().to_owned()))
}

/// Makes the browser forget the cookie.
pub fn forget_cookie(request: &HttpRequest, response: &mut HttpResponseBuilder) {
    response.cookie(OurCookie::Refresh.removal(Site::of(request).https));
}
