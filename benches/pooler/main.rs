//! What a transaction pooler costs, and what it costs to keep no statements prepared.
//!
//! ```console
//! $ benches/pooler.sh
//! ```
//!
//! The same production server on PostgreSQL alone in three ways: as it is, with `statement_cache=off`, and through
//! PgBouncer in transaction mode. Each request goes to all by turns, so that what else the machine does meets all alike.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../../tests/portcullis/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::postgres_server::{PgBouncer, at_port};
use crate::support::stores::Stores;
use crate::support::{ApiClient, KEEPER, PASSWORD, PostgresRedis, TestServer};

const WARM_UPS: usize = 20;
const ROUNDS: usize = 300;
const SETTINGS: &[(&str, &str)] = &[("api_rate", "1000000/1s"), ("database_pool", "8")];

/// One of the three.
struct Way {
    name: &'static str,
    program: ApiClient,
    _server: TestServer,
}

#[tokio::main]
async fn main() {
    let server = std::env::var("TEST_POSTGRES_URL").expect("benches/pooler.sh starts a PostgreSQL");
    let port = url::Url::parse(&server).expect("a URL").port().expect("a port");
    let pooler = PgBouncer::start(port, "transaction", 8);
    let mut ways = Vec::new();
    for name in ["direct", "direct, `statement_cache=off`", "PgBouncer"] {
        let mut stores = Stores::with_redis(PostgresRedis, None).await;
        match name {
            "direct" => {}
            "PgBouncer" => stores.database_url = at_port(&stores.database_url, pooler.port),
            _ => stores.database_url.push_str("&statement_cache=off"),
        }
        let server = TestServer::on(stores, SETTINGS).await;
        ways.push(Way { name, program: server.program(KEEPER).await, _server: server });
    }
    println!("| request | | p50 | p95 | to direct |");
    println!("|---|---|---:|---:|---:|");
    for request in ["GET /api/v1/me", "GET /api/v1/users", "POST /api/v1/auth/refresh", "POST /api/v1/auth/login"] {
        let mut times = vec![Vec::with_capacity(ROUNDS); ways.len()];
        for round in 0..WARM_UPS + ROUNDS {
            for (way, times) in ways.iter_mut().zip(&mut times) {
                let took = ask(&mut way.program, request).await;
                if round >= WARM_UPS {
                    times.push(took);
                }
            }
        }
        let direct = percentile(&mut times[0], 50);
        for (way, times) in ways.iter().zip(&mut times) {
            let (p50, p95) = (percentile(times, 50), percentile(times, 95));
            let ratio = p50.as_secs_f64() / direct.as_secs_f64();
            println!("| {request} | {} | {:.2} ms | {:.2} ms | {ratio:.2} |", way.name, millis(p50), millis(p95));
        }
    }
}

async fn ask(program: &mut ApiClient, request: &str) -> Duration {
    let began = Instant::now();
    let answer = match request {
        "POST /api/v1/auth/refresh" => program.refresh().await,
        "POST /api/v1/auth/login" => {
            program.post("/api/v1/auth/login", &json!({ "username": KEEPER, "password": PASSWORD })).await
        }
        _ => program.get(request.trim_start_matches("GET ")).await,
    };
    let took = began.elapsed();
    assert_eq!(answer.status, 200, "{request}: {}", answer.excerpt());
    took
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
