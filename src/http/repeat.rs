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

use super::authenticate::CookieSession;
use super::fields::{Fields, Repeated};
use super::problem::Problem;
use super::{body, forms};
use crate::domain::{SessionId, UserId};
use crate::services::Services;
use crate::services::sessions::own;

/// What a cookie of ours says whose secret opens nothing.
pub(super) struct Former {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub csrf_token: String,
}

/// The session of a form that comes again. Reads the body, and leaves it to be read as if for the first time.
pub(super) async fn recognise(request: &mut ServiceRequest, former: Former) -> Result<Option<CookieSession>, Problem> {
    let Some(services) = request.app_data::<web::Data<Services>>().cloned() else { return Ok(None) };
    if request.method() != Method::POST || body::check_length(request.request()).is_err() {
        return Ok(None);
    }
    let body = body::read(request.take_payload()).await?;
    let fields = Fields::parse(&body, Repeated::Refused).ok();
    let seed = fields.and_then(|mut fields| forms::seed_of(request.request(), &mut fields, &body));
    let again = stream::once(ready(Ok(Bytes::from(body))));
    request.set_payload(Payload::Stream { payload: Box::pin(again) });

    let Some(seed) = seed else { return Ok(None) };
    let Former { user_id, session_id, csrf_token } = former;
    let secret = seed.session_secret(session_id).hash();
    let live = own::renewed_lately(&services, user_id, session_id, secret).await?;
    Ok(live.map(|live| CookieSession { live, csrf_token, repeats: true }))
}
