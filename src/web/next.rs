//! Where to go on after a sign-in: a path of this server, whatever the link said.

use url::Url;

/// Where one lands without a `next`.
pub const DEFAULT: &str = "/account";

/// Bytes; a longer one is nobody's bookmark.
const MAX_LENGTH: usize = 2048;

/// `next` if a browser that follows it stays on this server, else [`DEFAULT`]: a bad one is no error, and never a
/// way to another site (CWE-601).
pub fn or_default<'a>(next: &'a str, public_url: &str) -> &'a str {
    or(DEFAULT, next, public_url)
}

/// The same where one lands elsewhere without a `next`.
pub fn or<'a>(default: &'a str, next: &'a str, public_url: &str) -> &'a str {
    if is_own_path(next, public_url) { next } else { default }
}

/// What pages that go on somewhere are asked with, in the query as in the form.
#[derive(serde::Deserialize)]
pub struct NextQuery {
    #[serde(default)]
    pub next: String,
}

/// A path that also a browser, which reads `\` as `/` and drops tabs and line ends (WHATWG URL), resolves to us.
/// Only printable ASCII: the value becomes a header.
fn is_own_path(next: &str, public_url: &str) -> bool {
    let path_and_query = next.split('#').next().unwrap_or_default();
    next.len() <= MAX_LENGTH
        && next.starts_with('/')
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !path_and_query.split('?').next().unwrap_or_default().contains("//")
        && Url::parse(public_url).is_ok_and(|base| {
            base.join(next).is_ok_and(|target| target.origin() == base.origin() && !target.path().starts_with("//"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://auth.example.org";

    #[test]
    fn paths_of_our_own_are_kept() {
        for next in
            ["/", "/account", "/account/sessions?limit=100", "/admin/users?q=a%2Fb&sort=-created_at#top", "/@e", "/a:b"]
        {
            assert_eq!(or_default(next, OURS), next);
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_ignored() {
        let long = format!("/{}", "a".repeat(8 * 1024));
        for next in [
            "",
            "account",
            "//e",
            "///e",
            "////e",
            r"/\e",
            r"\/e",
            r"\\e",
            r"\e",
            r"/\/e",
            r"//\e",
            "/\te",
            "/\t/e",
            "/\n/e",
            "/\r/e",
            "\t//e",
            " //e",
            " /account",
            "/ /e",
            "https:e",
            "https://e",
            "http://e",
            "https:/e",
            "https:///e",
            "HTTPS://e",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "mailto:a@e",
            "/..//e",
            "/.//e",
            "/a/..//e",
            "/%2e//e",
            "//e%00",
            "@e",
            "e",
            "e.org",
            ".e",
            "?next=//e",
            "#//e",
            "//e\\@auth.example.org",
            "https://auth.example.org@e",
            "https://auth.example.org.e",
            "//auth.example.org@e",
            "//auth.example.org:80/",
            "/\u{0}e",
            "/a\r\nSet-Cookie: a=b",
            "/a\nLocation: //e",
            "\u{ff0f}\u{ff0f}e",
            "/\u{ff0f}e",
            "/\u{2028}/e",
            "//e\u{3002}org",
            "/\u{3002}e",
            "/\u{feff}/e",
            "\u{202e}//e",
            "/é",
            "https://auth.example.org/account",
            "//[::1]",
            "//0",
            "//127.1",
            "//e?",
            "//e#",
            "///",
            "//",
            &long,
        ] {
            assert_eq!(or_default(next, OURS), DEFAULT, "{next:?}");
        }
    }

    /// Percent-encoded slashes and ends of line stay encoded: they are a path that we don't have, and a browser leaves them alone.
    #[test]
    fn whatever_is_kept_resolves_to_our_origin_as_a_browser_reads_it() {
        let base = Url::parse(OURS).expect("a URL");
        for next in [
            "/%2fe",
            "/%5ce",
            "/%09/e",
            "/%2f%2fe",
            "/%0d%0aSet-Cookie:a=b",
            "/..",
            "/../..",
            "/%2e%2e/e",
            "/a?//e",
            "/a#//e",
            "/a?next=//e",
        ] {
            let kept = or_default(next, OURS);
            let target = base.join(kept).expect("a URL");
            assert_eq!(target.origin(), base.origin(), "{next}");
            assert!(kept.bytes().all(|byte| byte.is_ascii_graphic()), "{next}");
        }
    }
}
