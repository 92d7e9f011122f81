//! Characters that deceive the eye.

use unicode_security::GeneralSecurityProfile as _;
use unicode_security::general_security_profile::IdentifierType;

/// Whether the character shows nothing or moves what is around it: controls, line separators, zero-width and
/// bidirectional formatting characters, soft hyphens, fillers, variation selectors, tags.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{FFF9}'..='\u{FFFB}')
        || matches!(c.identifier_type(), Some(IdentifierType::Default_Ignorable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case('\u{AD}')]
    #[case('\u{34F}')]
    #[case('\u{61C}')]
    #[case('\u{115F}')]
    #[case('\u{180E}')]
    #[case('\u{200B}')]
    #[case('\u{202E}')]
    #[case('\u{2028}')]
    #[case('\u{2066}')]
    #[case('\u{3164}')]
    #[case('\u{FE0F}')]
    #[case('\u{FEFF}')]
    #[case('\u{FFA0}')]
    #[case('\u{E0041}')]
    #[case('\u{E0100}')]
    #[case('\u{85}')]
    #[case('\n')]
    fn what_nobody_can_see_is_invisible(#[case] c: char) {
        assert!(is_invisible(c), "{:x}", u32::from(c));
    }
}
