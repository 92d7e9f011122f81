//! How many requests came to each route, how they were answered, and how long that took, for `/metrics`.
//!
//! Routes are told as the table of routes has them: no path that anyone can make up, and no id or token of one.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::web;

use super::access::Route;
use crate::telemetry::metrics::{Counter, Durations, Registry, Table};

/// Every status that this server gives; any other is told as one.
const STATUSES: &[(u16, &str)] = &[
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (303, "303"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
];
const OTHER: &str = "other";
/// What no route has, in whole or in its method.
const UNKNOWN: &str = "unknown";

/// Upper bounds in seconds: a page takes one, a password tens, a store that is away 900 milliseconds.
const BOUNDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The figures of all routes.
pub struct Requests {
    routes: Vec<Figures>,
    /// Where in `routes` those of a path stand.
    paths: HashMap<&'static str, Vec<usize>>,
    patterns: Vec<(Pattern, Vec<usize>)>,
    unknown: Figures,
}

struct Figures {
    method: &'static str,
    path: &'static str,
    /// One more than there are [`STATUSES`].
    answers: Box<[Counter]>,
    took: Durations,
}

impl Figures {
    fn of(method: &'static str, path: &'static str) -> Self {
        let answers = (0..=STATUSES.len()).map(|_| Counter::default()).collect();
        Self { method, path, answers, took: Durations::within(BOUNDS) }
    }
}

/// A path with a parameter, `/users/{id}/role`, by what is before and behind that.
struct Pattern {
    before: &'static str,
    behind: &'static str,
}

impl Pattern {
    fn of(path: &'static str) -> Option<Self> {
        let (before, rest) = path.split_once('{')?;
        Some(Self { before, behind: rest.split_once('}')?.1 })
    }

    fn matches(&self, path: &str) -> bool {
        let value = path.strip_prefix(self.before).and_then(|rest| rest.strip_suffix(self.behind));
        value.is_some_and(|value| !value.is_empty() && !value.contains('/'))
    }
}

impl Requests {
    /// Nothing has come yet.
    pub fn new(routes: &'static [Route]) -> Self {
        let (mut paths, mut patterns) = (HashMap::<_, Vec<_>>::new(), Vec::<(&str, Pattern, Vec<_>)>::new());
        for (index, Route { path, .. }) in routes.iter().enumerate() {
            match (Pattern::of(path), patterns.iter_mut().find(|(known, ..)| known == path)) {
                (None, _) => paths.entry(*path).or_default().push(index),
                (Some(_), Some((.., indices))) => indices.push(index),
                (Some(pattern), None) => patterns.push((*path, pattern, vec![index])),
            }
        }
        Self {
            routes: routes.iter().map(|route| Figures::of(route.method, route.path)).collect(),
            paths,
            patterns: patterns.into_iter().map(|(_, pattern, indices)| (pattern, indices)).collect(),
            unknown: Figures::of(UNKNOWN, UNKNOWN),
        }
    }

    /// Puts the figures there, as they will be from now on.
    pub fn register(&self, registry: &mut Registry) {
        let all = || self.routes.iter().chain([&self.unknown]);
        let statuses = || STATUSES.iter().map(|(_, text)| *text).chain([OTHER]);
        let answers = all().flat_map(|Figures { method, path, answers, .. }| {
            let rows = statuses().zip(answers);
            rows.map(move |(status, count)| {
                ([("method", *method), ("route", *path), ("status", status)], count.clone())
            })
        });
        registry.register(
            "http_requests",
            "Requests, by route and by how they were answered",
            Table(answers.collect()),
        );
        let took =
            all().map(|Figures { method, path, took, .. }| ([("method", *method), ("route", *path)], took.clone()));
        registry.register(
            "http_request_duration_seconds",
            "From the head of a request until that of its answer",
            Table(took.collect()),
        );
    }

    /// Counts an answer, where that is asked for.
    pub(super) fn count<B>(answer: &ServiceResponse<B>, took: Duration) {
        let request = answer.request();
        let Some(requests) = request.app_data::<web::Data<Self>>() else { return };
        // The path as the router reads it, with needless percent-encoding removed.
        let figures = requests.figures(request.method(), request.match_info().as_str());
        let status = answer.status().as_u16();
        let known = STATUSES.iter().position(|(known, _)| *known == status);
        figures.answers[known.unwrap_or(STATUSES.len())].inc();
        figures.took.observe(took);
    }

    fn figures(&self, method: &Method, path: &str) -> &Figures {
        // Whoever may read may ask for the head alone.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let pattern = || self.patterns.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, indices)| indices);
        let of_path = self.paths.get(path).or_else(pattern).into_iter().flatten();
        of_path.map(|index| &self.routes[*index]).find(|figures| figures.method == method).unwrap_or(&self.unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::access::Access;

    fn route(method: &'static str, path: &'static str) -> Route {
        Route { method, path, access: Access::Everyone }
    }

    #[test]
    fn a_request_is_told_by_the_template_that_its_path_matches_and_never_by_the_path() {
        static ROUTES: std::sync::LazyLock<Vec<Route>> = std::sync::LazyLock::new(|| {
            vec![
                route("GET", "/"),
                route("GET", "/users/new"),
                route("GET", "/users/{id}"),
                route("DELETE", "/users/{id}"),
                route("PUT", "/users/{id}/role"),
            ]
        });
        let requests = Requests::new(&ROUTES);
        for (method, path, told) in [
            (Method::GET, "/", ("GET", "/")),
            (Method::HEAD, "/", ("GET", "/")),
            (Method::GET, "/users/new", ("GET", "/users/new")),
            (Method::GET, "/users/7", ("GET", "/users/{id}")),
            (Method::DELETE, "/users/7", ("DELETE", "/users/{id}")),
            (Method::PUT, "/users/7/role", ("PUT", "/users/{id}/role")),
            (Method::POST, "/users/7", (UNKNOWN, UNKNOWN)),
            (Method::GET, "/users/", (UNKNOWN, UNKNOWN)),
            (Method::GET, "/users//role", (UNKNOWN, UNKNOWN)),
            (Method::GET, "/users/7/8", (UNKNOWN, UNKNOWN)),
            (Method::GET, "/elsewhere", (UNKNOWN, UNKNOWN)),
        ] {
            let figures = requests.figures(&method, path);
            assert_eq!((figures.method, figures.path), told, "{method} {path}");
        }
    }
}
