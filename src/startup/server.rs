//! The HTTP server and what runs beside it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use tokio::task::AbortHandle;

use super::handle::Handle;
use super::listeners::{self, Listener};
use super::{START, StartupFailure, metrics};
use crate::api::document;
use crate::domain::Error;
use crate::http::api_document::ApiDocument;
use crate::http::draining::Draining;
use crate::http::limits::Limits;
use crate::http::request_metrics::Requests;
use crate::http::site::Site;
use crate::http::{cookie_guard, headers, parameters, problem, request_log};
use crate::services::sessions::signing_keys;
use crate::services::{Services, health, maintenance};
use crate::storage::sessions::SessionStore;
use crate::{routes, web as pages};

/// How often SQL learns which sessions were active.
const ACTIVITY_BATCH: Duration = Duration::from_secs(60);
/// How often it is looked whether a signing key is due for rotation.
const KEY_ROTATION: Duration = Duration::from_secs(3600);
/// How often the database is asked what time it is.
const CLOCK: Duration = Duration::from_secs(30);
/// How often what has expired is noted, and what is old forgotten.
const SWEEP: Duration = Duration::from_secs(600);

/// A server that listens, and does not answer before [`Server::run`].
pub struct Server {
    services: Services,
    listeners: Vec<Listener>,
    /// Those of `metrics_listen`.
    metrics_listeners: Vec<Listener>,
    draining: Draining,
    /// What a second call to stop, or the signal, uses.
    stopping: Handle,
}

impl Server {
    /// Takes every place of the settings `listen` and `metrics_listen`.
    pub fn bind(services: Services) -> Result<Self, StartupFailure> {
        let own = &services.settings.listen;
        let of_metrics = services.settings.metrics_listen.as_deref().unwrap_or_default();
        let all = [own, of_metrics].concat();
        let listeners = listeners::bind("listen", own, &all)?;
        let metrics_listeners = listeners::bind("metrics_listen", of_metrics, &all)?;
        Ok(Self { services, listeners, metrics_listeners, draining: Draining::default(), stopping: Default::default() })
    }

    /// The first address that it listens on, with the port that the system chose where the setting says 0. `None` where
    /// it listens on Unix sockets alone.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(|listener| match listener {
            Listener::Tcp { address, .. } => Some(*address),
            Listener::Unix { .. } => None,
        })
    }

    pub fn handle(&self) -> Handle {
        self.stopping.clone()
    }

    /// Answers until [`Handle::stop`], then lets what is under way finish and brings the last activity to SQL.
    pub async fn run(self) -> Result<(), StartupFailure> {
        let Self { services, listeners, metrics_listeners, draining, stopping } = self;
        let failed = |error: io::Error| StartupFailure::general(error.to_string());
        let timeout = services.settings.shutdown_timeout.num_seconds().unsigned_abs();
        prepare_keys(&services).await.map_err(|error| StartupFailure::services(&error))?;
        let limits = Limits::new(&services.settings);
        let background = Background::start(&services, &limits);

        let site = web::Data::new(Site::new(&services));
        let settings = services.settings.clone();
        let document = web::Data::new(ApiDocument::new(move || document::of(&settings, routes::ALL, routes::LIMITED)));
        // Where nobody can ask for it, it isn't counted.
        let requests = (!metrics_listeners.is_empty()).then(|| web::Data::new(Requests::new(routes::ALL)));
        let metrics =
            requests.as_ref().map(|requests| metrics::serve(&services, requests, metrics_listeners, stopping.clone()));
        let metrics = metrics.transpose().map_err(failed)?;
        let (shared, ready) = (services.clone(), draining.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(site.clone())
                .app_data(web::Data::new(shared.clone()))
                .app_data(web::Data::new(ready.clone()))
                .app_data(document.clone())
                .configure(|config| routes::configure(config, &shared, &limits))
                .configure(|config| {
                    if let Some(requests) = &requests {
                        config.app_data(requests.clone());
                    }
                })
                // The last wrap is the outermost: see `crate::http`.
                .wrap(from_fn(parameters::check_target))
                .wrap(from_fn(cookie_guard::guard))
                .wrap(from_fn(pages::error_pages::error_pages))
                .wrap(from_fn(problem::render))
                .wrap(from_fn(headers::add))
                .wrap(from_fn(request_log::log))
        })
        .disable_signals()
        .shutdown_timeout(timeout);
        let given = listeners::hand_over(server, listeners, "listening", HttpServer::listen, HttpServer::listen_uds);
        let (server, files) = given.map_err(failed)?;
        let server = server.run();

        let asked = stopping.clone();
        let stop = wait_for_stop(server.handle(), draining, async move {
            asked.asked().await;
            drop(files);
        });
        let (ended, ()) = futures_util::future::join(stopping.ends_with(server), stop).await;
        // To the last: what is stopped may be watched meanwhile.
        let metrics_ended = match metrics {
            Some(metrics) => metrics.stop().await,
            None => Ok(()),
        };
        background.stop();
        if let Err(error) = maintenance::flush_activity(&services.sessions).await {
            tracing::warn!(%error, "the last activity of sessions was not brought to the database");
        }
        tracing::info!("stopped");
        ended.and(metrics_ended).map_err(failed)
    }
}

/// Keys are published before the first token is asked for. Nobody waits for an answer yet: a busy machine, or another node
/// that is starting too, is no reason to give up as early as a request does.
async fn prepare_keys(services: &Services) -> crate::services::Result<()> {
    let services = Services { database: services.database.clone().with_long_timeout(), ..services.clone() };
    let prepare = async {
        signing_keys::prepare(&services).await?;
        signing_keys::rotate_when_due(&services).await
    };
    tokio::time::timeout(START, prepare).await.unwrap_or_else(|elapsed| Err(Error::database(elapsed)))
}

async fn wait_for_stop(server: ServerHandle, draining: Draining, asked: impl Future<Output = ()>) {
    asked.await;
    tracing::info!("stopping: what is under way may finish");
    draining.set();
    server.stop(true).await;
}

/// Tasks beside the server, ended with it.
struct Background(Vec<AbortHandle>);

impl Background {
    fn start(services: &Services, limits: &Limits) -> Self {
        let mut tasks = Vec::new();
        if let SessionStore::Redis(store) = &services.sessions {
            let (store, watched, told) = (store.clone(), store.clone(), store.clone());
            tasks.push(tokio::spawn(async move { store.follow_feed().await }).abort_handle());
            tasks.push(tokio::spawn(async move { watched.watch().await }).abort_handle());
            tasks.push(tokio::spawn(async move { told.follow_channel().await }).abort_handle());
        }
        let (services_, limits) = (services.clone(), limits.clone());
        tasks.push(every(ACTIVITY_BATCH, "the activity of sessions was not brought to the database", move || {
            limits.retain_recent();
            let services = services_.clone();
            async move { maintenance::flush_activity(&services.sessions).await }
        }));
        let services_ = services.clone();
        tasks.push(every(CLOCK, "the clocks were not compared", move || {
            let services = services_.clone();
            async move {
                health::compare_clocks_again(&services).await;
                Ok(())
            }
        }));
        let services_ = services.clone();
        tasks.push(every(KEY_ROTATION, "the signing keys were not rotated", move || {
            let services = services_.clone();
            async move { signing_keys::rotate_when_due(&services).await }
        }));
        let services = services.clone();
        tasks.push(every(SWEEP, "what is old was not swept", move || {
            let services = services.clone();
            async move { maintenance::sweep(&services).await }
        }));
        Self(tasks)
    }

    fn stop(self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

fn every<F>(interval: Duration, complaint: &'static str, mut work: impl FnMut() -> F + Send + 'static) -> AbortHandle
where
    F: Future<Output = crate::services::Result<()>> + Send,
{
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = work().await {
                tracing::warn!(%error, complaint);
            }
        }
    })
    .abort_handle()
}
