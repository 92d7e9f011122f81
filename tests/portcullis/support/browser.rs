//! A person with a browser, over plain HTTP: follows nothing by itself, so that a test sees every answer.

use std::net::SocketAddr;

use portcullis::domain::Clock;
use reqwest::Method;
use reqwest::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};

use super::jar::Jar;
use super::page::{Form, Page};
use super::spawn::TestServer;
use super::{KEEP_ALIVE, NEW_PASSWORD, PASSWORD};

/// A cookie jar and the habits of a browser. A clone is another tab with a copy of the cookies.
#[derive(Clone)]
pub struct Browser {
    client: reqwest::Client,
    address: SocketAddr,
    /// What the browser believes to be talking to: `public_url`.
    origin: String,
    clock: Clock,
    pub jar: Jar,
    pub user_agent: String,
    session_cookie: &'static str,
}

/// A session as `/account/sessions` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    pub id: String,
    pub device: String,
}

impl Browser {
    /// Somebody new who looks at the site at `origin`, which listens on `address`.
    pub fn new(address: SocketAddr, origin: &str, clock: &Clock) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(std::time::Duration::from_secs(30))
            // A connection that the server closes while a request is on its way would be no answer.
            .pool_idle_timeout(KEEP_ALIVE / 2)
            .build()
            .expect("an HTTP client");
        Self {
            client,
            address,
            origin: origin.to_owned(),
            clock: clock.clone(),
            jar: Jar::default(),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            session_cookie: session_cookie(origin),
        }
    }

    /// The same browser as a load balancer would send it to another node.
    pub fn at(mut self, node: &TestServer) -> Self {
        self.go_to(node);
        self
    }

    /// From now on the load balancer sends it to `node`.
    pub fn go_to(&mut self, node: &TestServer) {
        self.address = node.address;
    }

    // --- requests ------------------------------------------------------------------------------------------------

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], None).await
    }

    /// A form sent by a page of ours, with exactly these fields.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let origin = self.origin.clone();
        self.post_with(path, fields, &[("sec-fetch-site", "same-origin"), ("origin", &origin)]).await
    }

    /// A form with exactly these fields and headers.
    pub async fn post_with(&mut self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post_bytes(path, body.into_bytes(), headers).await
    }

    /// Any bytes as a form.
    pub async fn post_bytes(&mut self, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Page {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, Some(body)).await
    }

    /// Any request; obeys the cookies of the answer.
    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Page {
        let mut map = HeaderMap::new();
        map.insert("accept", HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
        map.insert("user-agent", HeaderValue::from_str(&self.user_agent).expect("a user agent"));
        if let Some(cookies) = self.jar.header(&self.clock) {
            map.insert(COOKIE, HeaderValue::from_str(&cookies).expect("cookies"));
        }
        for (name, value) in headers {
            map.insert(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"));
        }
        let request = self.client.request(method, format!("http://{}{path}", self.address)).headers(map);
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: no answer: {error:?}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.expect("the whole body");
        let body = String::from_utf8_lossy(&body).into_owned();
        let page = Page { path: path.to_owned(), status, headers, body };
        for cookie in page.set_cookies() {
            self.jar.obey(&cookie, &self.clock);
        }
        page
    }

    // --- what a person does --------------------------------------------------------------------------------------

    /// Opens `path`, fills in the form there that goes to the same place, and sends it.
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(path).await.expect(200);
        let action = path.split('?').next().unwrap_or(path);
        self.submit_form(page.form(action), fields).await
    }

    /// Fills in a form that is on the screen and sends it.
    pub async fn submit_form(&mut self, mut form: Form, fields: &[(&str, &str)]) -> Page {
        assert_eq!(form.method, "post");
        for (name, value) in fields {
            form.fill(name, value);
        }
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&form.action, &fields).await
    }

    /// Signs in on `/login`; whatever comes of it.
    pub async fn try_sign_in(&mut self, name: &str, password: &str) -> Page {
        self.submit("/login", &[("username", name), ("password", password)]).await
    }

    /// Signs in on `/login` with [`PASSWORD`].
    pub async fn sign_in(&mut self, name: &str) -> Page {
        self.try_sign_in(name, PASSWORD).await.expect_redirect("/account")
    }

    /// Signs in with "keep me signed in".
    pub async fn sign_in_remembered(&mut self, name: &str) -> Page {
        let fields = [("username", name), ("password", PASSWORD), ("remember", "on")];
        self.submit("/login", &fields).await.expect_redirect("/account")
    }

    /// Creates an account on `/register` with [`PASSWORD`], which signs in.
    pub async fn register(&mut self, name: &str) -> Page {
        self.try_register(name, &format!("{name}@example.com"), PASSWORD).await.expect_redirect("/account")
    }

    /// Sends the form of `/register`; whatever comes of it.
    pub async fn try_register(&mut self, name: &str, email: &str, password: &str) -> Page {
        self.submit("/register", &[("username", name), ("email", email), ("password", password)]).await
    }

    /// Fails to sign in as `anna`, with these headers.
    pub async fn attempt(&mut self, headers: &[(&str, &str)]) -> Page {
        let mut all = vec![("sec-fetch-site", "same-origin")];
        all.extend_from_slice(headers);
        self.post_with("/login", &[("username", "anna"), ("password", "wrong password")], &all).await
    }

    /// Signs out on `/logout`.
    pub async fn sign_out(&mut self) -> Page {
        let page = self.submit("/logout", &[]).await;
        assert!(page.asks_to_sign_in(), "{} {:?}", page.status, page.location());
        page
    }

    /// Changes the password from [`PASSWORD`] to [`NEW_PASSWORD`].
    pub async fn change_password(&mut self) -> Page {
        let fields = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
        let page = self.submit("/account/password", &fields).await;
        assert_eq!(page.status, 303, "{}", page.excerpt());
        page
    }

    /// Whether `/account` opens; an answer that is neither yes nor no fails the test.
    pub async fn is_signed_in(&mut self) -> bool {
        let page = self.get("/account").await;
        match page.status {
            200 => true,
            303 if page.asks_to_sign_in() => false,
            status => panic!("/account: {status} {}", page.excerpt()),
        }
    }

    /// The username at the head of `/account`.
    pub async fn signed_in_as(&mut self) -> Option<String> {
        let page = self.get("/account").await;
        if page.asks_to_sign_in() { None } else { page.expect(200).text_of(".who") }
    }

    /// The own sessions other than this one that `/account/sessions` lists.
    pub async fn other_sessions(&mut self) -> Vec<ListedSession> {
        let page = self.get("/account/sessions").await.expect(200);
        let end = |action: &str| {
            action.strip_prefix("/account/sessions/").and_then(|rest| rest.strip_suffix("/end")).map(str::to_owned)
        };
        let ids = page.forms().into_iter().filter_map(|form| end(&form.action));
        let devices = page.texts("section[aria-labelledby='others'] li .item h3").into_iter();
        ids.zip(devices).map(|(id, device)| ListedSession { id, device }).collect()
    }

    /// Ends one of the own sessions by its button.
    pub async fn end_session(&mut self, id: &str) -> Page {
        let page = self.get("/account/sessions").await.expect(200);
        self.submit_form(page.form(&format!("/account/sessions/{id}/end")), &[]).await
    }

    // --- cookies -------------------------------------------------------------------------------------------------

    /// The name of the session cookie here.
    pub fn cookie_name(&self) -> &'static str {
        self.session_cookie
    }

    /// The session cookie's value.
    pub fn cookie(&self) -> Option<String> {
        self.jar.get(self.session_cookie).map(str::to_owned)
    }

    /// The same browser with only this session cookie: who stole it, or kept an old one.
    pub fn with_cookie(&self, value: &str) -> Self {
        let mut other = self.clone();
        other.jar = Jar::default();
        other.jar.set(self.session_cookie, value);
        other
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The `Cookie` header that it would send now.
    pub fn cookie_header(&self) -> String {
        self.jar.header(&self.clock).unwrap_or_default()
    }
}

/// The name of the session cookie of a server that is reached at `origin`.
pub fn session_cookie(origin: &str) -> &'static str {
    if origin.starts_with("https://") { "__Host-portcullis" } else { "portcullis" }
}
