//! The one place where passwords are hashed and checked: Argon2id (RFC 9106) in PHC strings, and until their owners
//! have signed in once, the hashes of other systems ([`PasswordHash`]).
//!
//! Each hash takes `argon2_memory_kib` of memory and a core for tens of milliseconds, so they run on a few threads of
//! their own with a short queue in front: neither the async workers nor the web server's blocking pool of hundreds of
//! threads would keep the memory bounded. Past the queue the answer is [`Error::Busy`], at once.
//!
//! A hash of another system takes its own time and memory, within [`PasswordHash::check_cost`]. Those that take more
//! memory than ours are checked one at a time, on a thread with a queue of their own: so all of them together take no
//! more memory than one, and a flood at such accounts holds up nobody else. Until it is hashed anew at the first sign-in,
//! the time may tell that the account exists, for the decoy takes as long as our own.

mod check;
mod pool;

use std::sync::Arc;

use argon2::password_hash::Error as HashError;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher as _, Version};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::domain::password::{self, PasswordPolicy};
use crate::domain::password_hash::PasswordHash;
use crate::domain::{Error, FieldError};
use crate::settings::Argon2Cost;
use pool::{Place, Pool};

/// Hashes and verifies passwords. Clones share the threads and the queue.
#[derive(Clone)]
pub struct Hasher {
    pool: Pool,
    /// One thread, for [`Hasher::is_costly`].
    costly: Pool,
    engine: Arc<Engine>,
}

/// A check that has its place in a queue.
pub struct Check {
    place: Place,
    stored: Option<PasswordHash>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the password is the right one.
    pub matches: bool,
    /// Whether the stored hash was made in another way than today's: after a match, hash again and store that.
    pub outdated: bool,
}

impl Hasher {
    /// Starts `concurrency` threads that serve a queue of `queue` entries, one more with such a queue for costly hashes,
    /// and makes the decoy: takes as long as a hash. The threads end with the last clone.
    ///
    /// # Errors
    /// Parameters that Argon2 does not allow (`memory_kib` is at least 8 for each lane), or no threads.
    pub fn new(cost: Argon2Cost, concurrency: usize, queue: usize) -> Result<Self, Error> {
        let engine = Arc::new(Engine::new(cost).map_err(Error::internal)?);
        let pool = Pool::new(concurrency, queue).map_err(Error::internal)?;
        let costly = Pool::new(1, queue).map_err(Error::internal)?;
        Ok(Self { pool, costly, engine })
    }

    /// Work that can take as long as a hash, on the same threads and in the same queue.
    ///
    /// # Errors
    /// [`Error::Busy`] at once when the queue is full: nothing was done.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        self.pool.run(work).await
    }

    /// [`PasswordPolicy::check`] on the hashing threads, for it can take as long as a hash.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full: nothing was checked.
    pub async fn check(
        &self,
        policy: PasswordPolicy,
        field: &'static str,
        password: &SecretString,
        about: &[&str],
    ) -> Result<Result<(), FieldError>, Error> {
        let password = password.clone();
        let about: Vec<String> = about.iter().map(|&text| text.to_owned()).collect();
        let check = move || policy.check(field, &password, &about.iter().map(String::as_str).collect::<Vec<_>>());
        self.run(check).await
    }

    /// The PHC string to store.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full. [`Error::Internal`] without memory or randomness, and for a password
    /// beyond 128 characters, which the policy refuses before.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Error> {
        let password =
            password::prepared(password).ok_or_else(|| Error::internal("a password that no policy allows"))?;
        let engine = self.engine.clone();
        self.pool.run(move || engine.hash(&password)).await?.map_err(Error::internal)
    }

    /// Whether a check would have a place now: under a flood, who has none costs nothing else.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full.
    pub fn check_room(&self) -> Result<(), Error> {
        self.pool.check_room()
    }

    /// A check against the hash that the account has. Without one (no such account, or no password yet) the same work is
    /// done on a decoy, so that the time tells nothing; so it is for a stored text that is no hash.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue for such hashes is full.
    pub fn prepare(&self, stored: Option<&str>) -> Result<Check, Error> {
        let stored = stored.and_then(read);
        let is_costly = stored.as_ref().is_some_and(|hash| self.is_costly(hash));
        let pool = if is_costly { &self.costly } else { &self.pool };
        Ok(Check { place: pool.reserve()?, stored })
    }

    /// Checks a password.
    ///
    /// # Errors
    /// [`Error::Internal`] without the memory for Argon2; without that for scrypt, the process ends.
    pub async fn verify(&self, check: Check, password: &SecretString) -> Result<Verdict, Error> {
        let (password, engine, Check { place, stored }) = (password.clone(), self.engine.clone(), check);
        place.run(move || engine.verify(&password, stored.as_ref())).await?.map_err(Error::internal)
    }

    /// Whether checking it takes more memory than checking one of ours.
    pub fn is_costly(&self, hash: &PasswordHash) -> bool {
        hash.memory() > self.engine.decoy.memory()
    }

    /// Reads the hash of an account that is to be imported.
    ///
    /// # Errors
    /// Says of the field `password_hash` why it can't be used, which here includes that checking it costs too much:
    /// more than [`PasswordHash::check_cost`] and than our own.
    pub fn admit(&self, text: &str) -> Result<PasswordHash, FieldError> {
        let hash = PasswordHash::parse(text)?;
        if self.engine.is_outdated(&hash) {
            hash.check_cost()?;
        }
        Ok(hash)
    }
}

/// Argon2id with the configured parameters.
struct Engine {
    params: Params,
    /// Of an empty password; it matches nothing, whatever the comparison says.
    decoy: PasswordHash,
}

impl Engine {
    fn new(cost: Argon2Cost) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(Params::DEFAULT_OUTPUT_LEN))?;
        let decoy = PasswordHash::Argon2(Box::new(argon2id(&params).hash_password(b"")?));
        Ok(Self { params, decoy })
    }

    fn hash(&self, password: &Zeroizing<String>) -> Result<String, HashError> {
        Ok(argon2id(&self.params).hash_password(password.as_bytes())?.to_string())
    }

    fn verify(&self, password: &SecretString, known: Option<&PasswordHash>) -> Result<Verdict, HashError> {
        let hash = known.unwrap_or(&self.decoy);
        let mut matches = false;
        for spelling in password::spellings(password) {
            matches |= check::matches(hash, spelling.as_bytes())?;
        }
        // One that is longer than ours may be can't be hashed anew.
        let outdated = self.is_outdated(hash) && password::prepared(password).is_some();
        Ok(if known.is_some() { Verdict { matches, outdated } } else { Verdict { matches: false, outdated: false } })
    }

    fn is_outdated(&self, hash: &PasswordHash) -> bool {
        let PasswordHash::Argon2(hash) = hash else { return true };
        hash.algorithm != ARGON2ID_IDENT
            || hash.version != Some(Version::V0x13.into())
            || Params::try_from(&**hash).as_ref() != Ok(&self.params)
    }
}

fn argon2id(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

/// What can't be read is a damaged row: logged, and from then on like no password at all.
fn read(stored: &str) -> Option<PasswordHash> {
    let hash = PasswordHash::parse(stored).ok();
    if hash.is_none() {
        tracing::error!("a stored password hash can't be read; its account can't sign in until the password is reset");
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: Argon2Cost = Argon2Cost { memory_kib: 8, iterations: 1, lanes: 1 };

    fn hasher(cost: Argon2Cost) -> Hasher {
        Hasher::new(cost, 2, 64).unwrap()
    }

    async fn verify(password: &str, stored: Option<&str>) -> Verdict {
        check(&hasher(TINY), password, stored).await.unwrap()
    }

    async fn check(hasher: &Hasher, password: &str, stored: Option<&str>) -> Result<Verdict, Error> {
        let check = hasher.prepare(stored)?;
        hasher.verify(check, &password.into()).await
    }

    const NO: Verdict = Verdict { matches: false, outdated: false };

    #[tokio::test]
    async fn only_the_right_password_matches_its_hash() {
        let stored = hasher(TINY).hash(&"correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert_eq!(verify("correct horse", Some(&stored)).await, Verdict { matches: true, outdated: false });
        assert_eq!(verify("Correct horse", Some(&stored)).await, NO);
        assert_eq!(verify("", Some(&stored)).await, NO);
    }

    #[tokio::test]
    async fn a_new_password_is_held_against_the_policy() {
        let policy = PasswordPolicy { min_length: 10, min_score: 3 };
        let check = async |password: &str| hasher(TINY).check(policy, "password", &password.into(), &["ada"]).await;
        assert_eq!(check("correct horse battery staple").await.unwrap(), Ok(()));
        assert_eq!(check("adaadaadaada").await.unwrap().unwrap_err().code, "too_similar");
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let hasher = hasher(TINY);
        let password = SecretString::from("correct horse");
        assert_ne!(hasher.hash(&password).await.unwrap(), hasher.hash(&password).await.unwrap());
    }

    #[tokio::test]
    async fn composed_and_decomposed_characters_are_the_same_password() {
        let stored = hasher(TINY).hash(&"Zo\u{eb} am Meer".into()).await.unwrap();
        assert!(verify("Zoe\u{308}\u{a0}am Meer", Some(&stored)).await.matches);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_matches_and_is_outdated() {
        let others = [
            Argon2Cost { memory_kib: 16, ..TINY },
            Argon2Cost { iterations: 2, ..TINY },
            Argon2Cost { memory_kib: 16, lanes: 2, ..TINY },
        ];
        for cost in others {
            let stored = hasher(cost).hash(&"correct horse".into()).await.unwrap();
            assert_eq!(verify("correct horse", Some(&stored)).await, Verdict { matches: true, outdated: true });
            assert!(!verify("wrong horse", Some(&stored)).await.matches);
        }
    }

    #[tokio::test]
    async fn a_hash_of_another_system_is_of_the_password_as_it_was_typed_and_is_outdated() {
        // "Zoe\u{308}\u{a0}am Meer", which is prepared as other bytes, by bcrypt; 200 times "y" by Django.
        let unprepared = "$2b$04$tF7NX2Q8edVoD9qXvd6ST.Hk0uZ6fAMdDC1YMKdKwRDP2p5zG2.wm";
        let matched = Verdict { matches: true, outdated: true };
        assert_eq!(verify("Zoe\u{308}\u{a0}am Meer", Some(unprepared)).await, matched);
        assert!(!verify("Zo\u{eb} am Meer", Some(unprepared)).await.matches);
        let long = "pbkdf2_sha256$1000$jUhzIEFArqPB3rw1kY6iF9$wilyxuk+CrXfpmS9k5n8olkUOTEx2vneCcKYAX+QkYo=";
        // Ours would not be found again under a password that is longer than ours are.
        assert_eq!(verify(&"y".repeat(200), Some(long)).await, Verdict { matches: true, outdated: false });
        assert!(!verify(&"y".repeat(199), Some(long)).await.matches);
    }

    #[test]
    fn a_hash_that_is_imported_may_cost_what_ours_cost_and_else_no_more_than_the_limit() {
        let costly = "$argon2id$v=19$m=300000,t=2,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
        assert_eq!(hasher(TINY).admit(costly).unwrap_err().code, "too_costly");
        let ours = Argon2Cost { memory_kib: 300_000, iterations: 2, lanes: 1 };
        assert!(hasher(ours).admit(costly).is_ok());
        assert_eq!(hasher(TINY).admit("hunter2").unwrap_err().code, "unsupported");
    }

    #[tokio::test]
    async fn nobody_has_the_decoys_password() {
        assert_eq!(verify("", None).await, NO);
        assert_eq!(verify("correct horse", None).await, NO);
    }

    #[tokio::test]
    async fn a_text_that_is_no_hash_matches_nothing() {
        let salt = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ";
        let hash = "$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
        for stored in ["", "password", "$argon2id", "$argon2id$v=19$m=8,t=1,p=1", salt, hash, "$2b$12$", "é\0$"] {
            assert_eq!(verify("password", Some(stored)).await, NO, "{stored}");
        }
    }

    #[tokio::test]
    async fn a_password_beyond_the_longest_is_wrong_and_never_hashed_at_length() {
        let longest = "x".repeat(128);
        let stored = hasher(TINY).hash(&longest.as_str().into()).await.unwrap();
        assert!(verify(&longest, Some(&stored)).await.matches);
        assert_eq!(verify(&"x".repeat(129), Some(&stored)).await, NO);
        assert_eq!(verify(&"x".repeat(1 << 20), Some(&stored)).await, NO);
        assert!(hasher(TINY).hash(&"x".repeat(129).into()).await.is_err());
    }

    /// What the one thread that hashes has done so far, as the system counts it: whatever else the machine has to do.
    async fn processor_time(hasher: &Hasher) -> u64 {
        let read = || std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let nanoseconds = hasher.run(read).await.unwrap();
        nanoseconds.split(' ').next().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
        let hasher = Hasher::new(Argon2Cost { memory_kib: 19_456, iterations: 2, lanes: 1 }, 1, 64).unwrap();
        let stored = hasher.hash(&"correct horse".into()).await.unwrap();
        let (wrong, too_long) = ("wrong horse", "x".repeat(129));
        let mut least = [u64::MAX; 4];
        for _ in 0..5 {
            let cases = [(wrong, Some(stored.as_str())), (wrong, None), (wrong, Some("damaged")), (&too_long, None)];
            for (least, (password, stored)) in least.iter_mut().zip(cases) {
                let before = processor_time(&hasher).await;
                assert!(!check(&hasher, password, stored).await.unwrap().matches);
                *least = (processor_time(&hasher).await - before).min(*least);
            }
        }
        // Without the decoy it would be a thousandth.
        assert!(least.iter().all(|time| *time * 2 > least[0] && *time < least[0] * 2), "{least:?}");
    }

    #[tokio::test]
    async fn parallel_checks_are_answered_or_refused_as_busy() {
        let hasher = hasher(Argon2Cost { memory_kib: 1024, iterations: 1, lanes: 1 });
        let stored = hasher.hash(&"correct horse".into()).await.unwrap();
        let checks = (0..300).map(|_| check(&hasher, "correct horse", Some(&stored)));
        let answers = futures_util::future::join_all(checks).await;
        let matched = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|verdict| verdict.matches)).count();
        let busy = answers.iter().filter(|answer| matches!(answer, Err(Error::Busy))).count();
        assert_eq!(matched + busy, 300);
        assert!(matched >= 64 && busy > 0, "{matched} matched");
    }

    #[test]
    fn parameters_that_argon2_does_not_allow_are_an_error() {
        assert!(Hasher::new(Argon2Cost { memory_kib: 7, ..TINY }, 1, 1).is_err());
        assert!(Hasher::new(Argon2Cost { iterations: 0, ..TINY }, 1, 1).is_err());
    }
}
