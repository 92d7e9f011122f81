//! The cookie by which a browser is known to accounts (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//!
//! Whoever fails to sign in under a name locks it for every stranger. A browser in which the account's owner has signed
//! in before has a count of its own, so that a stranger can't lock the owner out there. The cookie opens nothing: with
//! a stolen one somebody has as many guesses as without, once more. A changed password makes all earlier ones
//! worthless, or someone who knew the old one could have collected a purse of them.
//!
//! Several people use a browser, and one person has several accounts: it stays known to the last few. Nobody but the
//! server can tell from the cookie to whom.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::User;
use super::keys::mac;

/// To so many accounts a browser is known at once.
const ACCOUNTS: usize = 5;

/// The cookie's value: base64url of the browser's id, the accounts and an HMAC of both.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeviceCookie(String);

impl DeviceCookie {
    /// What a browser sent.
    pub fn of_value(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// For the `Set-Cookie` header alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DeviceCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceCookie(…)")
    }
}

/// A browser in which people have signed in before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBrowser {
    /// Random, so that no two browsers share a count.
    pub id: [u8; 16],
    /// The last one first.
    accounts: Vec<Account>,
}

/// An account that signed in there. Both are keyed hashes, other ones in each browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    /// Whose it is.
    owner: [u8; 32],
    /// That it has the password that it had then.
    password: [u8; 32],
}

impl KnownBrowser {
    /// A browser that is known to nobody yet.
    pub fn fresh() -> Self {
        Self { id: rand::random(), accounts: Vec::new() }
    }

    /// What the cookie says, if it was made with `key`.
    pub fn read(cookie: &DeviceCookie, key: &[u8; 32]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(&cookie.0).ok()?;
        let (content, sent) = bytes.split_last_chunk::<32>()?;
        let right: bool = mac(key, &[b"cookie ", content]).ct_eq(sent).into();
        let (id, accounts) = content.split_first_chunk().filter(|_| right)?;
        let accounts = accounts.as_chunks().0.as_chunks().0;
        let accounts = accounts.iter().map(|&[owner, password]| Account { owner, password }).collect();
        Some(Self { id: *id, accounts })
    }

    /// Whether the account signed in here with its present password.
    pub fn is_known_to(&self, user: &User, key: &[u8; 32]) -> bool {
        self.accounts.contains(&self.account(user, key))
    }

    /// Makes the browser known to the account, until its password changes.
    pub fn remember(&mut self, user: &User, key: &[u8; 32]) {
        let account = self.account(user, key);
        self.accounts.retain(|known| known.owner != account.owner);
        self.accounts.insert(0, account);
        self.accounts.truncate(ACCOUNTS);
    }

    /// The cookie that [`KnownBrowser::read`] reads.
    pub fn cookie(&self, key: &[u8; 32]) -> DeviceCookie {
        let mut bytes = self.id.to_vec();
        for Account { owner, password } in &self.accounts {
            bytes.extend_from_slice(owner);
            bytes.extend_from_slice(password);
        }
        bytes.extend_from_slice(&mac(key, &[b"cookie ", &bytes]));
        DeviceCookie(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn account(&self, user: &User, key: &[u8; 32]) -> Account {
        let (id, changed_at) = (user.id.0.as_bytes(), user.password_changed_at.map_or(0, |at| at.timestamp_millis()));
        Account {
            owner: mac(key, &[b"owner ", &self.id, id]),
            password: mac(key, &[b"password ", &self.id, id, &changed_at.to_be_bytes()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{Clock, EmailAddress, Role, UserId, UserStatus, Username};

    fn user() -> User {
        let now = Clock::default().now();
        User {
            id: UserId::new(now),
            username: Username::from_stored("anna".to_owned()),
            email: EmailAddress::from_stored("anna@example.com".to_owned()),
            name: None,
            role: Role::User,
            status: UserStatus::Active,
            epoch: 1,
            created_at: now,
            has_password: true,
            password_changed_at: Some(now),
            last_sign_in_at: None,
        }
    }

    const KEY: &[u8; 32] = &[7; 32];

    /// The cookie of a browser in which these have signed in, one after the other.
    fn cookie_of(users: &[&User]) -> DeviceCookie {
        let mut browser = KnownBrowser::fresh();
        for user in users {
            browser.remember(user, KEY);
        }
        browser.cookie(KEY)
    }

    fn is_known(cookie: &DeviceCookie, user: &User) -> bool {
        KnownBrowser::read(cookie, KEY).is_some_and(|browser| browser.is_known_to(user, KEY))
    }

    fn later(user: &User) -> User {
        let changed_at = user.password_changed_at.map(|at| at + TimeDelta::seconds(1));
        User { password_changed_at: changed_at, ..user.clone() }
    }

    #[test]
    fn a_cookie_is_good_for_its_accounts_until_the_password_changes() {
        let (anna, berta, other) = (user(), user(), user());
        let cookie = cookie_of(&[&anna, &berta]);
        assert!(is_known(&cookie, &anna) && is_known(&cookie, &berta) && !is_known(&cookie, &other));
        assert!(!is_known(&cookie, &later(&anna)));
        assert_eq!(KnownBrowser::read(&cookie, &[8; 32]), None);
        let browser = KnownBrowser::read(&cookie, KEY).unwrap();
        assert_eq!(KnownBrowser::read(&browser.cookie(KEY), KEY), Some(browser));
    }

    #[test]
    fn only_the_last_accounts_are_kept_and_a_new_password_takes_no_second_place() {
        let users: Vec<_> = (0..ACCOUNTS + 1).map(|_| user()).collect();
        let all: Vec<_> = users.iter().collect();
        let cookie = cookie_of(&all);
        assert!(!is_known(&cookie, &users[0]) && users[1..].iter().all(|user| is_known(&cookie, user)));
        assert!(cookie.reveal().len() < 600, "{}", cookie.reveal().len());
        // Who signs in again comes first.
        let again = cookie_of(&[&all[..ACCOUNTS], &[all[0], all[ACCOUNTS]]].concat());
        assert!(is_known(&again, &users[0]) && !is_known(&again, &users[1]));
        let changed = cookie_of(&[&all[..ACCOUNTS], &[&later(all[0])]].concat());
        assert!(users[1..ACCOUNTS].iter().all(|user| is_known(&changed, user)));
        assert!(is_known(&changed, &later(&users[0])) && !is_known(&changed, &users[0]));
    }

    #[test]
    fn it_says_nobodys_name_or_id_and_the_same_account_differently_in_each_browser() {
        let anna = user();
        let [one, two] = [(); 2].map(|()| URL_SAFE_NO_PAD.decode(cookie_of(&[&anna]).reveal()).unwrap());
        assert!(!one.windows(16).any(|part| part == anna.id.0.as_bytes()));
        assert!(!one.windows(8).any(|part| two.windows(8).any(|other| part == other)));
    }

    #[test]
    fn a_bent_cookie_is_none() {
        let anna = user();
        let good = cookie_of(&[&anna]).reveal().to_owned();
        assert!(KnownBrowser::read(&DeviceCookie::of_value(&good), KEY).is_some());
        for place in 0..good.len() {
            let mut bent = good.clone().into_bytes();
            bent[place] = if bent[place] == b'A' { b'B' } else { b'A' };
            let bent = DeviceCookie::of_value(&String::from_utf8(bent).unwrap());
            assert_eq!(KnownBrowser::read(&bent, KEY), None, "{}", bent.reveal());
        }
        for bent in ["", ".", "AAAA", &good[..good.len() - 1], &format!("{good}A"), &format!("{good}="), &good[64..]] {
            assert_eq!(KnownBrowser::read(&DeviceCookie::of_value(bent), KEY), None, "{bent}");
        }
    }

    #[test]
    fn it_does_not_print() {
        let cookie = cookie_of(&[&user()]);
        assert_eq!(format!("{cookie:?}"), "DeviceCookie(…)");
    }
}
