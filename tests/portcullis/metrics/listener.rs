//! Where `/metrics` is served, and in which format.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use super::{Watched, address_of};
use crate::support::*;

#[tokio::test]
async fn nothing_else_is_served_there_and_nothing_of_it_elsewhere() {
    let server = Watched::start(Sqlite).await;
    let here = address_of(&server.metrics);
    for path in ["/", "/livez", "/login", "/admin", "/api/v1/me", "/metrics/", "/metrics/x"] {
        assert_eq!(raw::get(here, path.as_bytes(), &[]).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = raw::exchange(here, &raw::request(method.as_bytes(), b"/metrics", &[], b"")).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    let told = server.browser().get("/metrics").await.expect(404);
    assert!(!told.body.contains("portcullis_http_requests"), "{}", told.body);
}

#[tokio::test]
async fn a_request_is_counted_once_and_none_to_the_listener_of_the_figures() {
    let server = Watched::start(Sqlite).await;
    let of_livez = "{method=\"GET\",route=\"/livez\"}";
    let figures = async || {
        let now = server.scrape().await;
        let requests = now.series.iter().filter(|(series, _)| series.starts_with("portcullis_http_requests_total"));
        let took = now.value(&format!("http_request_duration_seconds_count{of_livez}"));
        [requests.map(|(_, count)| count).sum(), now.requests("GET", "/livez", "200"), took]
    };
    let before = figures().await;
    assert_eq!(raw::get(server.address, b"/livez", &[]).await.status, 200);
    for path in ["/livez", "/metrics", "/login"] {
        raw::get(address_of(&server.metrics), path.as_bytes(), &[]).await;
    }
    assert_eq!(figures().await, before.map(|count: f64| count + 1.0));
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let server = Watched::start(Sqlite).await;
    let ask = async |accept: &[u8]| {
        let header = [b"Accept: ", accept].concat();
        let answer = raw::get(address_of(&server.metrics), b"/metrics", &[&header]).await;
        (answer.header_values("content-type").join(", "), answer.body)
    };
    for accept in ["*/*", "text/plain;version=0.0.4"] {
        let (content_type, body) = ask(accept.as_bytes()).await;
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        assert!(body.contains("# TYPE portcullis_sign_ins_total counter\n"), "{accept}");
        assert!(!body.contains("# EOF"));
    }
    // As Prometheus asks.
    let (content_type, body) =
        ask(b"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1").await;
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(body.contains("# TYPE portcullis_sign_ins counter\n"), "{body}");
    assert!(body.ends_with("# EOF\n") && body.matches("# EOF").count() == 1);
    let families: Vec<_> = body.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    assert_eq!(families.iter().collect::<BTreeSet<_>>().len(), families.len(), "a family is told twice");
}

#[tokio::test]
async fn the_listener_takes_the_forms_of_listen_and_ends_with_the_server() {
    let program = Program::with_administrator();
    let metrics = Port::reserve();
    let socket = program.folder.join("metrics.sock");
    let listen = format!("localhost:{}, unix:{}", metrics.number(), socket.display());
    let program = program.set("metrics_listen", &listen);
    let mut running = program.serve().await;
    running.line("listening for /metrics").await;
    let asked = |more: &str| program.shell(&format!("curl -s --noproxy '*' {more}/metrics | grep -c ^portcullis_"));
    for more in [
        format!("http://127.0.0.1:{}", metrics.number()),
        format!("--unix-socket '{}' http://localhost", socket.display()),
    ] {
        assert_eq!(asked(&more).code, Some(0), "{more}");
    }
    assert_eq!(running.terminate().code(), Some(0), "{}", running.stderr());
    assert!(!socket.exists());
    assert!(TcpListener::bind(address_of(&metrics)).is_ok());
    assert!(!running.output().contains("panicked"), "{}", running.output());
}

#[tokio::test]
async fn a_place_that_is_taken_is_named_in_one_line_with_the_setting() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let program = Program::with_administrator().set("metrics_listen", &taken);
    program.start().ends_in_one_line(1, &[&taken, "another program has it", "metrics_listen"]);
    let same = Program::new();
    let place = format!("127.0.0.1:{}", same.port);
    let refused = same.set("metrics_listen", &place).run(&["config", "check"]);
    assert!(refused.code == Some(78) && refused.stderr.contains("is the same as listen"), "{refused:?}");
}
