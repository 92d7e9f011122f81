//! Static files: embedded, with their hash in the URL, so that a browser keeps them for good and never has an old one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use rust_embed::RustEmbed;

use super::Answer;
use crate::domain::Error;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// A year, the longest that RFC 9111 caches keep; `immutable` (RFC 8246): not even asked for on reload.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// A file as it is served.
struct Asset {
    name: String,
    /// `/static/app-<hash>.css`.
    url: String,
    content_type: &'static str,
    data: Cow<'static, [u8]>,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files = Files::iter().filter_map(|name| Files::get(&name).map(|file| (name, file)));
    files.filter_map(|(name, file)| asset(&name, file)).collect()
});

static BY_URL: LazyLock<HashMap<&'static str, &'static Asset>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| (asset.url.as_str(), asset)).collect());

/// `None` for a file whose type we don't serve.
fn asset(name: &str, file: rust_embed::EmbeddedFile) -> Option<Asset> {
    let (stem, extension) = name.rsplit_once('.')?;
    let content_type = match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    let hash: String = file.metadata.sha256_hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Asset {
        name: name.to_owned(),
        url: format!("/static/{stem}-{hash}.{extension}"),
        content_type,
        data: file.data,
    })
}

/// The URL of `static/<name>`; empty for a file that is not there.
pub fn url(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.url)
}

/// `GET /static/{file}`.
pub async fn serve(file: web::Path<String>) -> Answer {
    let asset = BY_URL.get(format!("/static/{file}").as_str()).ok_or(Error::NotFound)?;
    Ok(answer(asset, FOR_GOOD))
}

/// `GET /favicon.ico`, which browsers ask for unbidden. Its URL has no hash, so it is kept for a day.
pub async fn favicon() -> Answer {
    let mark = ASSETS.iter().find(|asset| asset.name == "mark.svg").ok_or(Error::NotFound)?;
    Ok(answer(mark, "public, max-age=86400"))
}

fn answer(asset: &Asset, cache: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, cache))
        .body(asset.data.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_file_is_served_under_its_hash_and_kept_for_good() {
        for (name, content_type) in [
            ("app.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("mark.svg", "image/svg+xml"),
        ] {
            let file = url(name).strip_prefix("/static/").expect("a URL").to_owned();
            assert_ne!(file, name);
            let response = serve(web::Path::from(file)).await.expect("the file");
            assert_eq!(response.headers().get(CONTENT_TYPE).expect("a type"), content_type);
            assert_eq!(response.headers().get(CACHE_CONTROL).expect("a rule"), FOR_GOOD);
        }
    }

    #[actix_web::test]
    async fn an_unknown_file_an_old_hash_and_a_bare_name_are_not_found() {
        for file in ["app.css", "app-0000000000000000.css", "../Cargo.toml", "", "app-.css"] {
            let problem = serve(web::Path::from(file.to_owned())).await.expect_err(file);
            assert_eq!(problem.status.as_u16(), 404, "{file}");
        }
    }

    #[test]
    fn the_script_stays_small() {
        let script = Files::get("app.js").expect("app.js");
        assert!(script.data.len() <= 3 * 1024, "{} bytes", script.data.len());
    }
}
