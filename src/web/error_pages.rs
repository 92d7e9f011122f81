//! Problems as pages: what happened, what to do, the status and the request's id.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use askama::Template;
use uuid::Uuid;

use super::form_errors::FormErrors;
use super::layout::{self, GuestLayout};
use super::next;
use crate::domain::form_seed::FormId;
use crate::domain::link::LinkPurpose;
use crate::domain::quota::wait_in_words;
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
    request_id: Option<Uuid>,
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

/// Middleware right inside [`problem::render`]: each problem becomes a page with its status and headers, unless a
/// program asked.
pub async fn error_pages<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let mut response = next.call(request).await?;
    if wants_json(response.request()) {
        return Ok(response.map_into_left_body());
    }
    let Some(problem) = problem::take(&mut response) else { return Ok(response.map_into_left_body()) };
    match render(&problem, response.request()) {
        Some(html) => Ok(response.map_body(|head, _| {
            head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            EitherBody::right(BoxBody::new(html))
        })),
        None => {
            response.response_mut().extensions_mut().insert(problem);
            Ok(response.map_into_left_body())
        }
    }
}

/// `None` where there is no page to be made: then the problem stands as it is.
fn render(problem: &Problem, request: &HttpRequest) -> Option<String> {
    let services = request.app_data::<web::Data<Services>>()?;
    let host = services.settings.public_url.host().to_owned();
    let template = ErrorPage {
        layout: GuestLayout { host, notice: None, form_id: FormId::generate(), form_errors: FormErrors::none() },
        words: words(problem, request, services.settings.public_url.as_str()),
        status: problem.status.to_string(),
        request_id: request_id::of(request),
        ours: problem.status.is_server_error(),
    };
    template.render().ok()
}

fn words(problem: &Problem, request: &HttpRequest, public_url: &str) -> Words {
    let start = || ("/".to_owned(), "To the start page");
    let is_get = request.method().is_safe();
    let again = || match request.uri().path_and_query() {
        Some(path) if is_get => (next::or_default(path.as_str(), public_url).to_owned(), "Try again"),
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
        (StatusCode::GONE, _) if request.path().starts_with(LinkPurpose::Setup.path()) => Words {
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
            let wait = wait_in_words(problem.retry_after.unwrap_or(60));
            say("Too many attempts", &format!("Try again in {wait}."), again())
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
        (StatusCode::UNPROCESSABLE_ENTITY, _) if !problem.errors.is_empty() => {
            let messages: Vec<_> = problem.errors.iter().map(|error| error.message.as_str()).collect();
            say("This request can't be taken", &messages.join(" "), start())
        }
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
    use crate::domain::Error;

    fn words_for(problem: impl Into<Problem>, request: TestRequest) -> Words {
        words(&problem.into(), &request.to_http_request(), "https://auth.example.org")
    }

    #[test]
    fn a_used_link_says_how_to_get_a_new_one_of_its_kind() {
        let setup = words_for(Error::LinkGone, TestRequest::with_uri("/setup/x"));
        assert_eq!(setup.command, Some("portcullis setup-link"));
        let reset = words_for(Error::LinkGone, TestRequest::with_uri("/reset/x"));
        assert!(reset.command.is_none() && reset.text.contains("Ask your administrator"), "{reset:?}");
    }

    #[test]
    fn nothing_was_changed_is_said_only_where_it_is_sure() {
        for (request, error, sure) in [
            (TestRequest::get(), Error::redis("down"), true),
            (TestRequest::post(), Error::Busy, true),
            (TestRequest::post(), Error::redis("down"), false),
        ] {
            let words = words_for(error, request.uri("/account/password"));
            assert!(words.text.contains("You have not been signed out"), "{words:?}");
            assert_eq!(words.text.contains("nothing was changed"), sure, "{words:?}");
        }
    }

    #[test]
    fn trying_again_leads_to_the_same_page_and_never_to_another_site() {
        let again = |uri: &str| words_for(Error::Busy, TestRequest::with_uri(uri)).action.0;
        assert_eq!(again("/account/sessions?limit=100"), "/account/sessions?limit=100");
        assert_eq!(again("//evil.example/"), next::DEFAULT);
    }

    #[test]
    fn whoever_has_to_wait_is_told_how_long() {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "").retry_after(12);
        assert_eq!(words_for(problem, TestRequest::post().uri("/login")).text, "Try again in 12 seconds.");
    }

    #[test]
    fn a_forged_request_shows_what_was_found_out_about_it() {
        let detail = "Your browser came from http://a, but public_url is http://b.";
        let problem = Problem::new(StatusCode::FORBIDDEN, "forged_request", detail);
        assert_eq!(words_for(problem, TestRequest::post().uri("/login")).text, detail);
    }
}
