//! What a request's `User-Agent` says about the device, in a few words that a person recognises.

use woothee::parser::Parser;
use woothee::woothee::VALUE_UNKNOWN;

use super::invisible::is_invisible;

/// Nothing is known.
const UNKNOWN: &str = "Unknown device";
/// More of the header is not looked at; real ones have 100 to 300 bytes.
const MAX_HEADER_BYTES: usize = 512;
/// Characters of a program's name.
const MAX_PROGRAM: usize = 60;
/// Characters that are kept of a device's name, as a program gives it.
const MAX_DEVICE_NAME: usize = 100;
/// Families of operating system that are carried in a pocket or a bag.
const PHONES: &[&str] = &["Android", "iPhone", "iPad", "iPod", "iOS", "Windows Phone", "Firefox OS", "BlackBerry"];

/// "Firefox on Linux", "Safari on iPhone"; for a program its own name for itself, such as "curl". Families only: a
/// version would change every few weeks and make a known device look new. Whatever the header holds, the label is
/// short printable ASCII.
pub fn device_label(user_agent: Option<&str>) -> String {
    let header = user_agent.unwrap_or_default().trim();
    let header = &header[..header.floor_char_boundary(MAX_HEADER_BYTES)];
    let parsed = Parser::new().parse(header).unwrap_or_default();
    let browser = browser_family(parsed.name);
    let system = system_family(parsed.os);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("Browser on {system}"),
        (None, None) => program(header).unwrap_or(UNKNOWN).to_owned(),
    }
}

/// What a program calls the device that it runs on, as it is kept: one line without invisible characters, cut after 100
/// characters. `None` where nothing is left. A name only decorates: none is a reason to refuse a sign-in.
pub fn clean_device_name(given: &str) -> Option<String> {
    let words = given.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.map(|word| word.chars().filter(|c| !is_invisible(*c)).collect::<String>());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let name: String = line.chars().take(MAX_DEVICE_NAME).collect();
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

/// Which picture stands beside a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    Desktop,
    /// Or a tablet.
    Phone,
    Program,
}

impl DeviceKind {
    /// Of a label that [`device_label`] made; any other text is a program's.
    pub fn of_label(label: &str) -> Self {
        match label.rsplit_once(" on ") {
            Some((_, system)) if PHONES.contains(&system) => Self::Phone,
            Some(_) => Self::Desktop,
            None if label == UNKNOWN => Self::Desktop,
            None => Self::Program,
        }
    }
}

/// The browser by the name that its users know. What woothee finds out besides (crawlers, libraries, the operating
/// system again where it saw no browser) is no browser.
fn browser_family(name: &str) -> Option<&'static str> {
    Some(match name {
        "Firefox" => "Firefox",
        "Chrome" => "Chrome",
        "Safari" => "Safari",
        "Edge" => "Edge",
        "Opera" => "Opera",
        "Vivaldi" => "Vivaldi",
        "Internet Explorer" => "Internet Explorer",
        "SamsungBrowser" => "Samsung Internet",
        "Yandex Browser" => "Yandex Browser",
        "Sleipnir" => "Sleipnir",
        "Google Search App" => "Google app",
        "Webview" => "App",
        _ => return None,
    })
}

fn system_family(os: &str) -> Option<&str> {
    Some(match os {
        "" | VALUE_UNKNOWN => return None,
        os if os.starts_with("Windows Phone") => "Windows Phone",
        os if os.starts_with("Windows") => "Windows",
        os if os.starts_with("Mac OS") => "macOS",
        os if os.starts_with("BlackBerry") => "BlackBerry",
        os => os,
    })
}

/// The first product token of the header (RFC 9110, 10.1.5) without its version; `Mozilla` says nothing.
fn program(header: &str) -> Option<&str> {
    let token = header.split(['/', ' ']).next()?;
    let is_name = token.len() <= MAX_PROGRAM
        && token.starts_with(|c: char| c.is_ascii_alphabetic())
        && token.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'));
    (is_name && token != "Mozilla").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Firefox on Linux",
        DeviceKind::Desktop
    )]
    #[case(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
        "Edge on Windows",
        DeviceKind::Desktop
    )]
    #[case(
        "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0",
        "Firefox on Windows",
        DeviceKind::Desktop
    )]
    #[case(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
        "Safari on macOS",
        DeviceKind::Desktop
    )]
    #[case(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Safari on iPhone",
        DeviceKind::Phone
    )]
    #[case(
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        "Chrome on Android",
        DeviceKind::Phone
    )]
    #[case(
        "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
        "Samsung Internet on Android",
        DeviceKind::Phone
    )]
    #[case(
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Chrome on ChromeOS",
        DeviceKind::Desktop
    )]
    #[case(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
        "Chrome on Linux",
        DeviceKind::Desktop
    )]
    #[case("Mozilla/5.0 (X11; Linux x86_64)", "Browser on Linux", DeviceKind::Desktop)]
    #[case("curl/8.5.0", "curl", DeviceKind::Program)]
    #[case("python-requests/2.32.3", "python-requests", DeviceKind::Program)]
    #[case("Go-http-client/1.1", "Go-http-client", DeviceKind::Program)]
    #[case("Wget/1.21.3 (linux-gnu)", "Wget", DeviceKind::Program)]
    #[case("Mozilla/5.0", "Unknown device", DeviceKind::Desktop)]
    #[case("", "Unknown device", DeviceKind::Desktop)]
    fn a_device_is_called_by_browser_and_system(#[case] header: &str, #[case] label: &str, #[case] kind: DeviceKind) {
        assert_eq!(device_label(Some(header)), label);
        assert_eq!(DeviceKind::of_label(label), kind);
    }

    #[test]
    fn no_header_is_an_unknown_device() {
        assert_eq!(device_label(None), UNKNOWN);
    }

    #[rstest]
    #[case("build-17", Some("build-17"))]
    #[case("  Inês’ laptop ", Some("Inês’ laptop"))]
    #[case("Anna's iPhone \u{2764}\u{FE0F}", Some("Anna's iPhone \u{2764}"))]
    #[case("a\r\n \tb\0c", Some("a b c"))]
    #[case("a\u{202E}b", Some("ab"))]
    #[case("a \u{200B} b", Some("a b"))]
    #[case(&"x".repeat(101), Some(&*"x".repeat(100)))]
    #[case(&format!("{} y", "x".repeat(99)), Some(&*"x".repeat(99)))]
    #[case("", None)]
    #[case(" \t\u{200B}", None)]
    fn a_program_names_its_device_in_one_visible_line(#[case] given: &str, #[case] kept: Option<&str>) {
        assert_eq!(clean_device_name(given).as_deref(), kept);
    }

    #[rstest]
    #[case("<script>alert(1)</script>")]
    #[case("\u{1b}[31mred\u{1b}[0m")]
    #[case("curl\r\nSet-Cookie: x")]
    #[case("curl\0/1")]
    #[case("\u{202E}lruc/1")]
    #[case("-")]
    #[case(&"A".repeat(10_240))]
    #[case(&"é".repeat(10_240))]
    #[case(&format!("Mozilla/5.0 ({}) Firefox/1", "<b>".repeat(4_000)))]
    fn a_hostile_header_says_nothing(#[case] header: &str) {
        assert_eq!(device_label(Some(header)), UNKNOWN);
    }

    proptest::proptest! {
        #[test]
        fn any_header_gives_a_short_printable_label(header in "(Mozilla/5.0 \\(|curl/|Android |DoCoMo/2.0 |Windows |)\\PC{0,80}") {
            let label = device_label(Some(&header));
            proptest::prop_assert!(label.len() <= 64 && label.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
        }
    }
}
