//! The listener of `metrics_listen`: `GET /metrics` and nothing else, for whoever can reach it. Nothing of it is on the
//! listeners of `listen`.

use std::io;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, error, web};

use super::listeners::{self, Listener, SocketFile};
use crate::http::request_metrics::Requests;
use crate::services::Services;
use crate::services::metrics::{Exposition, Metrics};

/// A listener that answers until it is stopped.
pub(super) struct MetricsServer {
    handle: ServerHandle,
    files: Vec<SocketFile>,
}

/// Answers from now on with what these services, and requests to the public listeners, are counted by.
pub(super) fn serve(services: &Services, requests: &Requests, listeners: Vec<Listener>) -> io::Result<MetricsServer> {
    let metrics = web::Data::new(Metrics::new(services.clone(), |registry| requests.register(registry)));
    let server = HttpServer::new(move || {
        App::new().app_data(metrics.clone()).service(web::resource("/metrics").route(web::get().to(show)))
    });
    let server = server.workers(1).disable_signals();
    let what = "listening for /metrics";
    let (server, files) = listeners::hand_over(server, listeners, what, HttpServer::listen, HttpServer::listen_uds)?;
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(MetricsServer { handle, files })
}

impl MetricsServer {
    pub(super) async fn stop(self) {
        drop(self.files);
        self.handle.stop(false).await;
    }
}

/// `GET /metrics`: in OpenMetrics for whoever asks for that, as Prometheus does.
async fn show(request: HttpRequest, metrics: web::Data<Metrics>) -> actix_web::Result<HttpResponse> {
    let accepts =
        |value: &header::HeaderValue| value.to_str().is_ok_and(|text| text.contains("application/openmetrics-text"));
    let exposition = match request.headers().get_all(header::ACCEPT).any(accepts) {
        true => Exposition::OpenMetrics,
        false => Exposition::Prometheus,
    };
    let told = metrics.tell(exposition).await.map_err(error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, exposition.content_type())).body(told))
}
