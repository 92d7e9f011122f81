use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

#[derive(serde::Deserialize)]
pub struct Claims {
    pub sub: String,
    pub sid: String,
    pub role: String,
    pub preferred_username: String,
}

/// `None` for a token that is not good.
pub fn check(token: &str, keys: &JwkSet) -> Option<Claims> {
    let header = decode_header(token).ok()?;
    let key = keys.find(header.kid.as_deref()?)?;
    let mut expected = Validation::new(Algorithm::EdDSA);
    expected.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    expected.set_issuer(&["http://localhost:8080"]);
    expected.set_audience(&["http://localhost:8080"]);
    let token = decode::<Claims>(token, &DecodingKey::from_jwk(key).ok()?, &expected).ok()?;
    (header.typ.as_deref() == Some("at+jwt")).then_some(token.claims)
}
