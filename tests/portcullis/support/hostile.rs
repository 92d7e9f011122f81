//! What a stranger writes where text is taken. Each fits into a display name and the name of a device.

/// Breaks out of text, attributes, titles, styles, comments and scripts wherever it is not escaped, opens a dialog
/// wherever it runs, and is a formula where a spreadsheet reads it.
pub const POLYGLOTS: [&str; 4] = [
    "'\"></title></style></textarea></script>--><script>alert(1)</script>{{7*7}}${7*7}",
    "<img src=x onerror=alert(1)><svg/onload=alert(1)><a href=javascript:alert(1)>x</a><iframe srcdoc=x>",
    "jaVasCript:/*-/*`/*'/*\"/**/(/* */oNcliCk=alert() )//</tItLe/</scRipt/--!><sVg/<sVg/oNloAd=alert()//>",
    "=cmd|' /C calc'!A0;+cmd|' /C calc'!A0\"><b id=broken onclick=alert(1)>&lt;script&gt;&#60;b&#62;",
];

/// An address whose part before the `@` is as hostile as that of a mailbox can be.
pub const EMAIL: &str = "'/onfocus=alert`1`/autofocus/x={{7*7}}${7*7}@example.com";

/// The longest that each field takes, without a place to break the line.
pub fn long_name() -> String {
    "W".repeat(100)
}

/// An address of 254 characters, likewise.
pub fn long_email() -> String {
    format!("{}@{}.{}.{}.org", "w".repeat(64), "d".repeat(63), "e".repeat(63), "f".repeat(57))
}
