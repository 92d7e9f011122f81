//! Pages that somebody was shown, hung up for a real browser: each with its headers, as often as it likes, and as no
//! error, which the console of the browser would tell of.

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use portcullis::web::assets;

use super::page::Page;

/// A page and when it is shown.
pub struct Picture {
    pub title: String,
    pub page: Page,
}

/// A site with the pictures at `/0`, `/1` and so on, and our static files.
pub struct Gallery {
    pub origin: String,
    handle: ServerHandle,
}

impl Gallery {
    pub fn open(pictures: Arc<Vec<Picture>>) -> Self {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(pictures.clone()))
                .route("/static/{file}", web::get().to(assets::serve))
                .route("/{number}", web::get().to(show))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("a free port");
        let origin = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { origin, handle }
    }

    pub async fn close(self) {
        self.handle.stop(false).await;
    }
}

async fn show(pictures: web::Data<Vec<Picture>>, number: web::Path<usize>) -> HttpResponse {
    let Some(Picture { page, .. }) = pictures.get(*number) else { return HttpResponse::NotFound().finish() };
    let mut response = HttpResponse::Ok();
    for (name, value) in &page.headers {
        // Those of the connection it came on are not the page's.
        if !matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection" | "set-cookie" | "date") {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    response.body(page.body.clone())
}
