use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::super::keys::RootKey;
use super::super::signing_key::{SealedKey, Vault};
use super::super::{Clock, EmailAddress, UserStatus, Username};
use super::*;

const ISSUER: Issuer<'_> = Issuer { url: "https://id.example.org", audience: "https://id.example.org" };

/// A key with both its parts, and the JWK as it is published.
struct Key {
    signer: Signer,
    verifier: Verifier,
    jwk: Value,
}

fn key(algorithm: SigningAlgorithm) -> Key {
    if algorithm == SigningAlgorithm::Hs256 {
        let secret = [7; 32];
        return Key { signer: Signer::shared(&secret), verifier: Verifier::shared(&secret), jwk: Value::Null };
    }
    let vault = Vault::new(&RootKey::new(vec![1; 32])).unwrap();
    let sealed = SealedKey::generate(algorithm, &vault).unwrap();
    let jwk = serde_json::from_str(&sealed.public_jwk).unwrap();
    Key {
        signer: Signer::open(&sealed.kid, algorithm, &sealed.private_key, &vault).unwrap(),
        verifier: Verifier::of_jwk(algorithm, &jwk).unwrap(),
        jwk,
    }
}

fn user() -> User {
    let now = Clock::default().now();
    User {
        id: UserId::new(now),
        username: Username::parse("ann").unwrap(),
        email: EmailAddress::parse("ann@example.org").unwrap(),
        name: None,
        role: Role::Manager,
        status: UserStatus::Active,
        epoch: 1,
        created_at: now,
        has_password: true,
        password_changed_at: None,
        last_sign_in_at: None,
    }
}

fn claims() -> AccessClaims {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (ttl, limit) = (TimeDelta::minutes(15), now + TimeDelta::hours(24));
    AccessClaims::new(ISSUER, &user(), SessionId::new(now), now - TimeDelta::minutes(1), limit, ttl, now)
}

fn verify(token: &str, key: &Key) -> Result<AccessClaims, Error> {
    UnverifiedToken::parse(token)?.verify(&key.verifier, ISSUER)
}

fn refused(token: &str, key: &Key) -> bool {
    matches!(verify(token, key), Err(Error::InvalidToken))
}

fn sign(claims: &AccessClaims, key: &Key) -> String {
    claims.sign(&key.signer).unwrap().token.expose_secret().to_owned()
}

/// A token with any header and payload, signed with `key` by `algorithm`.
fn forge(head: &str, payload: &str, algorithm: jsonwebtoken::Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(payload));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// The same with the right key.
fn signed(head: &str, payload: &str, key: &Key) -> String {
    forge(head, payload, key.signer.algorithm.of_jsonwebtoken(), &key.signer.key)
}

fn head(key: &Key) -> Value {
    json!({"typ": TYPE, "alg": key.signer.algorithm.as_str(), "kid": key.signer.kid})
}

fn payload() -> Value {
    serde_json::to_value(claims()).unwrap()
}

#[test]
fn what_is_signed_verifies_and_says_what_the_profile_asks_for() {
    for algorithm in SigningAlgorithm::ALL {
        let (key, claims) = (key(*algorithm), claims());
        let token = sign(&claims, &key);
        assert_eq!(verify(&token, &key).unwrap(), claims, "{algorithm}");
        let part = |index: usize| -> Value {
            let part = token.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0), head(&key));
        let body = part(1);
        let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = "aud auth_time client_id exp iat iss jti nbf preferred_username role sid sub"
            .split(' ')
            .collect::<Vec<_>>();
        assert_eq!(names, expected);
        assert_eq!(body["client_id"], "portcullis");
        assert_eq!(body["role"], "manager");
        assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 900);
        assert_eq!(body["iat"].as_i64().unwrap() - body["auth_time"].as_i64().unwrap(), 60);
    }
}

#[test]
fn a_token_of_another_key_of_the_same_algorithm_is_refused() {
    for algorithm in SigningAlgorithm::ALL.iter().filter(|algorithm| **algorithm != SigningAlgorithm::Hs256) {
        assert!(refused(&sign(&claims(), &key(*algorithm)), &key(*algorithm)), "{algorithm}");
    }
}

#[test]
fn the_algorithm_is_that_of_the_key_whatever_the_token_says() {
    let key = key(SigningAlgorithm::EdDsa);
    let good = signed(&head(&key).to_string(), &payload().to_string(), &key);
    assert!(verify(&good, &key).is_ok());
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS384", "RS256", "ES256", "eddsa", "Ed25519"] {
        let mut head = head(&key);
        head["alg"] = algorithm.into();
        assert!(refused(&signed(&head.to_string(), &payload().to_string(), &key), &key), "{algorithm}");
        let unsigned =
            format!("{}.", signed(&head.to_string(), &payload().to_string(), &key).rsplit_once('.').unwrap().0);
        assert!(refused(&unsigned, &key), "{algorithm}, unsigned");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256] {
        let key = key(algorithm);
        let bytes = |member: &str| {
            key.jwk[member].as_str().map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap_or_default()
        };
        let raw = [bytes("x"), bytes("y")].concat();
        // SubjectPublicKeyInfo, RFC 8410 and RFC 5480.
        let der = match algorithm {
            SigningAlgorithm::EdDsa => [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0], &raw[..]].concat(),
            _ => {
                let prefix = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
                let prefix: Vec<u8> = (0..prefix.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&prefix[at..at + 2], 16).unwrap())
                    .collect();
                [&prefix[..], &raw[..]].concat()
            }
        };
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
        let secrets = [
            raw,
            der,
            format!(" {pem}").into_bytes(),
            format!("\n{pem}").into_bytes(),
            pem.trim_end().as_bytes().to_vec(),
            pem.into_bytes(),
            key.jwk.to_string().into_bytes(),
            key.jwk["x"].as_str().unwrap().as_bytes().to_vec(),
            Vec::new(),
        ];
        for secret in secrets {
            let mut head = head(&key);
            head["alg"] = "HS256".into();
            let shared = EncodingKey::from_secret(&secret);
            let hmac = jsonwebtoken::Algorithm::HS256;
            assert!(refused(&forge(&head.to_string(), &payload().to_string(), hmac, &shared), &key));
            head["alg"] = algorithm.as_str().into();
            assert!(refused(&forge(&head.to_string(), &payload().to_string(), hmac, &shared), &key));
        }
    }
}

#[test]
fn a_header_has_three_members_each_once() {
    let key = key(SigningAlgorithm::EdDsa);
    let (kid, payload) = (&key.signer.kid, payload().to_string());
    let accepts = |head: &str| !refused(&signed(head, &payload, &key), &key);
    assert!(accepts(&format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#)));
    for more in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
        r#""jku":"http://127.0.0.1:1/keys""#,
        r#""x5u":"http://127.0.0.1:1/chain""#,
        r#""x5c":["AAAA"]"#,
        r#""x5t":"AAAA""#,
        r#""x5t#S256":"AAAA""#,
        r#""cty":"JWT""#,
        r#""zip":"DEF""#,
        r#""alg":"none""#,
        r#""alg":"EdDSA""#,
        r#""typ":"at+jwt""#,
        r#""kid":"../../dev/null""#,
    ] {
        assert!(!accepts(&format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}",{more}}}"#)), "{more}");
        assert!(!accepts(&format!(r#"{{{more},"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#)), "{more}");
    }
    for wrong in [
        format!(r#"["EdDSA","at+jwt","{kid}"]"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"at+jwt","kid":"{kid}"}}"#),
        r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(),
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":7}"#.to_owned(),
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":null}"#.to_owned(),
        format!(r#"{{"alg":["EdDSA"],"typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, "k".repeat(10_000)),
        "null".to_owned(),
        String::new(),
    ] {
        assert!(!accepts(&wrong), "{wrong}");
    }
}

#[test]
fn only_an_access_token_is_one() {
    let key = key(SigningAlgorithm::EdDsa);
    for (typ, expected) in [
        ("at+jwt", true),
        ("AT+JWT", true),
        ("application/at+jwt", true),
        ("Application/AT+jwt", true),
        ("JWT", false),
        ("", false),
        ("id+jwt", false),
        ("at+jwt ", false),
        ("text/at+jwt", false),
        ("application/application/at+jwt", false),
    ] {
        let mut head = head(&key);
        head["typ"] = typ.into();
        assert_eq!(verify(&signed(&head.to_string(), &payload().to_string(), &key), &key).is_ok(), expected, "{typ}");
    }
}

#[test]
fn every_claim_is_there_once_and_of_its_type() {
    let key = key(SigningAlgorithm::EdDsa);
    let head = head(&key).to_string();
    let accepts = |payload: &str| !refused(&signed(&head, payload, &key), &key);
    assert!(accepts(&payload().to_string()));
    let good = payload();
    for (name, value) in good.as_object().unwrap() {
        let with = |value: Option<Value>| {
            let mut payload = payload();
            match value {
                Some(value) => payload[name] = value,
                None => drop(payload.as_object_mut().unwrap().remove(name)),
            }
            payload.to_string()
        };
        assert!(!accepts(&with(None)), "without {name}");
        let wrong = [json!(null), json!([value]), json!({"": value}), json!(true), json!(""), json!(1.5), json!("NaN")];
        // Texts that we compare with nothing may be any.
        let is_free = ["client_id", "jti", "preferred_username"].contains(&name.as_str());
        for wrong in wrong.into_iter().filter(|wrong| !(is_free && wrong.is_string())) {
            assert!(!accepts(&with(Some(wrong.clone()))), "{name}: {wrong}");
        }
        if value.is_i64() {
            assert!(!accepts(&with(Some(json!(value.to_string())))), "{name} as text");
            assert!(!accepts(&with(Some(json!(u64::MAX)))), "{name} out of range");
        } else {
            assert!(!accepts(&with(Some(json!(7)))), "{name} as a number");
        }
        let twice = good.to_string().replacen('{', &format!(r#"{{"{name}":{value},"#), 1);
        assert!(!accepts(&twice), "{name} twice");
    }
    for (name, value) in [
        ("iss", "https://evil.example.org"),
        ("iss", "https://id.example.org/"),
        ("aud", "https://other.example.org"),
        ("role", "Admin"),
        ("role", "king"),
        ("sub", "01890A5D-AC96-774B-BCCE-B302099A8057"),
        ("sid", "../../etc/passwd"),
    ] {
        let mut payload = payload();
        payload[name] = value.into();
        assert!(!accepts(&payload.to_string()), "{name}: {value}");
    }
    for wrong in ["", "null", "[]", "{}", "{", "\u{feff}{}"] {
        assert!(!accepts(wrong), "{wrong}");
    }
}

#[test]
fn a_token_is_good_until_just_before_its_end_and_from_its_beginning_give_or_take_a_minute() {
    let claims = claims();
    let timely = |claims: &AccessClaims, second: i64| claims.is_timely(Timestamp::from_millis(second * 1000));
    let (iat, exp, leeway) = (claims.iat, claims.exp, LEEWAY.num_seconds());
    assert_eq!(leeway, 60);
    for (second, expected) in [
        (iat, true),
        (exp - 1, true),
        (exp, false),
        (exp + leeway + 1, false),
        (iat - leeway, true),
        (iat - leeway - 1, false),
    ] {
        assert_eq!(timely(&claims, second), expected, "{second}");
    }
    assert!(claims.is_timely(Timestamp::from_millis(exp * 1000 - 1)));
    let later = |nbf, iat| AccessClaims { nbf: claims.nbf + nbf, iat: claims.iat + iat, ..claims.clone() };
    for (ahead, expected) in [(-1, true), (0, true), (leeway, true), (leeway + 1, false)] {
        assert_eq!(timely(&later(ahead, 0), iat), expected, "nbf {ahead}");
        assert_eq!(timely(&later(0, ahead), iat), expected, "iat {ahead}");
    }
    for extreme in [i64::MIN, i64::MAX] {
        timely(&AccessClaims { exp: extreme, nbf: extreme, iat: extreme, ..claims.clone() }, iat);
    }
}

#[test]
fn a_token_does_not_outlive_its_session() {
    let now = Timestamp::from_millis(1_800_000_000_500);
    let until = |limit| {
        let claims = AccessClaims::new(ISSUER, &user(), SessionId::new(now), now, limit, TimeDelta::minutes(15), now);
        (claims.sign(&key(SigningAlgorithm::EdDsa).signer).unwrap().expires_in, claims.is_timely(now))
    };
    assert_eq!(until(now + TimeDelta::hours(1)), (900, true));
    assert_eq!(until(now + TimeDelta::seconds(60)), (60, true));
    assert!(!until(now).1);
}

#[test]
fn a_token_has_one_spelling() {
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256, SigningAlgorithm::Hs256] {
        let key = key(algorithm);
        let token = sign(&claims(), &key);
        for length in 0..token.len() {
            assert!(refused(&token[..length], &key), "cut to {length}");
        }
        let (message, signature) = token.rsplit_once('.').unwrap();
        for wrong in [
            format!("{token}="),
            format!("{token}=="),
            format!("{token} "),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{signature}"),
            format!("{message}.."),
            format!("{message}.{}", signature.replace(['-', '_'], "+")),
            format!("{message}.{signature}A"),
        ] {
            assert!(wrong == token || refused(&wrong, &key), "{wrong}");
        }
        // 32 and 64 bytes leave bits of the last character unused: only one of its spellings is the right one.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let accepted = alphabet.chars().filter(|last| !refused(&format!("{}{last}", &token[..token.len() - 1]), &key));
        assert_eq!(accepted.count(), 1, "{algorithm}");
        assert!(refused(&format!("{message}.{}", "A".repeat(9000)), &key));
    }
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let key = key(SigningAlgorithm::EdDsa);
    let token = sign(&claims(), &key);
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let kept = UnverifiedToken::parse(&changed).is_ok_and(|token| token.kid() == key.signer.kid);
        assert!(!kept || refused(&changed, &key), "{at}");
    }
}

#[test]
fn a_signed_token_does_not_print() {
    let token = claims().sign(&key(SigningAlgorithm::EdDsa).signer).unwrap();
    assert!(!format!("{token:?}").contains(token.token.expose_secret()));
}
