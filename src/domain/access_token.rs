//! Access tokens: JWTs of the RFC 9068 profile, signed and verified here and nowhere else.
//!
//! A token only points at its session. That a token is well-formed, signed by us and timely says that it was ours; the
//! session store says whether it still counts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Header, Validation};
use secrecy::SecretString;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::signing_key::{Signer, SigningAlgorithm, Verifier};
use super::{Error, Role, SessionId, Timestamp, User, UserId};

/// By how much another node's clock may be ahead of ours: for `nbf` and `iat`. `exp` gets none. Nodes go by the database's
/// clock; this is for one that has not asked it of late.
pub const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// RFC 9068, section 2.1.
const TYPE: &str = "at+jwt";

/// `client_id` (RFC 9068, section 2.2) of who signs in with this server itself: the one client that there is.
pub const CLIENT_ID: &str = "portcullis";

/// Longest token that is looked at, and longest header in it, in bytes. Ours are below 1 KiB and 120 bytes.
const MAX_TOKEN: usize = 8192;
const MAX_HEADER: usize = 512;

/// A signed token. In clear for the answer alone.
#[derive(Debug)]
pub struct AccessToken {
    pub token: SecretString,
    /// Seconds.
    pub expires_in: i64,
}

/// What a token says. Times are seconds since 1970 (RFC 7519 section 2, whole numbers).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    #[serde(deserialize_with = "parsed")]
    pub sub: UserId,
    pub aud: String,
    /// [`CLIENT_ID`].
    pub client_id: String,
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    /// Unlike any other token's.
    pub jti: String,
    #[serde(deserialize_with = "parsed")]
    pub sid: SessionId,
    /// At the time of signing. What counts is the session's present one.
    #[serde(deserialize_with = "parsed")]
    pub role: Role,
    pub preferred_username: String,
    /// When the password was last entered.
    pub auth_time: i64,
}

/// Who signs, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// `iss` of every token.
    pub url: &'a str,
    /// `aud` of every token.
    pub audience: &'a str,
}

impl AccessClaims {
    /// What a token says that is signed `now` and good for `ttl`, but not beyond the session's absolute limit.
    pub fn new(
        issuer: Issuer<'_>,
        user: &User,
        sid: SessionId,
        auth_time: Timestamp,
        session_limit: Timestamp,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Self {
        let iat = now.timestamp();
        Self {
            iss: issuer.url.to_owned(),
            sub: user.id,
            aud: issuer.audience.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            exp: (now + ttl).timestamp().min(session_limit.timestamp()),
            iat,
            nbf: iat,
            jti: Uuid::new_v4().to_string(),
            sid,
            role: user.role,
            preferred_username: user.username.as_str().to_owned(),
            auth_time: auth_time.timestamp(),
        }
    }

    /// Whether the token may be used `now`: before `exp`, and neither signed nor beginning in the future.
    pub fn is_timely(&self, now: Timestamp) -> bool {
        let latest = (now + LEEWAY).timestamp();
        now.timestamp() < self.exp && self.nbf <= latest && self.iat <= latest
    }

    /// Signs.
    pub fn sign(&self, signer: &Signer) -> Result<AccessToken, Error> {
        let mut header = Header::new(signer.algorithm.of_jsonwebtoken());
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(signer.kid.clone());
        let token = jsonwebtoken::encode(&header, self, &signer.key).map_err(Error::internal)?;
        Ok(AccessToken { token: token.into(), expires_in: self.exp - self.iat })
    }
}

/// The members that a header has: these three, each once. All that could bring a key or a rule of its own along
/// (`jwk`, `jku`, `x5c`, `crit`, `b64`, …) is refused by not being here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoseHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// A token whose header has been read and nothing believed.
pub struct UnverifiedToken<'a> {
    token: &'a str,
    algorithm: SigningAlgorithm,
    kid: String,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads the header; [`Error::InvalidToken`] where it is not one that we write.
    pub fn parse(token: &'a str) -> Result<Self, Error> {
        Self::read(token).ok_or(Error::InvalidToken)
    }

    fn read(token: &'a str) -> Option<Self> {
        let mut parts = token.split('.');
        let (head, _, _) = (parts.next()?, parts.next()?, parts.next()?);
        if token.len() > MAX_TOKEN || head.len() > MAX_HEADER || parts.next().is_some() {
            return None;
        }
        let head: JoseHeader = object(&URL_SAFE_NO_PAD.decode(head).ok()?)?;
        let media_type = head.typ.to_ascii_lowercase();
        // RFC 7515, section 4.1.9: `application/` may be left out.
        if media_type.strip_prefix("application/").unwrap_or(&media_type) != TYPE {
            return None;
        }
        Some(Self { token, algorithm: head.alg.parse().ok()?, kid: head.kid })
    }

    /// The name of the key, as the token says.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Verifies the token with the key of that name: the key's own algorithm, the signature, issuer and audience, and
    /// that every claim is there once and of its type. The time is not looked at: [`AccessClaims::is_timely`].
    ///
    /// The only caller of a decoder of jsonwebtoken, whose defaults are lax.
    #[expect(clippy::disallowed_methods, reason = "the one place that verifies")]
    pub fn verify(&self, key: &Verifier, issuer: Issuer<'_>) -> Result<AccessClaims, Error> {
        if self.algorithm != key.algorithm {
            return Err(Error::InvalidToken);
        }
        let mut validation = Validation::new(key.algorithm.of_jsonwebtoken());
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer.url]);
        validation.set_audience(&[issuer.audience]);
        // Its clock is not ours.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let token = jsonwebtoken::decode::<AccessClaims>(self.token, &key.key, &validation);
        Ok(token.map_err(|_| Error::InvalidToken)?.claims)
    }
}

/// A JSON object; serde would take an array of the values too.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    json.starts_with(b"{").then(|| serde_json::from_slice(json).ok()).flatten()
}

/// A string in the one spelling that our types write.
fn parsed<'de, T: std::str::FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom("not one that we write"))
}

#[cfg(test)]
mod tests;
