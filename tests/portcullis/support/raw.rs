//! A client that keeps no rule: bytes out, bytes in.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::browser::Browser;
use super::jar::SetCookie;

/// What came back on one connection.
#[derive(Debug)]
pub struct RawAnswer {
    /// 0 where nothing came back.
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawAnswer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// All values of a header.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn set_cookies(&self) -> Vec<SetCookie> {
        self.header_values("set-cookie").into_iter().map(SetCookie::parse).collect()
    }
}

/// A connection on which a request is sent piece by piece.
pub struct RawConnection(TcpStream);

impl RawConnection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        Self::of(stream)
    }

    /// Takes little of what it doesn't read: the kernel holds back the rest, on the side of the server. The buffer is set
    /// before the connection is made, since the kernel never makes one that was set any larger.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("SO_RCVBUF");
        Self::of(socket.connect(address).await.expect("the server listens"))
    }

    /// On a connection that was made elsewhere.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self(stream)
    }

    /// Whether the server took them.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Whether the server has neither answered nor closed it so far.
    pub fn is_waited_for(&mut self) -> bool {
        self.0.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// What is there first.
    pub async fn read_some(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 16 * 1024];
        let read = timeout(Duration::from_secs(20), self.0.read(&mut buffer)).await.expect("an answer in time");
        buffer.truncate(read.expect("an answer"));
        buffer
    }

    /// Everything until the server closes the connection or says nothing for `limit`.
    pub async fn read_all(&mut self, limit: Duration) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match timeout(limit, self.0.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return (bytes, true),
                Ok(Ok(read)) => bytes.extend_from_slice(&buffer[..read]),
                Err(_) => return (bytes, false),
            }
        }
    }

    /// The one answer of a request that was sent with `Connection: close`.
    pub async fn answer(mut self) -> RawAnswer {
        let (bytes, _) = self.read_all(Duration::from_secs(20)).await;
        RawAnswer::parse(&bytes)
    }
}

/// Sends bytes that hold one request with `Connection: close`.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> RawAnswer {
    let mut connection = RawConnection::open(address).await;
    connection.send(bytes).await;
    connection.answer().await
}

/// `GET path` with exactly these header lines.
pub async fn get(address: SocketAddr, path: &[u8], headers: &[&[u8]]) -> RawAnswer {
    exchange(address, &request(b"GET", path, headers, b"")).await
}

/// A request as bytes; `Host`, `Connection: close` and the body's length are added.
pub fn request(method: &[u8], path: &[u8], headers: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let mut bytes = [method, b" ", path, b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"].concat();
    for header in headers {
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(b"\r\n");
    }
    if method == b"POST" || !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A request whose body arrives slowly: all but the last byte is sent, and the server waits for it. That it does is known
/// by its word that the body may come (RFC 9110, section 10.1.1), which it gives when it takes the request up.
pub struct SlowRequest {
    connection: RawConnection,
    last: u8,
}

const EXPECT: &[u8] = b"Expect: 100-continue";

impl SlowRequest {
    /// Sends all but the last byte of a form of a signed-in browser.
    pub async fn begin(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookie = format!("Cookie: {}", browser.cookie_header());
        let origin = format!("Origin: {}", browser.origin());
        let agent = format!("User-Agent: {}", browser.user_agent);
        let headers: [&[u8]; 6] = [
            cookie.as_bytes(),
            origin.as_bytes(),
            agent.as_bytes(),
            EXPECT,
            b"Sec-Fetch-Site: same-origin",
            b"Content-Type: application/x-www-form-urlencoded",
        ];
        Self::send(browser.address(), &request(b"POST", path.as_bytes(), &headers, body.as_bytes())).await
    }

    /// The same of a program with this access token.
    pub async fn begin_json(address: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Self {
        let bearer = format!("Authorization: Bearer {token}");
        let headers: [&[u8]; 3] = [bearer.as_bytes(), EXPECT, b"Content-Type: application/json"];
        Self::send(address, &request(method.as_bytes(), path.as_bytes(), &headers, body.as_bytes())).await
    }

    async fn send(address: SocketAddr, bytes: &[u8]) -> Self {
        let (last, rest) = bytes.split_last().expect("a body");
        let mut connection = RawConnection::open(address).await;
        assert!(connection.send(rest).await);
        let word = connection.read_some().await;
        assert_eq!(String::from_utf8_lossy(&word), "HTTP/1.1 100 Continue\r\n\r\n");
        Self { connection, last: *last }
    }

    /// Sends the last byte and waits for the answer.
    pub async fn finish(mut self) -> RawAnswer {
        self.connection.send(&[self.last]).await;
        self.connection.answer().await
    }
}
