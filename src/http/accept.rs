//! What a client would rather have: the headers `Accept` and `Accept-Encoding` (RFC 9110, section 12.5).

use actix_web::http::header::HeaderValue;

/// Names with their parameters, each with its weight in thousandths; `None` without a header, or where one can't be read.
pub fn wishes<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> Option<Vec<(&'a str, u16)>> {
    let mut lines = lines.peekable();
    lines.peek()?;
    let mut wishes = Vec::new();
    for line in lines {
        for item in line.to_str().ok()?.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            // The weight comes last (RFC 9110); what stands before it belongs to the name.
            let (name, last) = item.rsplit_once(';').unwrap_or((item, ""));
            wishes.push(match last.trim_start().starts_with(['q', 'Q']) {
                true => (name.trim_end(), weight(last)?),
                false => (item, 1000),
            });
        }
    }
    Some(wishes)
}

/// `q=0.5` as 500; at most three digits behind the point.
fn weight(parameter: &str) -> Option<u16> {
    let (_, text) = parameter.split_once('=')?;
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}
