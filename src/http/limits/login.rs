//! `login_rate`: attempts with a password from one address, on this node and, with Redis, over all nodes. The answer to each
//! says what is left of them, in the fields of draft-ietf-httpapi-ratelimit-headers-11.
//!
//! The limiter is actix-governor's, without its middleware, which tells what is left in fields of its own alone, and asks no
//! other store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_governor::governor::clock::DefaultClock;
use actix_governor::governor::middleware::StateInformationMiddleware;
use actix_governor::governor::state::keyed::DefaultKeyedStateStore;
use actix_governor::governor::{self, RateLimiter};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use super::{address_of, interval, refused};
use crate::domain::Quota;
use crate::http::problem::Problem;
use crate::services::Services;
use crate::services::authentication::shared_limit;
use crate::settings::Rate;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What looks at a password or creates an account are requests with a body.
const ATTEMPTS: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// One budget for an address, shared by every route that looks at a password or creates an account. Clones share it.
#[derive(Clone)]
pub struct LoginLimit(Arc<Inner>);

struct Inner {
    of_node: RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>,
    interval: Duration,
    policy: Option<HeaderValue>,
}

impl LoginLimit {
    pub(super) fn new(rate: Rate) -> Self {
        let (interval, count) = interval(rate);
        let policy = format!("\"login\";q={count};w={}", rate.per.num_seconds().max(1));
        #[expect(clippy::expect_used, reason = "it is not zero")]
        let quota = governor::Quota::with_period(interval).expect("the interval is not zero").allow_burst(count);
        Self(Arc::new(Inner {
            of_node: RateLimiter::keyed(quota).with_middleware(),
            interval,
            policy: HeaderValue::try_from(policy).ok(),
        }))
    }

    /// Middleware for each route that it shall guard, by `from_fn`. What this node refuses is no work for anybody else.
    ///
    /// # Errors
    /// Those of what is inside.
    pub async fn guard<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B>>, Error> {
        if !is_attempt(&request) {
            return Ok(next.call(request).await?.map_into_left_body());
        }
        let quota = self.take(&request).await;
        let mut response = if quota.admits {
            next.call(request).await?.map_into_left_body()
        } else {
            request.error_response(Problem::too_many_attempts(quota.seconds())).map_into_right_body()
        };
        let left = HeaderValue::try_from(format!("\"login\";r={};t={}", quota.left, quota.seconds())).ok();
        let fields = [(RATE_LIMIT_POLICY, self.0.policy.clone()), (RATE_LIMIT, left)];
        for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }

    async fn take(&self, request: &ServiceRequest) -> Quota {
        let address = address_of(request);
        let of_node = match self.0.of_node.check_key(&address) {
            // When the next one comes governor doesn't tell: after an interval at the latest.
            Ok(state) => Quota { admits: true, left: state.remaining_burst_capacity(), next: self.0.interval },
            Err(refusal) => return refused(&refusal),
        };
        match request.app_data::<web::Data<Services>>() {
            Some(services) => match shared_limit::take(services, address).await {
                Some(of_all) => of_all.and(of_node),
                None => of_node,
            },
            None => of_node,
        }
    }

    pub(super) fn retain_recent(&self) {
        self.0.of_node.retain_recent();
        self.0.of_node.shrink_to_fit();
    }
}

/// What looks at a password. A page of another site may send anything but JSON to the API without being asked whether it
/// may, and must not use up what its visitor has: that is refused anyway. Forms have passed `csrf` before.
fn is_attempt(request: &ServiceRequest) -> bool {
    let is_json = request.content_type().eq_ignore_ascii_case("application/json");
    ATTEMPTS.contains(request.method()) && (is_json || !request.path().starts_with("/api/"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::http::header::RETRY_AFTER;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, HttpResponse};
    use chrono::TimeDelta;

    use super::*;
    use crate::http::site::tests::site;

    fn resource(path: &str, limit: &LoginLimit) -> impl actix_web::dev::HttpServiceFactory + 'static {
        let limit = limit.clone();
        web::resource(path.to_owned())
            .wrap(from_fn(move |request, next| limit.clone().guard(request, next)))
            .route(web::get().to(HttpResponse::Ok))
            .route(web::post().to(HttpResponse::Ok))
    }

    #[actix_web::test]
    async fn routes_share_one_budget_for_each_address_and_only_posts_count() {
        let limit = LoginLimit::new(Rate { count: 3, per: TimeDelta::hours(1) });
        let app = init_service(
            App::new()
                .app_data(site("http://localhost:8080"))
                .service(resource("/login", &limit))
                .service(resource("/register", &limit)),
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
        let limit = LoginLimit::new(Rate { count: 1, per: TimeDelta::hours(1) });
        let app = App::new().app_data(site("http://localhost:8080")).service(resource("/login", &limit));
        let app = init_service(app).await;
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
