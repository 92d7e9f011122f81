//! In which encoding a file is sent: what `Accept-Encoding` says (RFC 9110, section 12.5.3).

use actix_web::http::header::HeaderValue;

use crate::http::accept::wishes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// As `Content-Encoding` has it; `None` where there is none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }

    fn is_called(self, name: &str) -> bool {
        match self {
            Self::Brotli => name.eq_ignore_ascii_case("br"),
            Self::Gzip => name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip"),
            Self::Identity => name.eq_ignore_ascii_case("identity"),
        }
    }
}

/// The encoding that is liked most; of several the first of `ours`. `None` where all are refused. A header that can't be
/// read is none: then nothing is packed.
pub fn choose<'a>(lines: impl Iterator<Item = &'a HeaderValue>, ours: [Encoding; 3]) -> Option<Encoding> {
    let Some(wishes) = wishes(lines) else {
        return Some(Encoding::Identity);
    };
    let named =
        |encoding: Encoding| wishes.iter().find(|(name, _)| encoding.is_called(name)).map(|(_, weight)| *weight);
    let others = wishes.iter().find(|(name, _)| *name == "*").map(|(_, weight)| *weight);
    let most = wishes.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
    let weight = |encoding: Encoding| match (named(encoding).or(others), encoding) {
        (Some(weight), _) => weight,
        // What is not spoken of can be sent as it is. It is as good as the rest where we would rather not pack.
        (None, Encoding::Identity) if ours[0] == Encoding::Identity => most.max(1),
        (None, Encoding::Identity) => 1,
        (None, _) => 0,
    };
    let acceptable = ours.into_iter().filter(|encoding| weight(*encoding) > 0);
    // Of equals the first.
    acceptable.rev().max_by_key(|encoding| weight(*encoding))
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Brotli, Gzip, Identity};
    use super::*;

    fn chosen(lines: &[&str], ours: [Encoding; 3]) -> Option<Encoding> {
        let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
        choose(lines.iter(), ours)
    }

    #[test]
    fn the_encoding_that_is_liked_most_is_sent_and_a_refused_one_never() {
        for (lines, expected) in [
            (&[][..], Some(Identity)),
            (&[""], Some(Identity)),
            (&["gzip, deflate, br, zstd"], Some(Brotli)),
            (&["gzip, deflate"], Some(Gzip)),
            (&["GZIP"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["gzip", "br"], Some(Brotli)),
            (&["br;q=0.5, gzip;q=0.8"], Some(Gzip)),
            (&["br ; q=0.500 , gzip ; q=0.5"], Some(Brotli)),
            (&["br;q=0, gzip;q=0.001"], Some(Gzip)),
            (&["br;q=0"], Some(Identity)),
            (&["deflate, zstd"], Some(Identity)),
            (&["*"], Some(Brotli)),
            (&["*;q=0.1, br;q=0"], Some(Gzip)),
            (&["gzip;q=0.5, identity"], Some(Identity)),
            (&["gzip, identity;q=0.5, *;q=0"], Some(Gzip)),
            (&["gzip, identity;q=0"], Some(Gzip)),
            (&["identity;q=0"], None),
            (&["*;q=0"], None),
            (&["*;q=0, identity"], Some(Identity)),
            (&["*;q=0, br"], Some(Brotli)),
            (&["deflate, identity;q=0"], None),
            // What can't be read is no wish.
            (&["br;q=2"], Some(Identity)),
            (&["br;q=0.5555"], Some(Identity)),
            (&["br;level=3"], Some(Identity)),
            (&["br;q=-1, gzip"], Some(Identity)),
        ] {
            assert_eq!(chosen(lines, [Brotli, Gzip, Identity]), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_worth_packing_is_packed_for_those_alone_who_want_nothing_else() {
        for (line, expected) in [
            ("gzip, deflate, br, zstd", Some(Identity)),
            ("*", Some(Identity)),
            ("gzip;q=0.5", Some(Identity)),
            ("gzip, identity;q=0.5", Some(Gzip)),
            ("gzip, identity;q=0", Some(Gzip)),
            ("*;q=0, br", Some(Brotli)),
            ("*;q=0", None),
        ] {
            assert_eq!(chosen(&[line], [Identity, Brotli, Gzip]), expected, "{line}");
        }
    }
}
