//! `portcullis serve`.

use tokio::signal::unix::{SignalKind, signal};

use super::{Handle, Server, StartupFailure, services};
use crate::domain::Clock;
use crate::domain::link::OneTimeLink;
use crate::services::accounts::{links, setup};
use crate::settings::Loaded;
use crate::telemetry;

/// Serves until SIGTERM or SIGINT. Where no administrator exists it makes the one of the bootstrap settings, or prints
/// the link that makes one.
pub async fn serve(loaded: Loaded, clock: Clock, log: &telemetry::Guard) -> Result<(), StartupFailure> {
    for variable in &loaded.empty {
        tracing::warn!(%variable, "is empty, and so taken as not given");
    }
    let services = services(loaded, clock).await?;
    let server = Server::bind(services.clone())?;
    let bootstrapped = setup::bootstrap(&services).await.map_err(|error| StartupFailure::bootstrap(&error))?;
    if let Some(admin) = bootstrapped {
        tracing::info!(username = %admin.username, "created the administrator of the bootstrap settings");
    }
    let administrator =
        setup::administrator_exists(&services.database).await.map_err(|error| StartupFailure::services(&error))?;
    if !administrator {
        let link = links::issue_setup(&services).await.map_err(|error| StartupFailure::services(&error))?;
        if !log.tell(first_run(&link)) {
            tracing::warn!("the link that makes the first administrator was not shown: run portcullis setup-link");
        }
    }
    stop_on_signal(server.handle())?;
    server.run().await
}

/// The box that a newcomer reads. The link stays on one line, whatever its length, so that a click opens it.
fn first_run(link: &OneTimeLink) -> String {
    let lines = [
        "Portcullis has no administrator yet. Create the first one here:".to_owned(),
        String::new(),
        format!("  {}", link.url),
        String::new(),
        format!("The link works once, until {}.", link.expires_at.format("%H:%M UTC")),
        "For a new one run: portcullis setup-link".to_owned(),
    ];
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width + 2);
    let mut text = format!("┌{rule}┐\n");
    for line in lines {
        text.push_str(&format!("│ {line:width$} │\n"));
    }
    text + &format!("└{rule}┘\n")
}

/// The first signal lets what is under way finish; the server then ends by itself.
fn stop_on_signal(server: Handle) -> Result<(), StartupFailure> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(|error| StartupFailure::general(error.to_string()))?;
        let server = server.clone();
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                server.stop();
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_unbroken_on_one_line_of_the_box() {
        let url = format!("https://a-rather-long-host-name.example.org:8443/setup/{}", "x".repeat(43));
        let text = first_run(&OneTimeLink { url: url.clone(), expires_at: Clock::default().now() });
        assert!(text.lines().any(|line| line.contains(&url)), "{text}");
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
}
