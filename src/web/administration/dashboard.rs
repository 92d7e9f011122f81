//! `/admin`: whether something is wrong, in one look.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::SecondsFormat;

use super::chart::Chart;
use crate::domain::signing_key::KeyState;
use crate::domain::{Event, Timestamp};
use crate::http::current_user::CurrentUser;
use crate::http::site::Site;
use crate::services::Services;
use crate::services::administration::stats::{self, FailingAddress, Stats, last_day_began};
use crate::services::health::{self, Health};
use crate::services::sessions::signing_keys;
use crate::settings::PublicUrl;
use crate::web::Answer;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::url;
use crate::web::number::number;
use crate::web::sessions::counts::format_figure;
use crate::web::time_tag::{TimeTag, deadline, full};

/// A store that takes longer makes every page slow.
const SLOW: Duration = Duration::from_millis(100);

#[derive(Template)]
#[template(path = "administration/dashboard.html")]
struct DashboardPage {
    layout: AdminLayout,
    now: TimeTag,
    attention: Vec<Attention>,
    figures: Figures,
    charts: [Chart; 2],
    failing: Vec<FailingRow>,
    /// From elsewhere, as a number to read.
    failing_elsewhere: Option<String>,
    /// All refused sign-ins.
    failures_url: String,
    node: Node,
}

/// From where sign-ins fail.
struct FailingRow {
    address: String,
    failures: String,
    /// Those events; the log can't be asked for a network.
    events: Option<String>,
}

/// Something that a person should look into.
struct Attention {
    text: String,
    /// Where there is more about it, and what to call that.
    link: Option<(String, &'static str)>,
}

struct Figures {
    users: String,
    new_users: String,
    sessions: String,
    browser: String,
    api: String,
    sign_ins: String,
    failures: String,
    failure_rate: String,
    locked: String,
    reuse_alarms: String,
    /// Where those events are.
    reuse_url: String,
}

/// The node that answers.
struct Node {
    /// The database and, where there is one, Redis.
    stores: Vec<StoreRow>,
    /// Where the database may be on another host.
    clock: Option<ClockRow>,
    /// Since when the present key signs.
    key: Option<TimeTag>,
}

struct ClockRow {
    is_right: bool,
    /// How far it is from the database's.
    difference: String,
}

struct StoreRow {
    name: &'static str,
    is_slow: bool,
    /// How long it takes to do what requests need, or what fails.
    tried: Result<String, String>,
}

/// `GET /admin`.
pub async fn show(request: HttpRequest, services: web::Data<Services>, current: CurrentUser) -> Answer {
    let reader = account_of(&services, &current).await?;
    let auth = current.auth_context(&reader);
    let now = services.clock.now();
    let since = last_day_began(now);
    let stats = stats::all(&services, &auth).await?;
    let failing = stats::failing_addresses(&services, &auth).await?;
    let redis = health::redis(&services.sessions).await;
    let database = health::database(&services).await;
    let key = signing_keys::list(&services.database).await?.into_iter().find(|key| key.state == KeyState::Active);
    let unbelieved = *Site::of(&request).unbelieved_proxy.lock().unwrap_or_else(PoisonError::into_inner);
    let template = DashboardPage {
        now: full(now),
        attention: attention(&stats, since, &database, redis.as_ref(), &services.settings.public_url, unbelieved),
        figures: figures(&stats, since),
        charts: charts(&stats),
        failing_elsewhere: failing_elsewhere(&stats, &failing),
        failing: failing.into_iter().map(|failing| failing_row(failing, since)).collect(),
        failures_url: events_url(Event::SignInFailed, "", since),
        node: node(&database, redis.as_ref(), key.map(|key| key.active_from.unwrap_or(key.created_at)), now),
        layout: AdminLayout::new(&reader, &current, &request, "/admin", FormErrors::none()),
    };
    page(StatusCode::OK, &template)
}

fn figures(stats: &Stats, since: Timestamp) -> Figures {
    let day = stats.last_day();
    let tried = (day.sign_ins + day.failures).max(1);
    let count = |count: i64| number(count.unsigned_abs());
    Figures {
        users: count(stats.users),
        new_users: count(stats.new_users),
        sessions: format_figure(stats.sessions.total()),
        browser: format_figure(stats.sessions.browser),
        api: format_figure(stats.sessions.api),
        sign_ins: count(day.sign_ins),
        failures: count(day.failures),
        failure_rate: format!("{:.1} %", day.failures as f64 * 100.0 / tried as f64),
        locked: count(stats.locked),
        reuse_alarms: count(day.reuse_alarms),
        reuse_url: events_url(Event::TokenReuseDetected, "", since),
    }
}

fn charts(stats: &Stats) -> [Chart; 2] {
    let hour = |start: Timestamp| start.format("%H:%M").to_string();
    let day = |start: Timestamp| start.format("%-d %b").to_string();
    [
        Chart::new("by-hour", "Last 24 hours", "Hour", &stats.by_hour, hour),
        Chart::new("by-day", "Last 30 days", "Day", &stats.by_day, day),
    ]
}

fn failing_row(FailingAddress { address, failures }: FailingAddress, since: Timestamp) -> FailingRow {
    let events = address.parse::<IpAddr>().is_ok().then(|| events_url(Event::SignInFailed, &address, since));
    FailingRow { address, failures: number(failures.unsigned_abs()), events }
}

fn failing_elsewhere(stats: &Stats, told: &[FailingAddress]) -> Option<String> {
    let elsewhere = stats.last_day().failures - told.iter().map(|told| told.failures).sum::<i64>();
    (elsewhere > 0).then(|| number(elsewhere.unsigned_abs()))
}

/// The events of that name since then; with an address, those from there.
fn events_url(event: Event, address: &str, since: Timestamp) -> String {
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    url("/admin/audit", &[("event", event.as_str()), ("address", address), ("since", &since)])
}

fn node(database: &Health, redis: Option<&Health>, key: Option<Timestamp>, now: Timestamp) -> Node {
    let stores = [Some(("Database", database)), redis.map(|health| ("Redis", health))];
    Node {
        stores: stores.into_iter().flatten().map(|(name, health)| store_row(name, health)).collect(),
        clock: database.clock_ahead_seconds().map(|ahead| clock_row(ahead, database.warning.is_none())),
        key: key.map(|since| deadline(since, now)),
    }
}

fn clock_row(ahead: f64, is_right: bool) -> ClockRow {
    let difference = match ahead {
        none if none.abs() < 0.1 => "that of the database".to_owned(),
        behind if behind < 0.0 => format!("{:.1} s behind the database", -behind),
        ahead => format!("{ahead:.1} s ahead of the database"),
    };
    ClockRow { is_right, difference }
}

fn store_row(name: &'static str, health: &Health) -> StoreRow {
    StoreRow {
        name,
        is_slow: health.tried.as_ref().is_ok_and(|latency| *latency > SLOW),
        tried: match &health.tried {
            Ok(latency) => Ok(millis(*latency)),
            Err(fault) => Err(format!("fails to {}: {}", fault.failed, fault.code)),
        },
    }
}

fn millis(latency: Duration) -> String {
    match latency.as_millis() {
        0 => "less than 1 ms".to_owned(),
        millis => format!("{millis} ms"),
    }
}

fn attention(
    stats: &Stats,
    since: Timestamp,
    database: &Health,
    redis: Option<&Health>,
    public_url: &PublicUrl,
    unbelieved: Option<IpAddr>,
) -> Vec<Attention> {
    let mut attention = Vec::new();
    let mut say = |text: String, link| attention.push(Attention { text, link });
    match stats.last_day().reuse_alarms {
        0 => {}
        1 => say(
            "A refresh token was used twice in the last 24 hours: somebody may have a copy. Its session was ended."
                .to_owned(),
            Some((events_url(Event::TokenReuseDetected, "", since), "See the event")),
        ),
        count => say(
            format!(
                "{} refresh tokens were used twice in the last 24 hours: somebody may have copies. Their sessions were \
                 ended.",
                number(count.unsigned_abs())
            ),
            Some((events_url(Event::TokenReuseDetected, "", since), "See the events")),
        ),
    }
    if !public_url.is_https() && !is_local(public_url.host()) {
        let url = public_url.as_str();
        say(
            format!(
                "{url} is not https: whoever is on the way can read passwords. Set public_url to an https address."
            ),
            None,
        );
    }
    for (store, health) in
        [Some(("the database", database)), redis.map(|health| ("Redis", health))].into_iter().flatten()
    {
        match &health.tried {
            Ok(latency) if *latency > SLOW => say(format!("This node waits {} for {store}.", millis(*latency)), None),
            Ok(_) => {}
            Err(fault) => {
                let (failed, code, advice) = (fault.failed, &fault.code, &fault.advice);
                say(format!("This node fails to {failed} with {store} ({code}): {advice}."), None);
            }
        }
    }
    if let Some(warning) = &database.warning {
        say(format!("Two clocks differ: {warning}."), None);
    }
    if let Some(warning) = redis.and_then(|health| health.warning.as_ref()) {
        say(format!("Redis may forget what it must keep: {warning}."), None);
    }
    if let Some(address) = unbelieved {
        say(
            format!(
                "{address} sends X-Forwarded-For and is not believed. If it is your proxy, add it to trusted_proxies: \
                 until then everyone behind it seems to come from there."
            ),
            None,
        );
    }
    attention
}

/// Whether what is sent there stays on this machine; `host` may have a port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for host in ["localhost:8080", "localhost", "127.0.0.1:1", "[::1]:8080", "[::1]", "a.localhost"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["auth.example.org", "10.0.0.1:80", "localhost.example.org", "[2001:db8::1]"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
