//! `/docs`: the API on one page, made from [`DOCUMENT`]. It loads nothing from elsewhere and needs no script.

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::Answer;
use super::document::DOCUMENT;
use crate::domain::Error;
use crate::http::problem::Problem;
use crate::services::Services;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, GuestLayout};

#[derive(Template)]
#[template(path = "docs.html")]
struct ReferencePage {
    layout: GuestLayout,
    public_url: String,
    about: &'static str,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// Operations that belong together.
struct Group {
    name: &'static str,
    description: &'static str,
    operations: Vec<Operation>,
}

struct Operation {
    id: &'static str,
    method: String,
    path: &'static str,
    summary: &'static str,
    who: &'static str,
    /// Of which role, where a token is asked for.
    role: &'static str,
    parameters: Vec<Property>,
    /// Media type, and what it holds.
    body: Option<(&'static str, Shape)>,
    answers: Vec<ReferenceAnswer>,
}

struct ReferenceAnswer {
    status: &'static str,
    description: &'static str,
    shape: Option<Shape>,
}

struct Schema {
    name: &'static str,
    description: &'static str,
    properties: Vec<Property>,
}

struct Property {
    name: &'static str,
    shape: Shape,
    required: bool,
    description: &'static str,
}

/// What a value is: words, and the schema that they name, if it is one of ours.
struct Shape {
    words: String,
    link: Option<&'static str>,
}

/// `GET /docs`.
pub async fn show(services: web::Data<Services>) -> Answer {
    let public_url = services.settings.public_url.as_str().to_owned();
    let template = ReferencePage {
        layout: GuestLayout {
            host: services.settings.public_url.host().to_owned(),
            notice: None,
            form_errors: FormErrors::none(),
        },
        public_url,
        about: text(&DOCUMENT["info"], "description"),
        groups: items(&DOCUMENT["tags"]).map(group).collect(),
        schemas: entries(&DOCUMENT["components"]["schemas"]).map(|(name, schema)| self::schema(name, schema)).collect(),
    };
    let body = template.render().map_err(|error| Problem::from(Error::internal(error)))?;
    Ok(HttpResponse::build(StatusCode::OK).content_type(ContentType::html()).body(body))
}

fn group(tag: &'static Value) -> Group {
    let name = text(tag, "name");
    let operations = entries(&DOCUMENT["paths"])
        .flat_map(|(path, item)| entries(item).map(move |(method, operation)| (path, method, operation)));
    let ours = operations.filter(|(_, _, operation)| items(&operation["tags"]).any(|tag| tag == name));
    Group {
        name,
        description: text(tag, "description"),
        operations: ours.map(|(path, method, value)| operation(path, method, value)).collect(),
    }
}

fn operation(path: &'static str, method: &str, value: &'static Value) -> Operation {
    let parameters = items(&value["parameters"]).map(|parameter| Property {
        name: text(parameter, "name"),
        shape: shape(&parameter["schema"]),
        required: parameter["required"] == true,
        description: text(parameter, "description"),
    });
    let answers = entries(&value["responses"]).map(|(status, answer)| ReferenceAnswer {
        status,
        description: text(answer, "description"),
        shape: content(answer).map(|(_, shape)| shape),
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
            (false, _) => "Open",
        },
        role: text(value, "description"),
        parameters: parameters.collect(),
        body: content(&value["requestBody"]),
        answers: answers.collect(),
    }
}

fn schema(name: &'static str, schema: &'static Value) -> Schema {
    let required: Vec<_> = items(&schema["required"]).filter_map(Value::as_str).collect();
    let properties = entries(&schema["properties"]).map(|(name, property)| Property {
        name,
        shape: shape(property),
        required: required.contains(&name),
        description: text(property, "description"),
    });
    Schema { name, description: text(schema, "description"), properties: properties.collect() }
}

/// The first media type of a body or an answer.
fn content(of: &'static Value) -> Option<(&'static str, Shape)> {
    let (media_type, content) = entries(&of["content"]).next()?;
    Some((media_type, shape(&content["schema"])))
}

fn shape(schema: &'static Value) -> Shape {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return match words_of_enum(&DOCUMENT["components"]["schemas"][name]) {
            Some(words) => Shape { words, link: None },
            None => Shape { words: name.to_owned(), link: Some(name) },
        };
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let Some(one) = alternatives.iter().find(|one| one["type"] != "null") else {
            return Shape { words: "null".to_owned(), link: None };
        };
        let Shape { words, link } = shape(one);
        return Shape { words: format!("{words} or null"), link };
    }
    if schema["type"] == "array" {
        let Shape { words, link } = shape(&schema["items"]);
        return Shape { words: format!("list of {words}"), link };
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let words = words_of_enum(schema).unwrap_or_else(|| kinds.join(" or "));
    let words = match schema["format"].as_str() {
        Some(format @ ("date-time" | "uuid")) => format!("{words} ({format})"),
        _ => words,
    };
    Shape { words, link: None }
}

fn words_of_enum(schema: &Value) -> Option<String> {
    let words: Vec<_> = schema["enum"].as_array()?.iter().filter_map(Value::as_str).collect();
    Some(words.join(" | "))
}

fn text(value: &'static Value, name: &str) -> &'static str {
    value[name].as_str().unwrap_or_default()
}

fn items(value: &'static Value) -> impl Iterator<Item = &'static Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
