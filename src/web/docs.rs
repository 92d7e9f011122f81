//! `/docs`: the API on one page, made from its description. It loads nothing from elsewhere and needs no script.

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::Answer;
use super::form_errors::FormErrors;
use super::layout::{self, GuestLayout};
use crate::domain::Error;
use crate::domain::form_seed::FormId;
use crate::http::api_document::ApiDocument;
use crate::http::problem::Problem;
use crate::services::Services;

#[derive(Template)]
#[template(path = "docs.html")]
struct ReferencePage<'a> {
    layout: GuestLayout,
    /// Of this server.
    base: &'a str,
    about: &'a str,
    groups: Vec<Group<'a>>,
    schemas: Vec<Schema<'a>>,
}

/// Operations that belong together.
struct Group<'a> {
    name: &'a str,
    description: &'a str,
    operations: Vec<Operation<'a>>,
}

struct Operation<'a> {
    id: &'a str,
    method: String,
    path: &'a str,
    summary: &'a str,
    who: &'a str,
    /// Who may call it.
    role: &'a str,
    parameters: Vec<Property<'a>>,
    /// Media type, and what it holds.
    body: Option<(&'a str, Shape<'a>)>,
    answers: Vec<ReferenceAnswer<'a>>,
}

struct ReferenceAnswer<'a> {
    status: &'a str,
    description: &'a str,
    shape: Option<Shape<'a>>,
}

struct Schema<'a> {
    name: &'a str,
    description: &'a str,
    /// What it is, where it is no object.
    words: Option<String>,
    properties: Vec<Property<'a>>,
}

struct Property<'a> {
    name: &'a str,
    shape: Shape<'a>,
    required: bool,
    description: &'a str,
}

/// What a value is: words, and the schema that they name, if it is one of ours.
struct Shape<'a> {
    words: String,
    link: Option<&'a str>,
}

/// `GET /docs`.
pub async fn show(services: web::Data<Services>, document: web::Data<ApiDocument>) -> Answer {
    let document: &Value = &document;
    let reader = Reader(document);
    let template = ReferencePage {
        layout: GuestLayout {
            host: services.settings.public_url.host().to_owned(),
            notice: None,
            form_id: FormId::generate(),
            form_errors: FormErrors::none(),
        },
        base: text(&document["servers"][0], "url"),
        about: text(&document["info"], "description"),
        groups: items(&document["tags"]).map(|tag| reader.group(tag)).collect(),
        schemas: reader.schemas().map(|(name, schema)| reader.schema(name, schema)).collect(),
    };
    let body = template.render().map_err(|error| Problem::from(Error::internal(error)))?;
    Ok(HttpResponse::build(StatusCode::OK).content_type(ContentType::html()).body(body))
}

/// Reads the document, in which one part points to another.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Value);

impl<'a> Reader<'a> {
    fn group(self, tag: &'a Value) -> Group<'a> {
        let name = text(tag, "name");
        let operations = entries(&self.0["paths"])
            .flat_map(|(path, item)| entries(item).map(move |(method, operation)| (path, method, operation)));
        let ours = operations.filter(|(_, _, operation)| items(&operation["tags"]).any(|tag| tag == name));
        Group {
            name,
            description: text(tag, "description"),
            operations: ours.map(|(path, method, value)| self.operation(path, method, value)).collect(),
        }
    }

    fn operation(self, path: &'a str, method: &str, value: &'a Value) -> Operation<'a> {
        let parameters = items(&value["parameters"]).map(|parameter| Property {
            name: text(parameter, "name"),
            shape: self.shape(&parameter["schema"]),
            required: parameter["required"] == true,
            description: text(parameter, "description"),
        });
        let answers = entries(&value["responses"]).map(|(status, answer)| ReferenceAnswer {
            status,
            description: text(answer, "description"),
            shape: self.content(answer).map(|(_, shape)| shape),
        });
        let schemes: Vec<_> =
            items(&value["security"]).map(|scheme| entries(scheme).next().map(|(name, _)| name)).collect();
        Operation {
            id: text(value, "operationId"),
            method: method.to_uppercase(),
            path,
            summary: text(value, "summary"),
            who: match (schemes.contains(&Some("bearer")), schemes.contains(&None)) {
                (true, false) => "With an access token",
                (true, true) => "With or without an access token",
                (false, _) => "Without an access token",
            },
            role: text(value, "description"),
            parameters: parameters.collect(),
            body: self.content(&value["requestBody"]),
            answers: answers.collect(),
        }
    }

    fn schemas(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        entries(&self.0["components"]["schemas"]).filter(|(_, schema)| words_of_enum(schema).is_none())
    }

    fn schema(self, name: &'a str, schema: &'a Value) -> Schema<'a> {
        let required: Vec<_> = items(&schema["required"]).filter_map(Value::as_str).collect();
        let properties: Vec<_> = entries(&schema["properties"])
            .map(|(name, property)| Property {
                name,
                shape: self.shape(property),
                required: required.contains(&name),
                description: text(property, "description"),
            })
            .collect();
        let is_object = schema["type"] == "object";
        let words = (!is_object).then(|| self.shape(schema).words);
        Schema { name, description: text(schema, "description"), words, properties }
    }

    /// The first media type of a body or an answer.
    fn content(self, of: &'a Value) -> Option<(&'a str, Shape<'a>)> {
        let (media_type, content) = entries(&of["content"]).next()?;
        Some((media_type, self.shape(&content["schema"])))
    }

    fn shape(self, schema: &'a Value) -> Shape<'a> {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            return match words_of_enum(&self.0["components"]["schemas"][name]) {
                Some(words) => Shape { words, link: None },
                None => Shape { words: name.to_owned(), link: Some(name) },
            };
        }
        if let Some(alternatives) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let shapes: Vec<_> = alternatives.iter().map(|one| self.shape(one)).collect();
            let words: Vec<_> = shapes.iter().map(|shape| shape.words.as_str()).collect();
            return Shape { words: words.join(" or "), link: shapes.iter().find_map(|shape| shape.link) };
        }
        if schema["type"] == "array" {
            let Shape { words, link } = self.shape(&schema["items"]);
            return Shape { words: format!("list of {words}"), link };
        }
        let kinds: Vec<_> = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        let words = words_of_enum(schema).unwrap_or_else(|| kinds.join(" or "));
        let format = schema["format"].as_str().filter(|format| !format.starts_with("int")).map(str::to_owned);
        let details: Vec<_> = format.into_iter().chain(length(schema)).collect();
        let words = if details.is_empty() { words } else { format!("{words} ({})", details.join(", ")) };
        Shape { words, link: None }
    }
}

/// How long a text may be.
fn length(schema: &Value) -> Option<String> {
    match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
        (Some(least), Some(most)) => Some(format!("{least} to {most} characters")),
        (Some(least), None) => Some(format!("at least {least} characters")),
        (None, Some(most)) => Some(format!("at most {most} characters")),
        (None, None) => None,
    }
}

fn words_of_enum(schema: &Value) -> Option<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words: Vec<_> = schema["enum"].as_array()?.iter().map(word).collect();
    Some(words.join(" | "))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
