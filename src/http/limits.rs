//! Limits by address, before any work is done. On this node; the shared limits are the services'.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_governor::governor::NotUntil;
use actix_governor::governor::clock::{Clock as _, DefaultClock, QuantaInstant};
use actix_governor::governor::middleware::NoOpMiddleware;
use actix_governor::{Governor, GovernorConfig, GovernorConfigBuilder, KeyExtractor};
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError as _};

use super::bearer;
use super::client_address::address_to_count;
use super::problem::Problem;
use crate::domain::UserId;
use crate::domain::network::counted_address;
use crate::settings::{Rate, Settings};

/// The limits of this node. Made once, outside the `App` factory; clones share the counts.
#[derive(Clone)]
pub struct Limits {
    /// `login_rate`: one budget for an address, shared by every route that looks at a password or creates an account.
    pub login: Limit<ByAddress>,
    /// `api_rate`: one budget for an account, or for an address where nobody is signed in.
    pub api: Limit<ByPrincipal>,
}

impl Limits {
    pub fn new(settings: &Settings) -> Self {
        // What looks at a password or creates an account are requests with a body.
        let with_body = vec![Method::POST, Method::PUT, Method::PATCH];
        Self {
            login: Limit::new(settings.login_rate, ByAddress, Some(with_body)),
            api: Limit::new(settings.api_rate, ByPrincipal, None),
        }
    }

    /// Forgets whoever has a full budget again. Call it every minute or so, or memory grows with each address.
    pub fn retain_recent(&self) {
        self.login.retain_recent();
        self.api.retain_recent();
    }
}

/// So many in so long for each `K`.
#[derive(Clone)]
pub struct Limit<K: KeyExtractor>(GovernorConfig<K, NoOpMiddleware>);

impl<K: KeyExtractor> Limit<K> {
    /// Counts these methods; `None`: all.
    fn new(rate: Rate, key: K, methods: Option<Vec<Method>>) -> Self {
        let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
        let per = rate.per.to_std().unwrap_or_default().max(Duration::from_secs(1));
        let mut builder = GovernorConfigBuilder::default().key_extractor(key);
        builder.period((per / count.get()).max(Duration::from_nanos(1))).burst_size(count.get());
        if let Some(methods) = methods {
            builder.methods(methods);
        }
        #[expect(clippy::expect_used, reason = "neither is zero")]
        Self(builder.finish().expect("neither period nor burst is zero"))
    }

    /// For each route or scope that it shall guard.
    pub fn middleware(&self) -> Governor<K, NoOpMiddleware> {
        Governor::new(&self.0)
    }

    fn retain_recent(&self) {
        let limiter = self.0.limiter();
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
}

/// Counts by [`counted_address`] of the client's address.
#[derive(Clone, Debug)]
pub struct ByAddress;

impl KeyExtractor for ByAddress {
    type Key = IpAddr;
    type KeyExtractionError = Problem;

    fn extract(&self, request: &ServiceRequest) -> Result<Self::Key, Self::KeyExtractionError> {
        Ok(address_of(request))
    }

    fn exceed_rate_limit_response(&self, refusal: &NotUntil<QuantaInstant>, _: HttpResponseBuilder) -> HttpResponse {
        Problem::too_many_attempts(wait(refusal)).error_response()
    }
}

/// Counts by account where [`super::bearer::identify`] found one, else as [`ByAddress`].
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
        Problem::too_many_requests(wait(refusal)).error_response()
    }
}

fn address_of(request: &ServiceRequest) -> IpAddr {
    counted_address(address_to_count(request.request()))
}

/// Seconds, rounded up, so that whoever waits that long is let in.
fn wait(refusal: &NotUntil<QuantaInstant>) -> u64 {
    refusal.wait_time_from(DefaultClock::default().now()).as_secs() + 1
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::http::header::RETRY_AFTER;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, web};
    use chrono::TimeDelta;

    use super::*;
    use crate::http::site::tests::site;

    #[actix_web::test]
    async fn routes_share_one_budget_for_each_address_and_only_posts_count() {
        let limit = Limit::new(Rate { count: 3, per: TimeDelta::hours(1) }, ByAddress, Some(vec![Method::POST]));
        let resource = |path: &str| {
            web::resource(path.to_owned())
                .wrap(limit.middleware())
                .route(web::get().to(HttpResponse::Ok))
                .route(web::post().to(HttpResponse::Ok))
        };
        let app = init_service(
            App::new()
                .app_data(site("http://localhost:8080"))
                .service(resource("/login"))
                .service(resource("/register")),
        )
        .await;
        let request = |method: Method, path: &str, peer: &str| {
            TestRequest::with_uri(path).method(method).peer_addr(peer.parse().unwrap()).to_request()
        };
        for _ in 0..5 {
            let response = call_service(&app, request(Method::GET, "/login", "198.51.100.7:1")).await;
            assert_eq!(response.status(), StatusCode::OK);
        }
        for path in ["/login", "/register", "/login"] {
            let response = call_service(&app, request(Method::POST, path, "198.51.100.7:1")).await;
            assert_eq!(response.status(), StatusCode::OK);
        }
        let response = call_service(&app, request(Method::POST, "/register", "198.51.100.7:2")).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = response.headers().get(RETRY_AFTER).unwrap().to_str().unwrap().parse().unwrap();
        assert!((1100..=1200).contains(&wait), "{wait}");
        let body: serde_json::Value = read_body_json(response).await;
        assert_eq!(body["code"], "too_many_attempts");

        for peer in ["198.51.100.8:1", "[::ffff:198.51.100.9]:1", "[2001:db8::1]:1"] {
            let response = call_service(&app, request(Method::POST, "/login", peer)).await;
            assert_eq!(response.status(), StatusCode::OK, "{peer}");
        }
    }

    #[actix_web::test]
    async fn a_proxy_is_not_its_clients_and_made_up_addresses_do_not_help() {
        let limit = Limit::new(Rate { count: 1, per: TimeDelta::hours(1) }, ByAddress, Some(vec![Method::POST]));
        let app = init_service(
            App::new()
                .app_data(site("http://localhost:8080"))
                .service(web::resource("/login").wrap(limit.middleware()).route(web::post().to(HttpResponse::Ok))),
        )
        .await;
        for (peer, forwarded, status) in [
            ("127.0.0.1:1", "203.0.113.1", 200),
            ("127.0.0.1:1", "203.0.113.2", 200),
            ("127.0.0.1:1", "9.9.9.9, 203.0.113.2", 429),
            ("198.51.100.7:1", "1.1.1.1", 200),
            ("198.51.100.7:1", "1.1.1.2", 429),
        ] {
            let request = TestRequest::post()
                .uri("/login")
                .peer_addr(peer.parse().unwrap())
                .insert_header(("x-forwarded-for", forwarded));
            let response = call_service(&app, request.to_request()).await;
            assert_eq!(response.status().as_u16(), status, "{peer} {forwarded}");
        }
    }
}
