//! Services that check our tokens with libraries that we did not write: PyJWT (Python), jose, express-oauth2-jwt-bearer
//! and oauth4webapi (JavaScript), the last two by the whole profile of RFC 9068. And a program that uses oauth4webapi.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use portcullis::domain::Role;
use portcullis::domain::keys::mac;
use portcullis::services::sessions::signing_keys;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::tools::{self, Dialogue};
use crate::support::*;

const SECRET: &str = "a secret that is shared with one service";

/// A running service for each library. They see each other's tokens only.
struct Services(Vec<(&'static str, Dialogue)>);

impl Services {
    /// Services that have not asked for any key yet, and expect tokens of `server` as `node` publishes its keys.
    fn new(server: &TestServer, node: &TestServer, algorithm: &str) -> Self {
        let jwks = format!("http://{}/.well-known/jwks.json", node.address);
        Self::start(server, algorithm, &json!({ "jwks": jwks }))
    }

    fn with_secret(server: &TestServer) -> Self {
        Self::start(server, "HS256", &json!({ "secret": SECRET }))
    }

    fn start(server: &TestServer, algorithm: &str, key: &Value) -> Self {
        let mut expected = key.clone();
        expected["issuer"] = server.public_url.as_str().into();
        expected["audience"] = server.public_url.as_str().into();
        expected["algorithm"] = algorithm.into();
        let expected = expected.to_string();
        let mut python = tools::python();
        python.args(["-c", include_str!("../foreign/verify.py")]);
        let mut services = vec![
            ("PyJWT", python),
            ("jose", tools::node(include_str!("../foreign/verify.mjs"))),
            ("express-oauth2-jwt-bearer", tools::node(include_str!("../foreign/verify_express.mjs"))),
        ];
        // It takes no shared secret.
        if algorithm != "HS256" {
            services.push(("oauth4webapi", tools::node(include_str!("../foreign/verify_oauth4webapi.mjs"))));
        }
        let start = |(library, mut command): (_, std::process::Command)| {
            command.arg(&expected);
            (library, Dialogue::start(command))
        };
        Self(services.into_iter().map(start).collect())
    }

    /// That each takes the token, as one for `subject`.
    fn take(&mut self, token: &str, subject: &str) {
        for (library, service) in &mut self.0 {
            assert_eq!(service.ask(token), format!("good {subject}"), "{library}: {token}");
        }
    }

    /// That each refuses the token, for a reason that it knows.
    fn refuse(&mut self, what: &str, token: &str) {
        for (library, service) in &mut self.0 {
            let answer = service.ask(token);
            assert!(answer.starts_with("refused ") && !answer.contains("undefined"), "{library}, {what}: {answer}");
        }
    }
}

async fn server(algorithm: &str) -> TestServer {
    match algorithm {
        "HS256" => TestServer::with(Sqlite, &[("jwt_algorithm", algorithm), ("jwt_secret", SECRET)]).await,
        _ => TestServer::with(Sqlite, &[("jwt_algorithm", algorithm)]).await,
    }
}

/// An access token of adele's, who is an administrator, and her id.
async fn token_of_adele(server: &TestServer) -> (ApiClient, String, String) {
    let program = server.program("adele").await;
    let token = program.access_token.clone().unwrap();
    (program, token, server.id_of("adele").await.to_string())
}

#[rstest]
#[tokio::test]
async fn our_tokens_verify_before_during_and_after_a_rotation(#[values("EdDSA", "ES256", "RS256")] algorithm: &str) {
    let server = server(algorithm).await;
    server.create("adele", Role::Admin).await;
    let (program, before, adele) = token_of_adele(&server).await;
    assert_eq!(part(&before, 0)["alg"], algorithm);
    let mut early = Services::new(&server, &server, algorithm);
    early.take(&before, &adele);

    let rotated = program.post("/api/v1/keys/rotate", &json!({})).await.expect(200).json();
    let (_, after, _) = token_of_adele(&server).await;
    assert_eq!(part(&after, 0)["kid"], rotated["kid"]);
    assert_ne!(part(&after, 0)["kid"], part(&before, 0)["kid"]);
    // The new key was published before: whoever has the keys of that time knows it. What the former one signed is good.
    early.take(&after, &adele);
    early.take(&before, &adele);
    let mut fresh = Services::new(&server, &server, algorithm);
    fresh.take(&before, &adele);
    fresh.take(&after, &adele);
    assert!(program.is_signed_in().await, "the rotation signed somebody out");

    // Once the last token of the former key is dead, the key is gone, as a node that starts now tells.
    server.clock.advance(TimeDelta::hours(1));
    signing_keys::rotate_when_due(&server.services).await.unwrap();
    let node = server.second_node().await;
    let mut late = Services::new(&server, &node, algorithm);
    late.refuse("a key that is gone", &before);
    late.take(&after, &adele);
}

#[rstest]
#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused_by_them_and_by_us(
    #[values("EdDSA", "ES256", "RS256")] algorithm: &str,
) {
    let server = server(algorithm).await;
    server.create("adele", Role::Admin).await;
    let (program, token, adele) = token_of_adele(&server).await;
    let keys = program.get("/.well-known/jwks.json").await.expect(200).json();
    let kid = part(&token, 0)["kid"].clone();
    let jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap().clone();

    let mut forged = tampered(&token);
    // The public key as the secret of an HMAC, in every form in which a library could have it.
    let der = public_key_info(algorithm, &jwk);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines(&STANDARD.encode(&der)));
    for (form, secret) in [
        ("PEM", pem.clone().into_bytes()),
        ("PEM without the last line break", pem.trim_end().as_bytes().to_vec()),
        ("DER", der),
        ("JWK", jwk.to_string().into_bytes()),
        ("x or n", bytes(&jwk, if algorithm == "RS256" { "n" } else { "x" })),
        ("nothing", Vec::new()),
    ] {
        let mut head = part(&token, 0);
        head["alg"] = "HS256".into();
        forged.push((format!("HS256 with the public key: {form}"), signed(&head, &part(&token, 1), &secret)));
    }
    // Signed by our key, for somebody else.
    let elsewhere = server.second_node_with(&[("jwt_audience", "https://other.example.org")]).await;
    forged.push(("another audience".to_owned(), token_of_adele(&elsewhere).await.1));
    let elsewhere = server.second_node_with(&[("public_url", "http://127.0.0.1:9")]).await;
    forged.push(("another issuer".to_owned(), token_of_adele(&elsewhere).await.1));

    let mut services = Services::new(&server, &server, algorithm);
    services.take(&token, &adele);
    refused_by_all(&server, &mut services, &forged).await;
    services.take(&token, &adele);
}

#[tokio::test]
async fn with_hs256_whoever_has_the_secret_can_check_our_tokens() {
    let server = server("HS256").await;
    server.create("adele", Role::Admin).await;
    let (program, token, adele) = token_of_adele(&server).await;
    assert_eq!(program.get("/.well-known/jwks.json").await.expect(200).json(), json!({ "keys": [] }));
    program.post("/api/v1/keys/rotate", &json!({})).await.expect(422);
    let mut services = Services::with_secret(&server);
    services.take(&token, &adele);

    let (head, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!(signed(&head, &claims, SECRET.as_bytes()).len(), token.len());
    let mut forged = tampered(&token);
    forged.push(("another secret".to_owned(), signed(&head, &claims, b"a secret that nobody shares with them")));
    let now = server.clock.now().timestamp();
    for (member, value) in [
        ("aud", json!("https://other.example.org")),
        ("iss", json!("https://other.example.org")),
        ("exp", json!(now - 61)),
        ("nbf", json!(now + 600)),
        ("exp", json!("tomorrow")),
    ] {
        let mut claims = claims.clone();
        claims[member] = value;
        forged.push((format!("{member} {}", claims[member]), signed(&head, &claims, SECRET.as_bytes())));
    }
    for (member, value) in
        [("typ", json!("JWT")), ("typ", Value::Null), ("crit", json!(["exp"])), ("alg", json!("HS512"))]
    {
        let mut head = head.clone();
        head[member] = value;
        forged.push((format!("{member} {}", head[member]), signed(&head, &claims, SECRET.as_bytes())));
    }
    refused_by_all(&server, &mut services, &forged).await;
    services.take(&token, &adele);
}

#[rstest]
#[tokio::test]
async fn an_oauth_library_finds_refreshes_checks_introspects_and_revokes(
    #[values("EdDSA", "ES256", "RS256")] algorithm: &str,
) {
    let server = server(algorithm).await;
    server.create("manuel", Role::Manager).await;
    server.create_user("anna").await;
    let (program, service) = (server.program("anna").await, server.program("manuel").await);
    let given = json!({
        "issuer": server.public_url, "refresh_token": program.refresh_token, "service_token": service.access_token,
    });
    let mut client = tools::node(include_str!("../foreign/oauth_client.mjs"));
    client.arg(given.to_string());
    let output = tokio::task::spawn_blocking(move || client.output()).await.unwrap().expect("Node.js");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    for answer in ["claims", "access", "refreshed"] {
        assert_eq!(seen[answer]["client_id"], "portcullis", "{answer}");
        assert_eq!(seen[answer]["sid"], json!(program.session_id), "{answer}");
    }
    assert_eq!((&seen["access"]["active"], &seen["refreshed"]["active"]), (&json!(true), &json!(true)));
    assert_eq!((&seen["after"], &seen["error"]), (&json!({ "active": false }), &json!("invalid_grant")));
}

async fn refused_by_all(server: &TestServer, services: &mut Services, forged: &[(String, String)]) {
    for (what, token) in forged {
        services.refuse(what, token);
        let mut program = ApiClient::new(server);
        program.access_token = Some(token.clone());
        let answer = program.get("/api/v1/me").await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("invalid_token")), "{what}: {}", answer.body);
    }
}

/// The token with every part changed in turn; for each a word that says how.
fn tampered(token: &str) -> Vec<(String, String)> {
    let parts: Vec<_> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else { panic!("{token}") };
    let changed = |index, member: &str, value: Value| {
        let mut object = part(token, index);
        object[member] = value;
        encoded(&object)
    };
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[7] ^= 1;
    let other = URL_SAFE_NO_PAD.encode(&bytes);
    let none = |word: &str| changed(0, "alg", word.into());
    let cases = [
        ("a role of its own", format!("{head}.{}.{signature}", changed(1, "role", "manager".into()))),
        ("a longer life", format!("{head}.{}.{signature}", changed(1, "exp", 4_000_000_000_u32.into()))),
        ("a changed signature", format!("{head}.{claims}.{other}")),
        ("no signature", format!("{head}.{claims}.")),
        ("half a signature", format!("{head}.{claims}.{}", &signature[..40])),
        ("alg none", format!("{}.{claims}.", none("none"))),
        ("alg None", format!("{}.{claims}.", none("None"))),
        ("alg none with a signature", format!("{}.{claims}.{signature}", none("none"))),
        ("another typ", format!("{}.{claims}.{signature}", changed(0, "typ", "JWT".into()))),
        ("an unknown kid", format!("{}.{claims}.{signature}", changed(0, "kid", "AAAAAAAAAAAAAAAAAAAAAA".into()))),
        ("two parts", format!("{head}.{claims}")),
        ("four parts", format!("{token}.{signature}")),
    ];
    cases.into_iter().map(|(what, token)| (what.to_owned(), token)).collect()
}

// --- the parts of a token ----------------------------------------------------------------------------------------

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// With an HMAC-SHA-256, whatever the head says.
fn signed(head: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", encoded(head), encoded(claims));
    let signature = mac(secret, &[signed.as_bytes()]);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn bytes(jwk: &Value, member: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[member].as_str().unwrap()).unwrap()
}

/// `SubjectPublicKeyInfo` (RFC 5280, 4.1) of a JWK.
fn public_key_info(algorithm: &str, jwk: &Value) -> Vec<u8> {
    const ED25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x70];
    const EC_P256: [u8; 19] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const RSA: [u8; 13] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let number = |member| der(2, &[&[0][..], &bytes(jwk, member)].concat());
    let (identifier, key) = match algorithm {
        "EdDSA" => (&ED25519[..], bytes(jwk, "x")),
        "ES256" => (&EC_P256[..], [&[4][..], &bytes(jwk, "x"), &bytes(jwk, "y")].concat()),
        // The exponent begins with a zero bit: no zero byte before it.
        _ => (&RSA[..], der(0x30, &[number("n"), der(2, &bytes(jwk, "e"))].concat())),
    };
    der(0x30, &[der(0x30, identifier), der(3, &[&[0][..], &key].concat())].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..128 => vec![tag, length as u8],
        128..256 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, content.to_vec()].concat()
}

/// Of 64 characters, as PEM wants them.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n")
}
