//! A browser's cookies.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use portcullis::domain::{Clock, Timestamp};

/// One `Set-Cookie` header, taken apart.
#[derive(Clone, Debug)]
pub struct SetCookie {
    pub name: String,
    pub value: String,
    /// Lower-case name, value as written; an attribute without value has an empty one.
    pub attributes: BTreeMap<String, String>,
}

impl SetCookie {
    pub fn parse(header: &str) -> Self {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("name=value");
        let attributes = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        }
    }

    /// Seconds to live, if the cookie outlives the browser.
    pub fn max_age(&self) -> Option<i64> {
        self.attributes.get("max-age").map(|seconds| seconds.parse().expect("Max-Age is a number"))
    }

    /// Whether the header takes the cookie away.
    pub fn removes(&self) -> bool {
        self.max_age().is_some_and(|seconds| seconds <= 0)
    }
}

/// Name → value, with the moment at which the browser forgets it.
#[derive(Clone, Default)]
pub struct Jar(BTreeMap<String, (String, Option<Timestamp>)>);

impl Jar {
    /// Obeys a `Set-Cookie` header.
    pub fn obey(&mut self, cookie: &SetCookie, clock: &Clock) {
        if cookie.removes() {
            self.0.remove(&cookie.name);
        } else {
            let until = cookie.max_age().map(|seconds| clock.now() + TimeDelta::seconds(seconds));
            self.0.insert(cookie.name.clone(), (cookie.value.clone(), until));
        }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), (value.to_owned(), None));
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str())
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Closing the browser: what has no Max-Age is gone.
    pub fn close(&mut self) {
        self.0.retain(|_, (_, until)| until.is_some());
    }

    /// The `Cookie` header at this moment, if there is any cookie.
    pub fn header(&self, clock: &Clock) -> Option<String> {
        let now = clock.now();
        let live = self.0.iter().filter(|(_, (_, until))| until.is_none_or(|until| now < until));
        let pairs: Vec<_> = live.map(|(name, (value, _))| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}
