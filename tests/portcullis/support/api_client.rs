//! A program that speaks JSON: holds tokens, keeps no cookies, follows nothing by itself.

use std::net::SocketAddr;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::page::Page;
use super::spawn::TestServer;
use super::{KEEP_ALIVE, PASSWORD};

/// A program with the tokens of one session, or without any. A clone is another worker with the same tokens.
#[derive(Clone)]
pub struct ApiClient {
    client: reqwest::Client,
    address: SocketAddr,
    /// Sent as `Authorization: Bearer …`.
    pub access_token: Option<String>,
    pub refresh_token: Option<String>,
    pub session_id: String,
}

impl ApiClient {
    /// Nobody yet.
    pub fn new(server: &TestServer) -> Self {
        Self::to(server.address)
    }

    /// Nobody yet, who asks whatever listens there.
    pub fn to(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(std::time::Duration::from_secs(30))
            // A connection that the server closes while a request is on its way would be no answer.
            .pool_idle_timeout(KEEP_ALIVE / 2)
            .build()
            .expect("an HTTP client");
        Self { client, address, access_token: None, refresh_token: None, session_id: String::new() }
    }

    /// The same program as a load balancer would send it to another node.
    pub fn at(mut self, node: &TestServer) -> Self {
        self.address = node.address;
        self
    }

    // --- requests ------------------------------------------------------------------------------------------------

    /// Any request; the access token is added where the headers have no `authorization` of their own.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Page {
        let answer = self.try_send(method, path, headers, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: no answer: {error:?}"))
    }

    /// The same of a server that may be gone before the answer has come as a whole.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> reqwest::Result<Page> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"));
        }
        if let (Some(token), false) = (&self.access_token, map.contains_key("authorization")) {
            map.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).expect("a token"));
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("http://{}{path}", self.address)).headers(map);
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = String::from_utf8(answer.bytes().await?.to_vec()).expect("UTF-8");
        Ok(Page { path: path.to_owned(), status, headers, body })
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send("GET", path, &[], None).await
    }

    pub async fn delete(&self, path: &str) -> Page {
        self.send("DELETE", path, &[], None).await
    }

    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Page {
        self.json_with(method, path, body, &[]).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Page {
        self.json("POST", path, body).await
    }

    pub async fn json_with(&self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Page {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(method, path, &all, Some(body.to_string().into_bytes())).await
    }

    /// A form, as `/oauth` takes it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &headers, Some(body.into_bytes())).await
    }

    // --- what a program does -------------------------------------------------------------------------------------

    /// Signs in with [`PASSWORD`] and keeps the tokens.
    pub async fn sign_in(&mut self, name: &str) {
        let answer = self.post("/api/v1/auth/login", &json!({ "username": name, "password": PASSWORD })).await;
        self.keep(&answer.expect(200));
    }

    /// Uses the refresh token; keeps the new tokens where there are any.
    pub async fn refresh(&mut self) -> Page {
        let answer = self.post("/api/v1/auth/refresh", &json!({ "refresh_token": self.refresh_token })).await;
        if answer.status == 200 {
            self.keep(&answer);
        }
        answer
    }

    /// Keeps the tokens of a token body.
    pub fn keep(&mut self, answer: &Page) {
        let body = answer.json();
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        self.access_token = text("access_token");
        self.refresh_token = text("refresh_token");
        self.session_id = text("session_id").expect("a session");
    }

    /// Whether the access token is good now.
    pub async fn is_signed_in(&self) -> bool {
        let answer = self.get("/api/v1/me").await;
        assert!(matches!(answer.status, 200 | 401), "{}: {}", answer.status, answer.body);
        answer.status == 200
    }

    /// That neither the access token nor the refresh token is good any more.
    pub async fn expect_dead(&mut self) {
        let answer = self.get("/api/v1/me").await.expect(401);
        assert_eq!(answer.json()["code"], "invalid_token");
        let answer = self.refresh().await.expect(401);
        assert_eq!(answer.json()["code"], "invalid_refresh_token");
    }
}
