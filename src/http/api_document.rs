//! The description of the API as this instance gives it: told as `/openapi.json` and shown as `/docs`.

use std::sync::LazyLock;

use serde_json::Value;

/// OpenAPI 3.1, made when it is asked for first. In the data of the app.
pub struct ApiDocument(LazyLock<Value, Box<dyn FnOnce() -> Value + Send>>);

impl ApiDocument {
    pub fn new(make: impl FnOnce() -> Value + Send + 'static) -> Self {
        Self(LazyLock::new(Box::new(make)))
    }
}

impl std::ops::Deref for ApiDocument {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.0
    }
}
