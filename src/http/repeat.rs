//! A form that has given its session a new secret comes again, with the cookie of before: by a second click, or because the
//! answer to the first was lost, and the new cookie with it. It gets the answer again.
//!
//! Only such a form is let in by a former cookie, and only to where it was sent before: what it must be to have made the
//! session's present secret says [`FormSeed`](crate::domain::form_seed::FormSeed). To all other requests a former cookie
//! is none.

use std::future::ready;

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::Method;
use actix_web::web::{self, Bytes};
use futures_util::stream;

use super::cookie_session::{CookieSession, Former};
use super::fields::{Fields, Repeated};
use super::problem::Problem;
use super::{body, forms};
use crate::services::Services;
use crate::services::sessions::own;

/// The session of a form that comes again. Reads the body, and leaves it to be read as if for the first time.
pub(super) async fn recognise(request: &mut ServiceRequest, former: Former) -> Result<Option<CookieSession>, Problem> {
    let Some(services) = request.app_data::<web::Data<Services>>().cloned() else { return Ok(None) };
    if request.method() != Method::POST || body::check_length(request.request()).is_err() {
        return Ok(None);
    }
    let body = body::read(request.take_payload()).await?;
    let fields = Fields::parse(&body, Repeated::Refused).ok();
    let Former { user_id, session_id, secret, csrf_token } = former;
    let seed = fields.and_then(|mut fields| forms::seed_of(request.request(), Some(secret), &mut fields, &body));
    let again = stream::once(ready(Ok(Bytes::from(body))));
    request.set_payload(Payload::Stream { payload: Box::pin(again) });

    let Some(next) = seed.and_then(|seed| seed.next_secret(session_id)) else { return Ok(None) };
    let live = own::renewed_lately(&services, user_id, session_id, next.hash()).await?;
    Ok(live.map(|live| CookieSession { live, secret, csrf_token, repeats: true }))
}
