//! Where the server listens: every form of the setting, several at once, and Unix sockets behind a proxy.

use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::nginx::Nginx;
use crate::support::program::{CommandOutput, mode};
use crate::support::*;

/// Whether `/livez` answers at this place.
fn answers(program: &Program, place: &str) -> bool {
    let socket = place.strip_prefix("unix:").map(|path| format!("--unix-socket '{path}'")).unwrap_or_default();
    let host = if socket.is_empty() { place } else { "localhost" };
    program.shell(&format!("curl -s --noproxy '*' --max-time 20 {socket} http://{host}/livez")).stdout.contains("ok")
}

/// Whether this host has the loopback address of IPv6.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn socket_of(program: &Program) -> PathBuf {
    program.folder.join("http.sock")
}

/// A program that listens on a Unix socket of its folder alone.
fn on_socket() -> Program {
    let program = Program::with_administrator();
    let listen = format!("unix:{}", socket_of(&program).display());
    program.set("listen", &listen)
}

async fn serves_on_socket(program: &Program) -> program::Running {
    let running = program.start();
    running.line("listening").await;
    assert!(answers(program, &format!("unix:{}", socket_of(program).display())), "{}", running.stderr());
    running
}

#[tokio::test]
async fn localhost_and_a_bare_port_are_both_families_and_the_log_names_each_address() {
    let v6 = has_ipv6();
    for (host, addresses) in [("localhost", ["127.0.0.1", "[::1]"]), ("", ["0.0.0.0", "[::]"])] {
        let program = Program::with_administrator();
        let port = program.port;
        let program = program.set("listen", &format!("{host}:{port}"));
        let running = program.serve().await;
        assert!(answers(&program, &format!("127.0.0.1:{port}")));
        assert_eq!(answers(&program, &format!("[::1]:{port}")), v6);
        let healthy = program.run(&["healthcheck"]);
        assert_eq!((healthy.code, &*healthy.stdout), (Some(0), "ready\n"), "{healthy:?}");
        let log = running.stderr();
        for (address, there) in addresses.iter().zip([true, v6]) {
            assert_eq!(log.contains(&format!("\"{address}:{port}\"")), there, "{log}");
        }
        // Nothing but this host is reached by the name of this host.
        let elsewhere = program.shell("hostname -I | tr ' ' '\\n' | grep -v : | grep -v '^127' | head -n 1");
        if let Some(address) = elsewhere.stdout.split_whitespace().next() {
            assert_eq!(answers(&program, &format!("{address}:{port}")), host.is_empty(), "{address}");
        }
    }
}

#[tokio::test]
async fn all_of_several_places_answer_and_the_health_is_asked_at_the_first_that_does() {
    let program = Program::with_administrator();
    let other = Port::reserve();
    let (first, second) = (program.port, other.number());
    let socket = socket_of(&program);
    let listen = format!("127.0.0.1:{first}, unix:{}, 127.0.0.1:{second}", socket.display());
    let program = program.set("listen", &listen);
    let mut running = program.serve().await;
    for place in [format!("127.0.0.1:{first}"), format!("unix:{}", socket.display()), format!("127.0.0.1:{second}")] {
        assert!(answers(&program, &place), "{place}");
        let alone = program.run(&["healthcheck", "--listen", &place]);
        assert_eq!((alone.code, &*alone.stdout), (Some(0), "ready\n"), "{place}: {alone:?}");
    }
    let half = program.run(&["healthcheck", "--listen", &format!("unix:{}.not,localhost:{first}", socket.display())]);
    assert_eq!(half.code, Some(0), "{half:?}");
    let shown = program.run(&["config", "show"]);
    assert!(shown.stdout.contains(&listen), "{shown:?}");
    assert_eq!(running.terminate().code(), Some(0));
    assert!(!socket.exists());
    let none = program.run(&["healthcheck"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    for place in [first.to_string(), second.to_string(), socket.display().to_string()] {
        assert!(none.stderr.contains(&place), "{none:?}");
    }
}

#[tokio::test]
async fn of_several_places_the_one_that_is_taken_is_named_in_one_line() {
    let program = Program::with_administrator();
    let other = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = other.local_addr().unwrap().port();
    let socket = socket_of(&program);
    let free = Port::reserve();
    for place in [format!("127.0.0.1:{taken}"), format!("localhost:{taken}"), format!(":{taken}")] {
        let listen = format!("unix:{},127.0.0.1:{},{place}", socket.display(), free.number());
        let program = Program::with_administrator().set("listen", &listen);
        program.start().ends_in_one_line(1, &[&taken.to_string(), &place, "another program has it"]);
        assert!(!socket.exists(), "what was taken before is given back");
    }
}

#[tokio::test]
async fn a_unix_socket_is_for_owner_and_group_and_gone_at_the_end() {
    use std::os::unix::process::CommandExt as _;
    let program = on_socket();
    let socket = socket_of(&program);
    let mut running = serves_on_socket(&program).await;
    assert_eq!(mode(&socket), 0o660);
    assert_eq!(running.terminate().code(), Some(0));
    assert!(!socket.exists());

    // Whatever the umask; and somebody else's file in its place is not removed.
    let open = program.shell(
        "umask 000; portcullis 2> log & pid=$!
         for try in {1..300}; do grep -q listening log && break; sleep 0.1; done
         stat -c %a http.sock; rm http.sock; echo mine > http.sock; kill $pid; wait $pid; echo $?; cat http.sock",
    );
    assert_eq!(open.stdout, "660\n0\nmine\n", "{open:?}");

    // Who is in neither may not connect.
    std::fs::remove_file(&socket).unwrap();
    let _running = serves_on_socket(&program).await;
    let stranger = Command::new("curl")
        .args(["-s", "--unix-socket"])
        .arg(&socket)
        .arg("http://localhost/livez")
        .uid(65534)
        .gid(65534)
        .status();
    assert!(!stranger.unwrap().success());
}

#[tokio::test]
async fn a_socket_that_a_killed_server_left_is_replaced_and_a_live_one_is_refused() {
    let program = on_socket();
    let socket = socket_of(&program);
    for _ in 0..3 {
        let mut running = serves_on_socket(&program).await;
        program.start().ends_in_one_line(1, &[&socket.display().to_string(), "another program has it"]);
        let place = format!("unix:{}", socket.display());
        assert!(answers(&program, &place), "the one that was there goes on");
        running.kill9();
        assert!(socket.exists());
    }
    // A socket of another program, whether it answers or not, is its own.
    std::fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    program.start().ends_in_one_line(1, &["another program has it"]);
}

#[tokio::test]
async fn of_servers_that_start_at_once_on_an_abandoned_socket_one_listens() {
    let program = on_socket();
    let socket = socket_of(&program);
    drop(UnixListener::bind(&socket).unwrap());
    let mut all: Vec<_> = (0..4).map(|_| program.start()).collect();
    let mut refused = 0;
    eventually("all but one are refused", Duration::from_secs(60), async || {
        all.retain_mut(|running| {
            let is_refused = running.stderr().contains("another program has it");
            if is_refused {
                running.ends_in_one_line(1, &[&socket.display().to_string()]);
                refused += 1;
            }
            !is_refused
        });
        refused == 3
    })
    .await;
    all[0].line("listening").await;
    assert!(answers(&program, &format!("unix:{}", socket.display())));
}

#[tokio::test]
async fn what_is_no_socket_is_never_removed_and_a_path_that_cannot_be_is_named() {
    let program = on_socket();
    let socket = socket_of(&program);
    let left_alone = |what: &str| {
        program.start().ends_in_one_line(1, &[&socket.display().to_string(), "no socket"]);
        assert!(std::fs::symlink_metadata(&socket).is_ok(), "{what} is gone");
    };
    program.file("http.sock", "precious");
    left_alone("a file");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    std::fs::remove_file(&socket).unwrap();
    std::fs::create_dir(&socket).unwrap();
    left_alone("a folder");
    std::fs::remove_dir(&socket).unwrap();
    let real = program.folder.join("real.sock");
    drop(UnixListener::bind(&real).unwrap());
    symlink(&real, &socket).unwrap();
    left_alone("a link");
    assert!(std::fs::symlink_metadata(&real).unwrap().file_type().is_socket());
    std::fs::remove_file(&socket).unwrap();
    symlink("/nowhere", &socket).unwrap();
    left_alone("a link to nothing");

    let elsewhere = |path: &str| program.run(&["serve", "--listen", &format!("unix:{path}")]);
    let told = |outcome: &CommandOutput, code: i32, part: &str| {
        assert!(outcome.code == Some(code) && outcome.stderr.contains(part), "{outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    };
    told(&elsewhere("/nowhere/http.sock"), 1, "unix:/nowhere/http.sock");
    told(&elsewhere("/proc/http.sock"), 1, "unix:/proc/http.sock");
    told(&elsewhere("http.sock"), 78, "whole path");
    told(&elsewhere(&format!("/tmp/{}", "x".repeat(104))), 78, "109 bytes");
}

/// The addresses of the newest events of the log, as many as there are failed sign-ins.
fn audited(program: &Program) -> Vec<String> {
    let exported = program.run(&["audit", "export", "--event", "sign_in.failed"]);
    let events = exported.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.map(|event| event["address"].as_str().unwrap_or("none").to_owned()).collect()
}

#[tokio::test]
async fn behind_nginx_on_the_socket_clients_are_told_apart_limited_and_written_down() {
    // Loopback is no proxy here, so that addresses of it are clients: on the socket the proxy is believed all the same.
    let program = on_socket().set("trusted_proxies", "192.0.2.0/24").set("login_rate", "3/1h");
    let running = serves_on_socket(&program).await;
    let socket = format!("unix:{}", socket_of(&program).display());
    let nginx = Nginx::before(&[&socket], &program.folder).await;
    let attempt = |from: &str, claimed: &str| {
        let outcome = program.shell(&format!(
            "curl -s -o /dev/null -w '%{{http_code}}' --interface {from} -H 'X-Forwarded-For: {claimed}' \
             -H 'Sec-Fetch-Site: same-origin' -d 'username=keeper&password=wrong' http://127.0.0.1:{}/login",
            nginx.port()
        ));
        outcome.stdout.trim().to_owned()
    };
    // What the client claims stands left of what the proxy saw.
    for claimed in ["198.51.100.1", "198.51.100.2", "198.51.100.3, 198.51.100.4"] {
        assert_eq!(attempt("127.0.0.77", claimed), "401");
    }
    assert_eq!(attempt("127.0.0.77", "198.51.100.5"), "429");
    assert_eq!(attempt("127.0.0.78", "198.51.100.1"), "401");
    assert_eq!(audited(&program), ["127.0.0.78", "127.0.0.77", "127.0.0.77", "127.0.0.77"]);
    assert!(!running.stderr().contains("X-Forwarded-For"), "{}", running.stderr());
}

#[tokio::test]
async fn a_proxy_on_the_socket_that_names_nobody_is_one_client_and_the_log_says_so_once() {
    let program = on_socket().set("login_rate", "3/1h");
    let running = serves_on_socket(&program).await;
    assert_eq!(program.run(&["healthcheck"]).code, Some(0));
    assert!(!running.stderr().contains("X-Forwarded-For"), "what counts nobody needs no name: {}", running.stderr());
    let attempts = program.shell(
        "for number in 1 2 3 4; do
           curl -s -o /dev/null -w '%{http_code} ' --unix-socket http.sock -H 'Sec-Fetch-Site: same-origin' \
             -d 'username=keeper&password=wrong' http://localhost/login
         done",
    );
    assert_eq!(attempts.stdout.trim(), "401 401 401 429");
    assert_eq!(audited(&program), ["127.0.0.1"; 3]);
    running.line("without X-Forwarded-For").await;
    assert_eq!(running.stderr().matches("without X-Forwarded-For").count(), 1, "{}", running.stderr());
}
