//! Problems as pages: what happened, what to do, the status and the request's id.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::TimeDelta;

use super::layout::{self, GuestLayout};
use super::moment::duration;
use super::next;
use super::refusal::Refusal;
use crate::http::problem::{self, Problem, wants_json};
use crate::http::request_id;
use crate::services::Services;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    layout: GuestLayout,
    words: Words,
    /// "503 Service Unavailable".
    status: String,
    request_id: Option<String>,
    /// Something went wrong on our side: whom to tell.
    ours: bool,
}

/// What an error page says.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    title: &'static str,
    text: String,
    /// A command for those who have the server at hand.
    command: Option<&'static str>,
    /// The link: where to, and its words.
    action: (String, &'static str),
}

/// Middleware around everything: a response that carries a [`Problem`] becomes a page, with its status and headers,
/// unless a program asked.
pub async fn render(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    if wants_json(response.request()) {
        return Ok(response);
    }
    let Some(problem) = problem::take(&mut response) else { return Ok(response) };
    let Some(html) = page_for(&problem, &response) else {
        response.response_mut().extensions_mut().insert(problem); // for whoever renders it outside
        return Ok(response);
    };
    let (request, mut response) = response.into_parts();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(ServiceResponse::new(request, response.set_body(html).map_into_boxed_body()))
}

/// The page for a problem; `None` where it can't be made.
fn page_for(problem: &Problem, response: &ServiceResponse) -> Option<String> {
    let request = response.request();
    let services = request.app_data::<web::Data<Services>>()?;
    let host = services.settings.public_url.host().to_owned();
    let template = ErrorPage {
        layout: GuestLayout { host, notice: None, refusal: Refusal::none() },
        words: words(problem, request, services),
        status: problem.status.to_string(),
        request_id: request_id::of(request).map(|id| id.to_string()),
        ours: problem.status.is_server_error(),
    };
    template.render().ok()
}

fn words(problem: &Problem, request: &HttpRequest, services: &Services) -> Words {
    let start = || ("/".to_owned(), "To the start page");
    let is_get = request.method().is_safe();
    let again = || match request.uri().path_and_query() {
        Some(path) if is_get => {
            (next::or_default(path.as_str(), &services.settings.public_url).to_owned(), "Try again")
        }
        _ => start(),
    };
    let say = |title, text: &str, action| Words { title, text: text.to_owned(), command: None, action };
    match (problem.status, problem.code) {
        (StatusCode::UNAUTHORIZED, _) => {
            say("Sign in first", "You are not signed in, or no longer.", ("/login".to_owned(), "Sign in"))
        }
        (StatusCode::FORBIDDEN, "registration_closed") => Words {
            command: Some("portcullis setup-link"),
            ..say(
                "Registration is closed",
                "Ask your administrator for an account. Does this server have no administrator yet? Then open the link \
                 that it printed when it started; on the server, this command prints a new one:",
                ("/login".to_owned(), "Sign in"),
            )
        },
        (StatusCode::FORBIDDEN, "forged_request") => say("This form can't be taken", &problem.detail, start()),
        (StatusCode::FORBIDDEN, _) => say(
            "Not for your role",
            "Your account can't open this page. Ask your administrator if you need it.",
            ("/account".to_owned(), "To your account"),
        ),
        (StatusCode::NOT_FOUND, _) => {
            say("There is no such page", "The address is mistyped, or what was here is gone.", start())
        }
        (StatusCode::METHOD_NOT_ALLOWED, _) => {
            say("This page can't be used that way", "Open it from its link, or send its form again.", start())
        }
        (StatusCode::REQUEST_TIMEOUT, _) => {
            say("That took too long", "The form did not arrive in time. Go back and send it again.", start())
        }
        (StatusCode::GONE, _) if request.path().starts_with("/setup/") => Words {
            command: Some("portcullis setup-link"),
            ..say(
                "This link is used up or too old",
                "A setup link works once, and for an hour, until there is an administrator. On the server, this command \
                 prints a new one:",
                ("/login".to_owned(), "To sign-in"),
            )
        },
        (StatusCode::GONE, _) => say(
            "This link is used up or too old",
            "It works once, and for 24 hours. Ask your administrator for a new one.",
            ("/login".to_owned(), "To sign-in"),
        ),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => {
            say("That is too much", "The form is larger than this server takes. Shorten it and send it again.", start())
        }
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => {
            say("This form can't be read", "Send it from its page, in a browser.", start())
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => {
            let wait = duration(TimeDelta::seconds(problem.retry_after.unwrap_or(60).clamp(1, 86_400) as i64));
            say("Too many attempts", &format!("Wait {wait}, then try again."), again())
        }
        (StatusCode::SERVICE_UNAVAILABLE, code) if is_get || code == "busy" => say(
            "Try again in a moment",
            "The server is too busy, or one of its stores does not answer. You have not been signed out, and nothing \
             was changed.",
            again(),
        ),
        // A store that went silent may have done what it was asked.
        (StatusCode::SERVICE_UNAVAILABLE, _) => say(
            "Try again in a moment",
            "A store of this server does not answer. You have not been signed out. Look whether your change was made \
             before you send it again.",
            start(),
        ),
        (status, _) if status.is_server_error() => {
            say("Something went wrong", "This is a fault of the server, not yours. Try again in a moment.", again())
        }
        _ => say("This request can't be taken", &problem.detail, start()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn programs_get_json_and_people_get_pages() {
        for (path, accept, page) in [
            ("/account", "text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("/account", "*/*", true),
            ("/account", "application/json", false),
            ("/account", "application/problem+json;q=0.9, */*;q=0.1", false),
            ("/account", "Application/JSON, text/html", true),
            ("/api/v1/me", "text/html", false),
            ("/api", "text/html", false),
            ("/apiary", "text/html", true),
            ("/oauth/token", "*/*", false),
            ("/.well-known/jwks.json", "text/html", false),
        ] {
            let request = TestRequest::with_uri(path).insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(wants_page(&request), page, "{path} {accept}");
        }
        assert!(wants_page(&TestRequest::with_uri("/nothing").to_http_request()));
    }
}
