//! The listener of `metrics_listen`: `GET /metrics` and nothing else, for whoever can reach it. Nothing of it is on the
//! listeners of `listen`.

use std::io;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, error, web};
use tokio::task::JoinHandle;

use super::handle::Handle;
use super::listeners::{self, Listener, SocketFile};
use crate::http::request_metrics::Requests;
use crate::services::Services;
use crate::services::metrics::{Exposition, Metrics};

/// A listener that answers until it is stopped.
pub(super) struct MetricsServer {
    handle: ServerHandle,
    files: Vec<SocketFile>,
    ended: JoinHandle<io::Result<()>>,
}

/// Answers from now on with what these services, and requests to the public listeners, are counted by. Where it ends by
/// itself, the whole server is asked to stop by `all`: a node that nobody can watch is one that has failed.
pub(super) fn serve(
    services: &Services,
    requests: &Requests,
    listeners: Vec<Listener>,
    all: Handle,
) -> io::Result<MetricsServer> {
    let metrics = web::Data::new(Metrics::new(services.clone(), |registry| requests.register(registry)));
    let server = HttpServer::new(move || {
        App::new().app_data(metrics.clone()).service(web::resource("/metrics").route(web::get().to(show)))
    });
    let server = server.workers(1).disable_signals();
    let what = "listening for /metrics";
    let (server, files) = listeners::hand_over(server, listeners, what, HttpServer::listen, HttpServer::listen_uds)?;
    let server = server.run();
    let handle = server.handle();
    let ended = tokio::spawn(all.ends_with(server));
    Ok(MetricsServer { handle, files, ended })
}

impl MetricsServer {
    /// # Errors
    /// What it had ended with before.
    pub(super) async fn stop(self) -> io::Result<()> {
        drop(self.files);
        self.handle.stop(false).await;
        self.ended.await.map_err(io::Error::other)?
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
