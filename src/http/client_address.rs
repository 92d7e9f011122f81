//! From where a request came: the one function that reads `X-Forwarded-For`.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::PoisonError;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, USER_AGENT, X_FORWARDED_FOR};
use actix_web::{FromRequest, HttpRequest};
use ipnet::IpNet;

use super::site::Site;
use super::{device_cookie, request_id};
use crate::domain::audit::Client;
use crate::domain::device::device_label;

const FORWARDED_FOR: HeaderName = X_FORWARDED_FOR;

/// Who stands for the peer on a Unix socket, which has no address: this host. Only a proxy gets there, by the mode of the
/// socket's file, so that it is trusted whatever `trusted_proxies` says.
const UNIX_SOCKET: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The address of the client, IPv4-mapped ones as IPv4.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    let (site, headers) = (Site::of(request), request.headers());
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    if let Some(peer) = peer.filter(|peer| !is_trusted(*peer, &site.trusted_proxies))
        && headers.contains_key(FORWARDED_FOR)
    {
        *site.unbelieved_proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
    }
    determine(peer, headers, &site.trusted_proxies)
}

/// The same for whoever counts by it. Says once where a proxy on a Unix socket names nobody, so that all its clients are
/// counted as one.
pub fn address_to_count(request: &HttpRequest) -> IpAddr {
    if request.peer_addr().is_none() && !request.headers().contains_key(FORWARDED_FOR) {
        Site::of(request).nameless_clients.call_once(|| {
            tracing::warn!(
                "requests come over the Unix socket without X-Forwarded-For: limits by address take them all for one \
                 client; let the proxy send that header"
            );
        });
    }
    client_address(request)
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The peer (`None`: on a Unix socket), unless it is a trusted proxy that says better.
fn determine(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    match peer {
        Some(stranger) if !is_trusted(stranger, trusted) => stranger,
        _ => forwarded(headers, trusted).or(peer).unwrap_or(UNIX_SOCKET),
    }
}

/// What a trusted proxy says: the rightmost address in `X-Forwarded-For` that isn't one itself. `None`, so that the peer
/// counts after all, where all are proxies or an entry on the way can't be read: what stands further left may be made up.
fn forwarded(headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let lines: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).map(|line| line.as_bytes()).collect();
    let entries = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    for entry in entries {
        match parse(entry) {
            Some(address) if is_trusted(address, trusted) => {}
            found => return found,
        }
    }
    None
}

/// `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5`.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?,
    };
    Some(address.to_canonical())
}

/// Where the request came from, for sessions and the audit log.
pub struct ClientInfo(pub Client);

impl FromRequest for ClientInfo {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
        ready(Ok(Self(Client {
            address: Some(client_address(request)),
            device: Some(device_label(user_agent)),
            request_id: request_id::of(request),
            device_cookie: device_cookie::of(request),
            form: None,
        })))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    /// A peer without an address is on a Unix socket.
    fn determined(peer: &str, lines: &[&[u8]]) -> String {
        let trusted: Vec<IpNet> =
            ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let peer = peer.parse::<IpAddr>().ok().map(|peer| peer.to_canonical());
        determine(peer, &headers, &trusted).to_string()
    }

    #[test]
    fn the_rightmost_untrusted_entry_counts() {
        let cases: [(&[&[u8]], &str); 12] = [
            (&[], "127.0.0.1"),
            (&[b"203.0.113.9"], "203.0.113.9"),
            (&[b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (&[b"1.1.1.1,203.0.113.9 , 10.2.3.4"], "203.0.113.9"),
            (&[b"1.1.1.1", b"203.0.113.9", b"10.2.3.4"], "203.0.113.9"),
            (&[b"203.0.113.9:4711"], "203.0.113.9"),
            (&[b"[2001:db8::9]:4711"], "2001:db8::9"),
            (&[b"[2001:db8::9]"], "2001:db8::9"),
            (&[b"2001:db8::9"], "2001:db8::9"),
            (&[b"::ffff:203.0.113.9"], "203.0.113.9"),
            (&[b"1.1.1.1, ::ffff:10.1.1.1"], "1.1.1.1"),
            (&[b"10.1.1.1, 10.1.1.2"], "127.0.0.1"),
        ];
        for (lines, expected) in cases {
            assert_eq!(determined("127.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(determined("unix", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_unreadable_entry_on_the_way_means_the_peer() {
        let long = vec![b'1'; 4096];
        for bad in [
            &b""[..],
            b"x",
            b"unknown",
            b"fe80::1%eth0",
            b"1.2.3",
            b"1.2.3.4:99999",
            b"\"1.2.3.4\"",
            b"1.2.3.4 5.6.7.8",
            b"\xff",
            b"[1.2.3.4]",
            &long,
        ] {
            let line = [b"203.0.113.9, ", bad].concat();
            assert_eq!(determined("127.0.0.1", &[&line]), "127.0.0.1", "{}", String::from_utf8_lossy(bad));
            let hidden = [bad, b", 203.0.113.9"].concat();
            assert_eq!(determined("127.0.0.1", &[&hidden]), "203.0.113.9", "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(determined("198.51.100.7", &[b"203.0.113.9"]), "198.51.100.7");
        assert_eq!(determined("2001:db8::7", &[b"203.0.113.9"]), "2001:db8::7");
        assert_eq!(determined("::ffff:198.51.100.7", &[b"203.0.113.9"]), "198.51.100.7");
        assert_eq!(determined("::ffff:127.0.0.1", &[b"203.0.113.9"]), "203.0.113.9");
        assert_eq!(determined("::1", &[b"203.0.113.9"]), "203.0.113.9");
    }
}
