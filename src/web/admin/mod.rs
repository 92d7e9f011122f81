//! Pages that administer: managers look and help, administrators change. The route table says which is whose; the
//! services say who reaches whom.

pub mod audit;
pub mod chart;
pub mod dashboard;
pub mod end_sessions;
pub mod keys;
pub mod sessions;
pub mod settings;

use url::form_urlencoded;

/// A choice of a `<select>`.
pub struct Choice {
    pub value: &'static str,
    pub title: &'static str,
    pub selected: bool,
}

/// The address of a page with those of these parameters that say something.
fn url(path: &str, parameters: &[(&str, &str)]) -> String {
    let said = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
