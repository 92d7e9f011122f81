//! An answer, as a person sees it.

use reqwest::header::HeaderMap;
use scraper::{ElementRef, Html, Selector};

use super::jar::SetCookie;

/// Status, headers and document of one answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path that was asked for.
    pub path: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// A form of a page, as it would be sent if nobody typed anything.
#[derive(Clone, Debug)]
pub struct Form {
    pub method: String,
    pub action: String,
    pub fields: Vec<(String, String)>,
    /// Every field that a person can see, by name.
    pub inputs: Vec<String>,
}

impl Form {
    /// Types `value` into the field `name`; a person can't type where no field is.
    pub fn fill(&mut self, name: &str, value: &str) {
        assert!(self.inputs.iter().any(|input| input == name), "the form {} has no field {name}", self.action);
        self.fields.retain(|(field, _)| field != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }
}

impl Page {
    /// Fails unless the status is `status`; gives the page back.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.path, self.excerpt());
        self
    }

    /// Fails unless it sends the browser on to `location`.
    #[track_caller]
    pub fn expect_redirect(self, location: &str) -> Self {
        assert_eq!((self.status, self.location()), (303, Some(location)), "{}: {}", self.path, self.excerpt());
        self
    }

    /// Fails unless it is an answer of someone who is not signed in.
    #[track_caller]
    pub fn expect_sign_in(self) -> Self {
        assert!(self.asks_to_sign_in(), "{}: {} {:?}", self.path, self.status, self.location());
        self
    }

    pub fn asks_to_sign_in(&self) -> bool {
        self.status == 303 && self.location().is_some_and(|location| location.starts_with("/login"))
    }

    /// Whether a sensitive act asks that the password be entered first.
    pub fn asks_for_the_password(&self) -> bool {
        match self.status {
            303 => self.location().is_some_and(|location| location.starts_with("/confirm?next=")),
            401 => self.body.contains("\"reauthentication_required\""),
            _ => false,
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("{}: {} is no JSON: {}", self.path, self.status, self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of ASCII"))
    }

    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    pub fn set_cookies(&self) -> Vec<SetCookie> {
        let headers = self.headers.get_all("set-cookie").iter();
        headers.map(|value| SetCookie::parse(value.to_str().expect("a cookie of ASCII"))).collect()
    }

    /// The text of all elements that `css` selects.
    pub fn texts(&self, css: &str) -> Vec<String> {
        self.select(css, |element| squeeze(&element.text().collect::<String>()))
    }

    /// The values of `attribute` of all elements that `css` selects and that have it.
    pub fn attributes(&self, css: &str, attribute: &str) -> Vec<String> {
        self.select(css, |element| element.attr(attribute).map(str::to_owned)).into_iter().flatten().collect()
    }

    /// The text of the one element that `css` selects, if there is one.
    pub fn text_of(&self, css: &str) -> Option<String> {
        self.texts(css).into_iter().next()
    }

    pub fn title(&self) -> String {
        self.text_of("title").unwrap_or_default()
    }

    /// The whole page as text.
    pub fn text(&self) -> String {
        self.text_of("body").unwrap_or_default()
    }

    /// What the page says about the field `name`, or nothing.
    pub fn field_error(&self, name: &str) -> Option<String> {
        self.text_of(&format!("[id='{name}-error']"))
    }

    /// What a field holds.
    pub fn value(&self, name: &str) -> Option<String> {
        self.attributes(&format!("input[name='{name}']"), "value").into_iter().next()
    }

    /// The token of the first form that has one.
    pub fn csrf_token(&self) -> Option<String> {
        self.value("csrf_token")
    }

    /// The form that goes to `action`.
    #[track_caller]
    pub fn form(&self, action: &str) -> Form {
        self.forms()
            .into_iter()
            .find(|form| form.action == action)
            .unwrap_or_else(|| panic!("{} ({}) has no form to {action}: {}", self.path, self.status, self.excerpt()))
    }

    pub fn forms(&self) -> Vec<Form> {
        self.select("form", |form| {
            let selector = Selector::parse("input, textarea, select").expect("a selector");
            let (mut fields, mut inputs) = (Vec::new(), Vec::new());
            for input in form.select(&selector) {
                let Some(name) = input.attr("name") else { continue };
                let kind = input.attr("type").unwrap_or("text");
                if kind != "hidden" {
                    inputs.push(name.to_owned());
                }
                if kind != "checkbox" || input.attr("checked").is_some() {
                    fields.push((name.to_owned(), input.attr("value").unwrap_or_default().to_owned()));
                }
            }
            Form {
                method: form.attr("method").unwrap_or("get").to_ascii_lowercase(),
                action: form.attr("action").map_or_else(|| self.path.clone(), str::to_owned),
                fields,
                inputs,
            }
        })
    }

    /// The first lines of what the page says, for the message of a failing test.
    pub fn excerpt(&self) -> String {
        let text = if self.body.contains("<html") { self.text() } else { self.body.clone() };
        text.chars().take(600).collect()
    }

    fn select<T>(&self, css: &str, pick: impl Fn(ElementRef) -> T) -> Vec<T> {
        let selector = Selector::parse(css).unwrap_or_else(|error| panic!("{css}: {error}"));
        Html::parse_document(&self.body).select(&selector).map(pick).collect()
    }
}

/// Runs of white space as one blank.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
