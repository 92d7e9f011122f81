//! What pages with a list share: choices that narrow it, and addresses with its parameters.

use url::form_urlencoded;

/// A choice of a `<select>`.
pub struct Choice {
    pub value: &'static str,
    pub title: &'static str,
    pub selected: bool,
}

/// The address of a page with those of these parameters that say something.
pub fn url(path: &str, parameters: &[(&str, &str)]) -> String {
    let said = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
