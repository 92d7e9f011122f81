//! Static files packed for those who take that, and everything else never.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use portcullis::routes;
use reqwest::Method;
use serde_json::json;

use crate::support::*;

/// What browsers send.
const ALL: &str = "gzip, deflate, br, zstd";

/// The URLs of the style sheet and of the icon.
async fn urls(browser: &mut Browser) -> Vec<String> {
    let page = browser.get("/login").await.expect(200);
    let urls = page.attributes("link, script", "href").into_iter().chain(page.attributes("script", "src"));
    let mut urls: Vec<_> = urls.filter(|url| url.starts_with("/static/")).collect();
    urls.push("/favicon.ico".to_owned());
    assert!(urls.len() >= 2, "{urls:?}");
    urls
}

/// What the answer is when a client of the system unpacks it.
fn unpacked(packed: &[u8], encoding: &str) -> Vec<u8> {
    let modules = match encoding {
        "gzip" => "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))",
        _ => "const z = require('zlib'); process.stdout.write(z.brotliDecompressSync(require('fs').readFileSync(0)))",
    };
    let (program, flag) = if encoding == "gzip" { ("python3", "-c") } else { ("node", "-e") };
    let mut child = Command::new(program)
        .args([flag, modules])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; run tests/run.sh, which installs it"));
    child.stdin.take().unwrap().write_all(packed).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{encoding}");
    output.stdout
}

/// Status, headers and body, as they come.
async fn fetch(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = request.request(method, format!("http://{}{path}", server.address));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_static_file_comes_in_the_encoding_that_is_liked_most_and_is_the_same_in_each() {
    let server = TestServer::start(Sqlite).await;
    let sheet = urls(&mut server.browser()).await.into_iter().find(|url| url.ends_with(".css")).unwrap();
    let plain = fetch(&server, Method::GET, &sheet, &[]).await;
    assert_eq!(header(&plain, "content-encoding"), None);
    assert!(header(&plain, "vary").is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding")));
    let tag = header(&plain, "etag").unwrap().to_owned();
    let plain = plain.bytes().await.unwrap();
    let mut tags = BTreeSet::from([tag]);
    for (accept, encoding) in [(ALL, "br"), ("gzip", "gzip"), ("br;q=0.5, gzip", "gzip"), ("*", "br")] {
        let asked = [("accept-encoding", accept)];
        let answer = fetch(&server, Method::GET, &sheet, &asked).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-encoding"), Some(encoding), "{accept}");
        assert_eq!(header(&answer, "vary").unwrap().to_ascii_lowercase(), "accept-encoding");
        assert_eq!(header(&answer, "content-type"), Some("text/css; charset=utf-8"));
        assert!(header(&answer, "cache-control").unwrap().contains("immutable"));
        let (tag, length) =
            (header(&answer, "etag").unwrap().to_owned(), header(&answer, "content-length").unwrap().to_owned());
        tags.insert(tag.clone());
        let packed = answer.bytes().await.unwrap();
        assert_eq!(packed.len().to_string(), length, "{accept}");
        assert!(packed.len() * 3 < plain.len(), "{accept}: {} of {}", packed.len(), plain.len());
        assert!(unpacked(&packed, encoding) == plain, "{accept}");

        // The head alone says the same.
        let head = fetch(&server, Method::HEAD, &sheet, &asked).await;
        for name in ["content-encoding", "content-length", "etag", "vary", "content-type"] {
            let value = match name {
                "content-encoding" => encoding,
                "content-length" => &length,
                "etag" => &tag,
                "vary" => "accept-encoding",
                _ => "text/css; charset=utf-8",
            };
            assert!(header(&head, name).is_some_and(|seen| seen.eq_ignore_ascii_case(value)), "{name}: {head:?}");
        }
        assert!(head.bytes().await.unwrap().is_empty());

        // Who has it is told so, also where a proxy made the tag weak.
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let same = fetch(&server, Method::GET, &sheet, &[asked[0], ("if-none-match", &known)]).await;
            assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, Some(&*tag)), "{known}");
            assert!(header(&same, "vary").is_some() && header(&same, "cache-control").is_some());
            assert!(header(&same, "content-encoding").is_none());
            assert!(same.bytes().await.unwrap().is_empty());
        }
        let other = fetch(&server, Method::GET, &sheet, &[asked[0], ("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status(), 200);
    }
    assert_eq!(tags.len(), 3, "one tag for each encoding: {tags:?}");
    for (accept, status) in [("identity", 200), ("deflate", 200), ("nonsense;;q", 200), ("", 200), ("*;q=0", 406)] {
        let answer = fetch(&server, Method::GET, &sheet, &[("accept-encoding", accept)]).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "content-encoding")), (status, None), "{accept}");
    }
}

#[tokio::test]
async fn a_small_file_stays_as_it_is_unless_only_a_packed_one_is_taken() {
    let server = TestServer::start(Sqlite).await;
    let plain = fetch(&server, Method::GET, "/favicon.ico", &[("accept-encoding", ALL)]).await;
    assert_eq!(header(&plain, "content-encoding"), None);
    assert!(header(&plain, "vary").is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding")));
    let plain = plain.bytes().await.unwrap();
    assert!(plain.starts_with(b"<svg"));
    for (accept, encoding) in [("br, identity;q=0", "br"), ("gzip;q=0.1, *;q=0", "gzip")] {
        let packed = fetch(&server, Method::GET, "/favicon.ico", &[("accept-encoding", accept)]).await;
        assert_eq!(header(&packed, "content-encoding"), Some(encoding), "{accept}");
        assert!(unpacked(&packed.bytes().await.unwrap(), encoding) == plain, "{accept}");
    }
}

/// Every route, asked by an administrator of both kinds: BREACH reads a secret from the length of a packed page.
#[tokio::test]
async fn nothing_but_static_files_is_ever_packed() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.signed_in(KEEPER).await;
    let mut program = ApiClient::new(&server);
    program.sign_in(KEEPER).await;
    let headers = [("accept-encoding", ALL), ("sec-fetch-site", "same-origin")];
    let (mut pages, mut tokens, mut documents) = (0, 0, 0);
    let mut look = |page: &Page| {
        let what = format!("{} {}", page.status, page.path);
        assert_eq!(page.header("content-encoding"), None, "{what}");
        assert!(page.header("vary").is_none_or(|vary| !vary.to_ascii_lowercase().contains("encoding")), "{what}");
        let kind = page.header("content-type").unwrap_or_default();
        pages += usize::from(kind.starts_with("text/html"));
        documents += usize::from(kind.contains("json"));
        tokens += usize::from(page.body.contains("csrf_token"));
    };
    let id = server.id_of(KEEPER).await.to_string();
    for route in routes::ALL.iter().filter(|route| !route.path.ends_with("/logout")) {
        if route.path == "/static/{file}" || route.path == "/favicon.ico" {
            continue;
        }
        for placeholder in ["unknown", &id] {
            let parts = route.path.split('/').map(|part| if part.starts_with('{') { placeholder } else { part });
            let path = parts.collect::<Vec<_>>().join("/");
            let method = Method::from_bytes(route.method.as_bytes()).unwrap();
            let is_form = method == Method::POST;
            let form = [&headers[..], &[("content-type", "application/x-www-form-urlencoded")]].concat();
            let body = is_form.then(|| b"echo=chosen&csrf_token=chosen".to_vec());
            look(&browser.send(method, &path, if is_form { &form } else { &headers }, body).await);
            // What an administrator would destroy is asked of the pages alone, which refuse without a token.
            if route.method == "GET" {
                look(&program.send("GET", &path, &headers, None).await);
            }
        }
    }
    for (path, body) in [
        ("/api/v1/auth/login", json!({"username": KEEPER, "password": PASSWORD})),
        ("/api/v1/auth/login", json!({"username": KEEPER, "password": "wrong"})),
        ("/api/v1/auth/register", json!({"echo": "chosen"})),
    ] {
        look(&program.json_with("POST", path, &body, &headers).await);
    }
    let wrong = [("username", KEEPER), ("password", "wrong")];
    look(&server.browser().post_with("/login", &wrong, &headers).await);
    assert!(browser.is_signed_in().await && program.is_signed_in().await);
    assert!(pages > 60 && tokens > 15 && documents > 30, "{pages} pages, {tokens} with a token, {documents} documents");
}
