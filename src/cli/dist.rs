//! `portcullis dist`: files for other programs that run beside the server, each as one file on stdout, filled from the
//! settings.

use clap::Subcommand;

use crate::settings::{Listen, Settings};

#[derive(Subcommand)]
pub enum Command {
    /// Alert rules for Prometheus, with what its own settings need to find this server.
    Prometheus,
    /// A dashboard for Grafana, to be imported.
    Grafana,
}

const RULES: &str = include_str!("dist/prometheus.yml");
const DASHBOARD: &str = include_str!("dist/grafana.json");
/// Where examples have it: nobody else's by custom.
const USUAL: &str = "127.0.0.1:9464";

pub fn run(command: &Command, settings: &Settings) -> String {
    match command {
        Command::Prometheus => format!("{}{RULES}", head(settings.metrics_listen.as_deref())),
        Command::Grafana => DASHBOARD.to_owned(),
    }
}

/// What the rules stand on, as comments.
fn head(listen: Option<&[Listen]>) -> String {
    // Prometheus asks over TCP alone; behind a Unix socket is somebody who does not say where.
    let places = listen.unwrap_or_default().iter().filter(|place| !matches!(place, Listen::Unix(_)));
    let targets: Vec<_> = places.map(target).collect();
    let (targets, unset) = match (targets.is_empty(), listen) {
        (false, _) => (targets.join(", "), ""),
        (true, None) => (format!("\"{USUAL}\""), "# metrics_listen is unset: nothing listens there yet.\n"),
        (true, Some(_)) => (format!("\"{USUAL}\""), "# metrics_listen is a Unix socket: let a proxy listen there.\n"),
    };
    format!(
        "# Alert rules of Portcullis {} for Prometheus, by `portcullis dist prometheus`. In prometheus.yml:\n\
         #\n\
         #   rule_files: [portcullis.rules.yml]\n\
         #   scrape_configs:\n\
         #     - job_name: portcullis\n\
         #       static_configs:\n\
         #         - targets: [{targets}]\n\
         #\n\
         {unset}",
        env!("CARGO_PKG_VERSION")
    )
}

/// As Prometheus writes it. Who listens on all addresses is asked by the name of the host, which only its operator knows.
fn target(place: &Listen) -> String {
    match place {
        Listen::Every(port) => format!("\"localhost:{port}\""),
        Listen::Address(address) if address.ip().is_unspecified() => format!("\"localhost:{}\"", address.port()),
        place => format!("\"{place}\""),
    }
}
