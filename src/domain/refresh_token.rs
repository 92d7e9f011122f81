//! Refresh tokens: computed from the session's record, never stored.
//!
//! `pcr_` and the base64url of `user ‖ session ‖ n ‖ HMAC-SHA-256(key, seed ‖ session ‖ n)`. The key comes from
//! `secret_key`, the seed from the session's record, so neither store nor key alone gives a token. The counter `n`
//! says which token of the session it is; its successor is the one with `n + 1`, the same bytes whoever computes it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use secrecy::SecretString;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::keys::{RootKey, mac};
use super::session::{LiveSession, expiry};
use super::{SessionId, Timestamp, UserId};

/// Says what kind of secret it is, to people and to scanners for leaked ones.
const PREFIX: &str = "pcr_";
/// User, session, counter, MAC. A multiple of three, so that every character of the base64 counts.
const BYTES: usize = 16 + 16 + 8 + 32;
/// Scripts in Redis count in doubles, which are exact up to here. No session rotates so often.
const MAX_COUNTER: i64 = (1 << 53) - 1;

/// What a session's refresh tokens are computed from, beside the key: 256 random bits of its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshSeed(pub [u8; 32]);

impl RefreshSeed {
    pub fn generate() -> Self {
        Self(rand::random())
    }
}

impl std::fmt::Debug for RefreshSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshSeed(…)")
    }
}

/// The key of all refresh tokens of this installation.
pub struct RefreshKey([u8; 32]);

impl RefreshKey {
    pub fn new(root: &RootKey) -> Self {
        Self(root.derive("refresh tokens"))
    }

    /// The session's token number `counter`, in clear: for the client alone.
    pub fn token(&self, user: UserId, session: SessionId, seed: &RefreshSeed, counter: i64) -> SecretString {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(user.0.as_bytes());
        bytes[16..32].copy_from_slice(session.0.as_bytes());
        bytes[32..40].copy_from_slice(&counter.to_be_bytes());
        bytes[40..].copy_from_slice(&self.mac(session, seed, counter));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()
    }

    /// Whether the token is one that we made for the session with this seed. Constant time.
    pub fn made(&self, token: &RefreshToken, seed: &RefreshSeed) -> bool {
        self.mac(token.session_id, seed, token.counter).ct_eq(&token.mac).into()
    }

    fn mac(&self, session: SessionId, seed: &RefreshSeed, counter: i64) -> [u8; 32] {
        mac(&self.0, &[&seed.0, session.0.as_bytes(), &counter.to_be_bytes()])
    }
}

/// A refresh token as somebody presents it. Well-formed, and no more than that until [`RefreshKey::made`] says so.
#[derive(Clone)]
pub struct RefreshToken {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub counter: i64,
    mac: [u8; 32],
}

impl RefreshToken {
    /// Only the one spelling that [`RefreshKey::token`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        if text.len() != BYTES / 3 * 4 {
            return None;
        }
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let counter = i64::from_be_bytes(bytes[32..40].try_into().ok()?);
        (0..MAX_COUNTER).contains(&counter).then_some(Self {
            user_id: UserId(Uuid::from_slice(&bytes[..16]).ok()?),
            session_id: SessionId(Uuid::from_slice(&bytes[16..32]).ok()?),
            counter,
            mac: bytes[40..].try_into().ok()?,
        })
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshToken(session {}, {})", self.session_id, self.counter)
    }
}

/// Where the tokens of a session stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshState {
    pub seed: RefreshSeed,
    /// The number of the present token.
    pub counter: i64,
    /// When it took the place of the one before.
    pub rotated_at: Option<Timestamp>,
}

/// What a token with a right MAC is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStatus {
    /// The present one; or a later one, where the store forgot and the client did not. It rotates.
    Current,
    /// The one before, within the grace: the lost answer, the second tab. It gets the same successor again.
    Repeated,
    /// An older one, or the one before after the grace: somebody has a copy.
    Reused,
}

impl RefreshState {
    /// What the token number `counter` is worth at `now`. `lua/rotate.lua` says the same.
    pub fn judge(&self, counter: i64, grace: TimeDelta, now: Timestamp) -> TokenStatus {
        if counter >= self.counter {
            TokenStatus::Current
        } else if counter == self.counter - 1 && self.rotated_at.is_some_and(|rotated| now - rotated < grace) {
            TokenStatus::Repeated
        } else {
            TokenStatus::Reused
        }
    }
}

/// A live session, and where its refresh tokens stand.
#[derive(Clone, Debug)]
pub struct TokenFamily {
    pub session: LiveSession,
    pub refresh_state: RefreshState,
    /// How long it lives without being used.
    pub idle: TimeDelta,
    /// Written at most once a minute, and with every rotation.
    pub last_active_at: Timestamp,
}

impl TokenFamily {
    /// When it ends unless it is used again.
    pub fn expires_at(&self) -> Timestamp {
        expiry(self.session.absolute_limit, self.last_active_at, self.idle)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::domain::Clock;

    struct Fixture {
        key: RefreshKey,
        seed: RefreshSeed,
        user: UserId,
        session: SessionId,
    }

    fn fixture() -> Fixture {
        let now = Clock::default().now();
        Fixture {
            key: RefreshKey::new(&RootKey::new(vec![7; 32])),
            seed: RefreshSeed::generate(),
            user: UserId::new(now),
            session: SessionId::new(now),
        }
    }

    impl Fixture {
        fn text(&self, counter: i64) -> String {
            self.key.token(self.user, self.session, &self.seed, counter).expose_secret().to_owned()
        }

        /// As a store does, which finds the record by user and session.
        fn accepts(&self, text: &str) -> bool {
            RefreshToken::parse(text).is_some_and(|token| {
                (token.user_id, token.session_id) == (self.user, self.session) && self.key.made(&token, &self.seed)
            })
        }
    }

    #[test]
    fn a_token_is_read_back_as_it_was_written_and_its_successor_is_always_the_same() {
        let f = fixture();
        let token = RefreshToken::parse(&f.text(41)).unwrap();
        assert_eq!((token.user_id, token.session_id, token.counter), (f.user, f.session, 41));
        assert!(f.accepts(&f.text(41)));
        assert_eq!(f.text(42), f.text(42));
        assert_ne!(f.text(42), f.text(43));
        assert_eq!(f.text(0).len(), 100);
    }

    #[test]
    fn no_other_spelling_of_a_token_is_accepted() {
        let f = fixture();
        let text = f.text(3);
        for at in 0..text.len() {
            assert!(!f.accepts(&text[..at]), "prefix of {at}");
            assert!(!f.accepts(&text[text.len() - at..]), "suffix of {at}");
            let flip = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            let flipped: String = text.chars().enumerate().map(|(i, c)| if i == at { flip(c) } else { c }).collect();
            assert!(flipped == text || !f.accepts(&flipped), "{flipped}");
        }
        for wrong in [
            format!("{text}="),
            format!("{text}=="),
            format!(" {text}"),
            format!("{text}\n"),
            format!("{text}A"),
            format!("{text}AAAA"),
            text.replace("pcr_", ""),
            text.replace("pcr_", "pcr-"),
            text.to_uppercase(),
            format!("pcr_{text}"),
        ] {
            assert!(RefreshToken::parse(&wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_of_another_session_seed_number_or_installation_is_not_accepted() {
        let f = fixture();
        let token = RefreshToken::parse(&f.text(3)).unwrap();
        assert!(!f.key.made(&RefreshToken { counter: 4, ..token.clone() }, &f.seed));
        let session_id = SessionId::new(Clock::default().now());
        assert!(!f.key.made(&RefreshToken { session_id, ..token.clone() }, &f.seed));
        assert!(!f.key.made(&token, &RefreshSeed::generate()));
        assert!(!RefreshKey::new(&RootKey::new(vec![8; 32])).made(&token, &f.seed));
    }

    #[test]
    fn a_number_that_a_script_could_not_count_is_no_token() {
        let f = fixture();
        assert!(RefreshToken::parse(&f.text(MAX_COUNTER - 1)).is_some());
        for counter in [MAX_COUNTER, i64::MAX, -1, i64::MIN] {
            assert!(RefreshToken::parse(&f.text(counter)).is_none(), "{counter}");
        }
    }

    #[test]
    fn neither_seed_nor_token_prints_what_is_secret() {
        let f = fixture();
        let token = RefreshToken::parse(&f.text(3)).unwrap();
        assert_eq!(format!("{:?} {token:?}", f.seed), format!("RefreshSeed(…) RefreshToken(session {}, 3)", f.session));
    }

    #[rstest]
    #[case::present(7, 0, TokenStatus::Current)]
    #[case::the_store_forgot(9, 60_000, TokenStatus::Current)]
    #[case::lost_answer(6, 0, TokenStatus::Repeated)]
    #[case::just_in_time(6, 9_999, TokenStatus::Repeated)]
    #[case::the_clock_of_another_node(6, -50, TokenStatus::Repeated)]
    #[case::too_late(6, 10_000, TokenStatus::Reused)]
    #[case::two_before(5, 0, TokenStatus::Reused)]
    #[case::the_first(0, 0, TokenStatus::Reused)]
    fn a_token_has_the_status_that_its_number_says(
        #[case] counter: i64,
        #[case] after_ms: i64,
        #[case] status: TokenStatus,
    ) {
        let now = Clock::default().now();
        let refresh_state = RefreshState { seed: RefreshSeed::generate(), counter: 7, rotated_at: Some(now) };
        let later = now + TimeDelta::milliseconds(after_ms);
        assert_eq!(refresh_state.judge(counter, TimeDelta::seconds(10), later), status);
    }

    #[test]
    fn without_a_grace_nothing_is_repeated() {
        let now = Clock::default().now();
        let refresh_state = RefreshState { seed: RefreshSeed::generate(), counter: 7, rotated_at: Some(now) };
        assert_eq!(refresh_state.judge(6, TimeDelta::zero(), now), TokenStatus::Reused);
    }

    proptest! {
        #[test]
        fn what_parses_has_one_spelling(text in "pcr_[A-Za-z0-9_-]{96}") {
            if let Some(token) = RefreshToken::parse(&text) {
                let mut bytes = Vec::from(token.user_id.0.into_bytes());
                bytes.extend(token.session_id.0.into_bytes());
                bytes.extend(token.counter.to_be_bytes());
                bytes.extend(token.mac);
                prop_assert_eq!(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)), text);
            }
        }
    }
}
