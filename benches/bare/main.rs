//! What actix-web itself does on this machine: the measure for `benches/load.sh`. No sessions, no log, nothing checked.
//!
//! `bare PORT REDIS_SOCKET`: `/livez` answers at once, `/json` and `/page` after one `GET` of Redis, with a body as long
//! as ours, `/twice` after a `GET` and a `SET`, as a refresh.
#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::cell::RefCell;

use actix_web::{App, HttpResponse, HttpServer, web};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

/// Bytes of `GET /api/v1/me`.
const JSON: usize = 310;
/// Bytes of `/account/profile`.
const PAGE: usize = 4600;

struct Worker {
    client: redis::Client,
    connection: RefCell<Option<MultiplexedConnection>>,
}

impl Worker {
    /// The one connection of this worker, on its own runtime: its requests share it.
    async fn connection(&self) -> MultiplexedConnection {
        let known = self.connection.borrow().clone();
        match known {
            Some(connection) => connection,
            None => {
                let connection = self.client.get_multiplexed_async_connection().await.expect("Redis");
                self.connection.borrow_mut().insert(connection).clone()
            }
        }
    }

    async fn get(&self, length: usize) -> HttpResponse {
        let found: Option<Vec<u8>> = self.connection().await.get("bare").await.expect("an answer");
        HttpResponse::Ok().content_type("text/plain").body("x".repeat(length + found.map_or(0, |found| found.len())))
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let port: u16 = arguments[1].parse().expect("a port");
    let url = format!("redis+unix://{}", arguments[2]);
    HttpServer::new(move || {
        let client = redis::Client::open(url.as_str()).expect("a URL");
        App::new()
            .app_data(web::Data::new(Worker { client, connection: RefCell::default() }))
            .route("/livez", web::get().to(async || HttpResponse::Ok().body("ok")))
            .route("/json", web::get().to(async |worker: web::Data<Worker>| worker.get(JSON).await))
            .route("/page", web::get().to(async |worker: web::Data<Worker>| worker.get(PAGE).await))
            .route(
                "/twice",
                web::get().to(async |worker: web::Data<Worker>| {
                    let () = worker.connection().await.set("bare-twice", "x").await.expect("an answer");
                    worker.get(JSON).await
                }),
            )
    })
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
