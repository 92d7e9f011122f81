use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::ExposeSecret as _;

use super::table::PACE;
use super::*;
use crate::domain::signing_key::SHARED_KID;
use crate::domain::{Clock, SessionId, User};
use crate::services::accounts::{lookup, passwords, setup};
use crate::services::administration::{user_acts, users};
use crate::services::authentication::sign_in;
use crate::services::sessions::access_tokens::{self, AccessToken};
use crate::services::sessions::everyone;
use crate::settings::{self, Sources};
use crate::startup;

const SECRET: &str = "correct-horse-battery-staple-0123456789";

/// A database of its own for each test; each node of it is as another process would be.
struct Installation(PathBuf);

impl Installation {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("portcullis-keys-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    async fn node(&self, clock: &Clock, more: &[(&str, &str)]) -> Services {
        let folder = self.0.to_str().unwrap();
        let mut pairs = vec![
            ("data_dir", folder),
            ("argon2_memory_kib", "8"),
            ("argon2_iterations", "1"),
            ("bootstrap_admin_username", "root"),
            ("bootstrap_admin_email", "root@example.org"),
            ("bootstrap_admin_password", "kettle mango violin 42"),
        ];
        pairs.extend_from_slice(more);
        let settings = settings::load(&Sources::of_pairs(&pairs)).unwrap_or_else(|problems| panic!("{problems}"));
        startup::services(settings, clock.clone()).await.unwrap()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn command_line() -> (RecentAuthContext, Client) {
    (RecentAuthContext::command_line(), Client::default())
}

async fn rotate_by_hand(node: &Services) -> SigningKeyInfo {
    let (auth, client) = command_line();
    rotate(node, &auth, None, &client).await.unwrap()
}

async fn administrator(node: &Services) -> User {
    setup::bootstrap(node).await.unwrap();
    lookup::find(&node.database, "root").await.unwrap()
}

/// A token for a session that need not exist.
async fn token(node: &Services, user: &User) -> String {
    let now = node.clock.now();
    let limit = now + TimeDelta::days(1);
    let AccessToken { token, .. } = access_tokens::sign(node, user, SessionId::new(now), now, limit).await.unwrap();
    token.expose_secret().to_owned()
}

async fn is_ours(node: &Services, token: &str) -> bool {
    access_tokens::session_of(node, token).await.unwrap().is_some()
}

async fn states(node: &Services) -> Vec<(KeyState, SigningAlgorithm)> {
    let mut states: Vec<_> =
        list(&node.database).await.unwrap().into_iter().map(|key| (key.state, key.algorithm)).collect();
    states.sort_unstable();
    states
}

async fn kid_of(node: &Services, state: KeyState) -> Option<String> {
    list(&node.database).await.unwrap().into_iter().find(|key| key.state == state).map(|key| key.kid)
}

async fn published(node: &Services) -> Vec<Value> {
    jwks(node).await.unwrap()["keys"].as_array().unwrap().clone()
}

const EDDSA: SigningAlgorithm = SigningAlgorithm::EdDsa;
const ES256: SigningAlgorithm = SigningAlgorithm::Es256;

#[tokio::test]
async fn two_nodes_that_start_at_once_agree_on_an_active_and_a_next_key() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let a = installation.node(&clock, &[]).await;
    let b = installation.node(&clock, &[]).await;
    let (first, second) = tokio::join!(prepare(&a), prepare(&b));
    first.and(second).unwrap();
    assert_eq!(states(&a).await, [(KeyState::Next, EDDSA), (KeyState::Active, EDDSA)]);
    assert_eq!(published(&a).await, published(&b).await);
    let user = administrator(&a).await;
    assert!(is_ours(&b, &token(&a, &user).await).await && is_ours(&a, &token(&b, &user).await).await);
    // Again changes nothing.
    prepare(&a).await.unwrap();
    rotate_when_due(&a).await.unwrap();
    assert_eq!(states(&b).await.len(), 2);
}

#[tokio::test]
async fn a_rotation_uses_the_published_key_and_both_nodes_know_its_tokens_at_once() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let a = installation.node(&clock, &[]).await;
    let b = installation.node(&clock, &[]).await;
    prepare(&a).await.unwrap();
    let user = administrator(&a).await;
    let before = token(&b, &user).await;
    let next = kid_of(&a, KeyState::Next).await;

    let active = rotate_by_hand(&a).await;
    assert_eq!((Some(active.kid), active.state), (next, KeyState::Active));
    assert!(is_ours(&b, &token(&a, &user).await).await);
    // Twice more: a key that b has never read.
    rotate_by_hand(&a).await;
    rotate_by_hand(&a).await;
    let after = token(&a, &user).await;
    assert!(is_ours(&b, &after).await && is_ours(&b, &before).await && is_ours(&a, &before).await);
    assert_eq!(published(&a).await.len(), 5);
}

#[tokio::test]
async fn a_key_is_replaced_when_it_is_old_and_forgotten_when_its_last_token_is_dead() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let node = installation.node(&clock, &[("key_rotation_interval", "30d"), ("access_token_ttl", "15m")]).await;
    prepare(&node).await.unwrap();
    let first = kid_of(&node, KeyState::Active).await;

    clock.advance(TimeDelta::days(30) - TimeDelta::seconds(60));
    rotate_when_due(&node).await.unwrap();
    assert_eq!(kid_of(&node, KeyState::Active).await, first);

    clock.advance(TimeDelta::seconds(61));
    rotate_when_due(&node).await.unwrap();
    assert_eq!(kid_of(&node, KeyState::Retired).await, first);
    assert_ne!(kid_of(&node, KeyState::Active).await, first);

    clock.advance(TimeDelta::minutes(15) + LEEWAY);
    rotate_when_due(&node).await.unwrap();
    assert_eq!(kid_of(&node, KeyState::Retired).await, first);
    clock.advance(TimeDelta::seconds(61));
    rotate_when_due(&node).await.unwrap();
    assert_eq!(states(&node).await, [(KeyState::Next, EDDSA), (KeyState::Active, EDDSA)]);
}

#[tokio::test]
async fn another_algorithm_takes_over_at_the_next_start_and_old_tokens_stay_good() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let node = installation.node(&clock, &[]).await;
    prepare(&node).await.unwrap();
    let user = administrator(&node).await;
    let before = token(&node, &user).await;

    let node = installation.node(&clock, &[("jwt_algorithm", "ES256")]).await;
    // Not by the hour: nodes that disagree would rotate in turns.
    rotate_when_due(&node).await.unwrap();
    assert_eq!(states(&node).await.len(), 2);
    prepare(&node).await.unwrap();
    assert_eq!(states(&node).await, [(KeyState::Next, ES256), (KeyState::Active, ES256), (KeyState::Retired, EDDSA)]);
    assert!(is_ours(&node, &before).await && is_ours(&node, &token(&node, &user).await).await);
}

#[tokio::test]
async fn a_shared_secret_publishes_nothing_and_is_not_rotated_here() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let node = installation.node(&clock, &[]).await;
    prepare(&node).await.unwrap();
    let user = administrator(&node).await;
    let before = token(&node, &user).await;

    let node = installation.node(&clock, &[("jwt_algorithm", "HS256"), ("jwt_secret", SECRET)]).await;
    prepare(&node).await.unwrap();
    assert_eq!(states(&node).await, [(KeyState::Retired, EDDSA)]);
    assert!(published(&node).await.is_empty());
    let (auth, client) = command_line();
    assert!(matches!(rotate(&node, &auth, None, &client).await, Err(Error::Invalid(_))));
    let after = token(&node, &user).await;
    assert!(is_ours(&node, &after).await && is_ours(&node, &before).await);

    // Back to a key of our own: nobody trusts the secret any more.
    let node = installation.node(&clock, &[]).await;
    prepare(&node).await.unwrap();
    assert!(!is_ours(&node, &after).await && is_ours(&node, &before).await);
}

#[tokio::test]
async fn unknown_names_wait_for_one_reading_that_all_share() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let node = installation.node(&clock, &[]).await;
    prepare(&node).await.unwrap();
    let began = Instant::now();
    let names: Vec<_> = (0..100).map(|number| format!("{number:0>21}A")).collect();
    let found = futures_util::future::join_all(names.iter().map(|kid| verifier(&node, kid))).await;
    assert!(found.iter().all(|found| matches!(found, Ok(None))));
    // However busy the machine is: each for itself they would take a hundred.
    assert!(began.elapsed() < PACE * 30, "{:?}", began.elapsed());
    // What can't be a name of ours is not looked up at all.
    let read = node.keys.state().attempt;
    for kid in ["../../dev/null", "' OR 1=1", "", SHARED_KID, &"k".repeat(10_000)] {
        assert!(verifier(&node, kid).await.unwrap().is_none());
    }
    assert_eq!(node.keys.state().attempt, read);
}

#[tokio::test]
async fn no_private_key_leaves_and_that_of_a_retired_one_is_wiped() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let node = installation.node(&clock, &[("jwt_algorithm", algorithm)]).await;
        prepare(&node).await.unwrap();
        for key in published(&node).await {
            for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                assert!(key.get(private).is_none(), "{key}");
            }
        }
    }
    let node = installation.node(&clock, &[]).await;
    for key in node.database.read(stored::all).await.unwrap() {
        assert_eq!(key.private_key.is_none(), key.state == KeyState::Retired);
        // PKCS#8 begins like this in clear.
        assert!(key.private_key.is_none_or(|sealed| !sealed.windows(3).any(|window| window == [2, 1, 0])));
    }
}

#[tokio::test]
async fn only_an_administrator_rotates_and_it_is_audited() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let node = installation.node(&clock, &[]).await;
    prepare(&node).await.unwrap();
    let manager = RecentAuthContext::command_line_as(Role::Manager);
    let refused = rotate(&node, &manager, None, &Client::default()).await;
    assert!(matches!(refused, Err(Error::Forbidden)));
    assert_eq!(states(&node).await.len(), 2);

    let events = || {
        node.database.read(|connection| {
            use crate::storage::schema::audit_events;
            use diesel::prelude::*;
            Ok(audit_events::table
                .filter(audit_events::event.eq(Event::KeyRotated))
                .select(audit_events::detail)
                .load::<Option<String>>(connection)?)
        })
    };
    assert!(events().await.unwrap().is_empty());
    let key = rotate_by_hand(&node).await;
    assert_eq!(events().await.unwrap(), [Some(format!("EdDSA {}", key.kid))]);
}

#[tokio::test]
async fn a_token_lives_and_dies_with_its_session_and_its_present_role_counts() {
    let (installation, clock) = (Installation::new(), Clock::adjustable());
    let node = installation.node(&clock, &[]).await;
    prepare(&node).await.unwrap();
    setup::bootstrap(&node).await.unwrap();
    let (auth, client) = command_line();
    let (user, _) = users::create(&node, &auth, "ann", "ann@example.org", None, Role::User, &client).await.unwrap();
    let password = "kettle mango violin 42".into();
    let signed_in = sign_in::browser(&node, "root", &password, false, None, &client).await.unwrap();
    let (root, session) = (signed_in.user, signed_in.handle.session_id);

    let now = clock.now();
    let limit = now + TimeDelta::hours(24);
    let signed = access_tokens::sign(&node, &root, session, now, limit).await.unwrap();
    let bearer = access_tokens::authenticate(&node, signed.token.expose_secret()).await.unwrap();
    assert_eq!((bearer.session.id, bearer.session.role, signed.expires_in), (session, Role::Admin, 900));
    assert_eq!(bearer.claims.preferred_username, "root");

    // Of somebody else it is no session.
    let mixed = access_tokens::sign(&node, &user, session, now, limit).await.unwrap();
    let refused = |answer: Result<_>| matches!(answer, Err(Error::InvalidToken));
    assert!(refused(access_tokens::authenticate(&node, mixed.token.expose_secret()).await.map(drop)));

    // An administrator has to be left who can sign in.
    passwords::set(&node, &auth, user.id, &password, &client).await.unwrap();
    user_acts::set_role(&node, &auth, user.id, Role::Admin, &client).await.unwrap();
    user_acts::set_role(&node, &auth, root.id, Role::User, &client).await.unwrap();
    let bearer = access_tokens::authenticate(&node, signed.token.expose_secret()).await.unwrap();
    assert_eq!((bearer.session.role, bearer.claims.role), (Role::User, Role::Admin));

    everyone::end_one(&node, &auth, session, &client).await.unwrap();
    assert!(refused(access_tokens::authenticate(&node, signed.token.expose_secret()).await.map(drop)));
    // Revoking it once more is still about that session, and after its end too.
    clock.advance(TimeDelta::minutes(16));
    let named = access_tokens::session_of(&node, signed.token.expose_secret()).await.unwrap();
    assert_eq!(named, Some((root.id, session)));
    assert!(refused(access_tokens::authenticate(&node, "pcr_AAAA").await.map(drop)));
    assert!(refused(access_tokens::authenticate(&node, &signed_in.handle.reveal()).await.map(drop)));
    assert!(matches!(access_tokens::sign(&node, &root, session, now, clock.now()).await, Err(Error::NotSignedIn)));
}
