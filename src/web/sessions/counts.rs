//! How many sessions there are, and what happens to so many, in words.

use crate::services::sessions::counts::{Figure, OpenSessions};
use crate::web::number::number;

/// What ends one's own session.
pub const SIGNS_YOU_OUT: &str = "This signs you out.";

/// "2,031", or "about 1,000,000" where it is not counted for each page.
pub fn format_figure(figure: Figure) -> String {
    let value = number(figure.value.unsigned_abs());
    if figure.exact { value } else { format!("about {value}") }
}

/// "1 session", "5 sessions".
pub fn sessions(figure: Figure) -> String {
    format!("{} session{}", format_figure(figure), if figure.value == 1 { "" } else { "s" })
}

/// "3 in browsers, 2 of programs"; nothing where there is none.
pub fn kinds(open: OpenSessions) -> String {
    let kind = |figure: Figure, one: &str, many: &str| match figure.value {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{} {many}", format_figure(figure))),
    };
    let browsers = kind(open.browser, "in a browser", "in browsers");
    let programs = kind(open.api, "of a program", "of programs");
    browsers.into_iter().chain(programs).collect::<Vec<_>>().join(", ")
}

/// "5 sessions end at once on every node: 3 in browsers, 2 of programs."
pub fn ends(open: OpenSessions) -> String {
    let total = open.total();
    match total.value {
        0 => "There is no session to end.".to_owned(),
        1 => format!("1 session ends at once on every node: {}.", kinds(open)),
        _ => capital(format!("{} end at once on every node: {}.", sessions(total), kinds(open))),
    }
}

/// "2,031 active: 1,512 in browsers, 519 of programs."; `within` says of what, as " in all accounts", or nothing.
pub fn active(open: OpenSessions, within: &str) -> String {
    match open.total() {
        Figure { value: 0, .. } => format!("None active{within}."),
        total => capital(format!("{} active{within}: {}.", format_figure(total), kinds(open))),
    }
}

/// As a sentence begins.
fn capital(mut sentence: String) -> String {
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(browser: i64, api: i64) -> OpenSessions {
        let figure = |value| Figure { value, exact: true };
        OpenSessions { browser: figure(browser), api: figure(api) }
    }

    #[test]
    fn what_ends_is_told_in_the_number_that_it_has() {
        for (browser, api, expected) in [
            (0, 0, "There is no session to end."),
            (1, 0, "1 session ends at once on every node: 1 in a browser."),
            (3, 2, "5 sessions end at once on every node: 3 in browsers, 2 of programs."),
            (9_999, 1, "10,000 sessions end at once on every node: 9,999 in browsers, 1 of a program."),
        ] {
            assert_eq!(ends(exactly(browser, api)), expected);
        }
    }

    #[test]
    fn what_is_not_counted_for_each_page_is_told_as_an_estimate() {
        let many = OpenSessions { browser: Figure { value: 1_000_000, exact: false }, ..exactly(0, 0) };
        assert_eq!(active(many, ""), "About 1,000,000 active: about 1,000,000 in browsers.");
        assert_eq!(ends(many), "About 1,000,000 sessions end at once on every node: about 1,000,000 in browsers.");
        assert_eq!(active(exactly(1512, 519), ""), "2,031 active: 1,512 in browsers, 519 of programs.");
        assert_eq!(active(exactly(1, 0), " in all accounts"), "1 active in all accounts: 1 in a browser.");
        assert_eq!(active(exactly(0, 0), ""), "None active.");
    }
}
