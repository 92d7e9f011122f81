//! Limits by address and by account, before the work is done. On this node; what all nodes share is the services'.

mod login;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_governor::governor::NotUntil;
use actix_governor::governor::clock::{Clock as _, DefaultClock, QuantaInstant};
use actix_governor::governor::middleware::NoOpMiddleware;
use actix_governor::{Governor, GovernorConfig, GovernorConfigBuilder, KeyExtractor};
use actix_web::dev::ServiceRequest;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError as _};

pub use self::login::LoginLimit;
use super::bearer;
use super::client_address::address_to_count;
use super::problem::Problem;
use crate::domain::network::counted_address;
use crate::domain::{Quota, UserId};
use crate::settings::{Rate, Settings};

/// The limits of this node. Made once, outside the `App` factory; clones share the counts.
#[derive(Clone)]
pub struct Limits {
    pub login: LoginLimit,
    pub api: ApiLimit,
}

impl Limits {
    pub fn new(settings: &Settings) -> Self {
        Self { login: LoginLimit::new(settings.login_rate), api: ApiLimit::new(settings.api_rate) }
    }

    /// Forgets whoever has a full budget again. Call it every minute or so, or memory grows with each address.
    pub fn retain_recent(&self) {
        self.login.retain_recent();
        self.api.retain_recent();
    }
}

/// `api_rate`: one budget for an account, or for an address where nobody is signed in.
#[derive(Clone)]
pub struct ApiLimit(GovernorConfig<ByPrincipal, NoOpMiddleware>);

impl ApiLimit {
    fn new(rate: Rate) -> Self {
        let (interval, count) = interval(rate);
        let mut builder = GovernorConfigBuilder::default().key_extractor(ByPrincipal);
        builder.period(interval).burst_size(count.get());
        #[expect(clippy::expect_used, reason = "neither is zero")]
        Self(builder.finish().expect("neither period nor burst is zero"))
    }

    /// For each scope that it shall guard.
    pub fn middleware(&self) -> Governor<ByPrincipal, NoOpMiddleware> {
        Governor::new(&self.0)
    }

    fn retain_recent(&self) {
        let limiter = self.0.limiter();
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
}

/// From one until the next, where all that may come at once have come, and how many these are.
fn interval(rate: Rate) -> (Duration, NonZeroU32) {
    let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let per = rate.per.to_std().unwrap_or_default().max(Duration::from_secs(1));
    ((per / count.get()).max(Duration::from_nanos(1)), count)
}

/// Counts by account where [`super::bearer::identify`] found one, else by [`counted_address`] of the client's address.
#[derive(Clone, Debug)]
pub struct ByPrincipal;

/// Whom [`ByPrincipal`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    User(UserId),
    Address(IpAddr),
}

impl KeyExtractor for ByPrincipal {
    type Key = RateLimitKey;
    type KeyExtractionError = Problem;

    fn extract(&self, request: &ServiceRequest) -> Result<Self::Key, Self::KeyExtractionError> {
        let user = bearer::user_id(request.request());
        Ok(user.map_or_else(|| RateLimitKey::Address(address_of(request)), RateLimitKey::User))
    }

    fn exceed_rate_limit_response(&self, refusal: &NotUntil<QuantaInstant>, _: HttpResponseBuilder) -> HttpResponse {
        Problem::too_many_requests(refused(refusal).seconds()).error_response()
    }
}

fn address_of(request: &ServiceRequest) -> IpAddr {
    counted_address(address_to_count(request.request()))
}

fn refused(refusal: &NotUntil<QuantaInstant>) -> Quota {
    Quota { admits: false, left: 0, next: refusal.wait_time_from(DefaultClock::default().now()) }
}
