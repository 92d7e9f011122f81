//! Static files: embedded, with their hash in the URL, so that a browser keeps them for good and never has an old one.
//!
//! They alone are sent packed. A page that holds a secret and echoes what somebody else chose would tell the secret by its
//! length (BREACH), and so would an answer of the API.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, EntityTag, Header as _, IfNoneMatch, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest as _, Sha256};

use super::Answer;
use crate::domain::Error;

mod encoding;

use self::encoding::{Encoding, choose};

/// A file of `static/`, and what the build script made of it.
struct File {
    name: &'static str,
    plain: &'static [u8],
    brotli: &'static [u8],
    gzip: &'static [u8],
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/static.rs"));

/// A year, the longest that RFC 9111 caches keep; `immutable` (RFC 8246): not even asked for on reload.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// Bytes below which packing saves no packet.
const WORTH_PACKING: usize = 1024;

/// A file as it is served.
struct Asset {
    file: &'static File,
    /// `/static/app-<hash>.css`.
    url: String,
    hash: String,
    content_type: &'static str,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| FILES.iter().filter_map(asset).collect());

static BY_URL: LazyLock<HashMap<&'static str, &'static Asset>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| (asset.url.as_str(), asset)).collect());

/// `None` for a file whose type we don't serve.
fn asset(file: &'static File) -> Option<Asset> {
    let (stem, extension) = file.name.rsplit_once('.')?;
    let content_type = match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    let hash: String = Sha256::digest(file.plain)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Asset { file, url: format!("/static/{stem}-{hash}.{extension}"), hash, content_type })
}

impl Asset {
    fn bytes(&self, encoding: Encoding) -> &'static [u8] {
        match encoding {
            Encoding::Brotli => self.file.brotli,
            Encoding::Gzip => self.file.gzip,
            Encoding::Identity => self.file.plain,
        }
    }

    /// The encodings, the best first.
    fn encodings(&self) -> [Encoding; 3] {
        if self.file.plain.len() < WORTH_PACKING {
            [Encoding::Identity, Encoding::Brotli, Encoding::Gzip]
        } else {
            [Encoding::Brotli, Encoding::Gzip, Encoding::Identity]
        }
    }

    /// Each encoding is an entity of its own (RFC 9110, section 8.8.3.3).
    fn tag(&self, encoding: Encoding) -> EntityTag {
        EntityTag::new_strong(match encoding.name() {
            None => self.hash.clone(),
            Some(name) => format!("{}-{name}", self.hash),
        })
    }
}

/// The URL of `static/<name>`; empty for a file that is not there.
pub fn url(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.file.name == name).map_or("", |asset| &asset.url)
}

/// `GET /static/{file}`.
pub async fn serve(request: HttpRequest, file: web::Path<String>) -> Answer {
    let asset = BY_URL.get(format!("/static/{file}").as_str()).ok_or(Error::NotFound)?;
    Ok(answer(&request, asset, FOR_GOOD))
}

/// `GET /favicon.ico`, which browsers ask for unbidden. Its URL has no hash, so it is kept for a day.
pub async fn favicon(request: HttpRequest) -> Answer {
    let mark = ASSETS.iter().find(|asset| asset.file.name == "mark.svg").ok_or(Error::NotFound)?;
    Ok(answer(&request, mark, "public, max-age=86400"))
}

fn answer(request: &HttpRequest, asset: &Asset, cache: &'static str) -> HttpResponse {
    let Some(encoding) = choose(request.headers().get_all(ACCEPT_ENCODING), asset.encodings()) else {
        return HttpResponse::NotAcceptable().insert_header((VARY, ACCEPT_ENCODING.as_str())).finish();
    };
    let tag = asset.tag(encoding);
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, cache)).insert_header((VARY, ACCEPT_ENCODING.as_str()));
    if is_known(request, &tag) {
        return response.status(StatusCode::NOT_MODIFIED).insert_header((ETAG, tag)).finish();
    }
    if let Some(name) = encoding.name() {
        response.insert_header((CONTENT_ENCODING, name));
    }
    response.insert_header((ETAG, tag)).insert_header((CONTENT_TYPE, asset.content_type)).body(asset.bytes(encoding))
}

/// Whether who asks has it already (RFC 9110, section 13.1.2: a proxy may have made the tag weak).
fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    async fn asked(file: &str) -> Answer {
        serve(TestRequest::get().to_http_request(), web::Path::from(file.to_owned())).await
    }

    #[actix_web::test]
    async fn a_file_is_served_under_its_hash_and_kept_for_good() {
        for (name, content_type) in [
            ("app.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("mark.svg", "image/svg+xml"),
        ] {
            let file = url(name).strip_prefix("/static/").expect("a URL").to_owned();
            assert_ne!(file, name);
            let response = asked(&file).await.expect("the file");
            assert_eq!(response.headers().get(CONTENT_TYPE).expect("a type"), content_type);
            assert_eq!(response.headers().get(CACHE_CONTROL).expect("a rule"), FOR_GOOD);
        }
    }

    #[actix_web::test]
    async fn an_unknown_file_an_old_hash_and_a_bare_name_are_not_found() {
        for file in ["app.css", "app-0000000000000000.css", "../Cargo.toml", "", "app-.css"] {
            let problem = asked(file).await.expect_err(file);
            assert_eq!(problem.status.as_u16(), 404, "{file}");
        }
    }

    #[test]
    fn the_script_stays_small() {
        let script = FILES.iter().find(|file| file.name == "app.js").expect("app.js");
        assert!(script.plain.len() <= 3 * 1024, "{} bytes", script.plain.len());
    }
}
