//! What must hold of the document, whatever is added to the API.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::answers::who;
use crate::routes::{self, Access};

static COMMON: LazyLock<Value> = LazyLock::new(|| super::common(crate::routes::ALL, crate::routes::LIMITED));

#[test]
fn every_route_of_the_api_is_documented_and_nothing_else() {
    let is_api = |path: &str| {
        ["/api/", "/oauth/", "/.well-known/"].iter().any(|prefix| path.starts_with(prefix))
            && path != "/.well-known/change-password"
    };
    let declared: BTreeSet<_> = routes::ALL
        .iter()
        .filter(|route| is_api(route.path))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|route| (route.path.to_owned(), route.method.to_owned()))
        .collect();
    let documented: BTreeSet<_> = COMMON["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    assert_eq!(declared, documented);
}

#[test]
fn every_operation_says_who_may_call_it_as_the_route_table_does() {
    for route in routes::ALL {
        let Some(operation) = COMMON["paths"].get(route.path).and_then(|item| item.get(route.method.to_lowercase()))
        else {
            continue;
        };
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{route:?}"));
        let only_bearer = security.len() == 1 && security[0].get("bearer").is_some();
        assert_eq!(only_bearer, matches!(route.access, Access::Bearer(..)), "{route:?}");
        assert_eq!(operation["description"], who(route.access), "{route:?}");
    }
}

#[test]
fn references_lead_somewhere_and_bodies_take_no_unknown_field() {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut references = Vec::new();
    walk(&COMMON, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        assert!(COMMON.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for (name, schema) in COMMON["components"]["schemas"].as_object().unwrap() {
        if name.ends_with("Body") && name != "TokenBody" {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        }
    }
}

/// Words with which the name of a function begins that a generated client has for an operation.
const VERBS: &[&str] = &[
    "change",
    "confirm",
    "create",
    "delete",
    "end",
    "get",
    "introspect",
    "issue",
    "list",
    "log",
    "refresh",
    "register",
    "reinstate",
    "revoke",
    "rotate",
    "set",
    "suspend",
    "unlock",
    "update",
];

#[test]
fn operations_are_named_by_what_they_do_each_by_another_name() {
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&COMMON) {
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
        let verb = name.split('_').next().unwrap_or_default();
        assert!(VERBS.contains(&verb), "{name} of {method} {path} begins with no verb");
        assert!(names.insert(name), "{name} names two operations");
    }
}

#[test]
fn everything_in_the_document_is_described() {
    let missing = undescribed(&COMMON);
    assert!(missing.is_empty(), "no description: {missing:#?}");
}

#[test]
fn what_lacks_a_description_is_found() {
    let mut document = COMMON.clone();
    for pointer in [
        "/paths/~1api~1v1~1users/get",
        "/paths/~1api~1v1~1users/get/parameters/0",
        "/paths/~1api~1v1~1users/post/responses/201",
        "/paths/~1api~1v1~1users/post/responses/201/headers/ETag",
        "/components/schemas/Session",
        "/components/schemas/Session/properties/end_reason",
        "/components/schemas/UserPage/properties/data",
        "/tags/0",
    ] {
        document.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove("description").expect(pointer);
    }
    assert_eq!(
        undescribed(&document),
        [
            "tag auth",
            "get /api/v1/users",
            "get /api/v1/users: parameter q",
            "post /api/v1/users: header ETag of 201",
            "post /api/v1/users: answer 201",
            "Session",
            "Session.end_reason",
            "UserPage.data",
        ]
    );
}

/// Each operation with its path and method.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    entries(&document["paths"])
        .flat_map(|(path, item)| entries(item).map(move |(method, operation)| (path, method, operation)))
}

/// What in the document says nothing of itself: operations, parameters, answers and their headers, schemas, fields.
fn undescribed(document: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    let mut check = |what: String, value: &Value| {
        if value["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
            missing.push(what);
        }
    };
    for tag in document["tags"].as_array().into_iter().flatten() {
        check(format!("tag {}", tag["name"].as_str().unwrap_or_default()), tag);
    }
    for (path, method, operation) in operations(document) {
        let operation_name = format!("{method} {path}");
        check(operation_name.clone(), operation);
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            check(format!("{operation_name}: parameter {name}"), parameter);
        }
        for (status, answer) in entries(&operation["responses"]) {
            for (header, value) in entries(&answer["headers"]) {
                check(format!("{operation_name}: header {header} of {status}"), value);
            }
            check(format!("{operation_name}: answer {status}"), answer);
        }
    }
    for (name, schema) in entries(&document["components"]["schemas"]) {
        check(name.to_owned(), schema);
        for (field, property) in entries(&schema["properties"]) {
            check(format!("{name}.{field}"), property);
        }
    }
    missing
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
