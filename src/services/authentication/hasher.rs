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

mod argon;
mod check;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use argon2::password_hash::Error as HashError;
use argon2::{ARGON2ID_IDENT, Params, Version};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::domain::password::{self, PasswordPolicy};
use crate::domain::password_hash::PasswordHash;
use crate::domain::{Error, FieldError};
use crate::settings::Argon2Cost;
pub use pool::Load;
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

    /// How busy its threads are: those for nearly all hashes, and the one for costly ones.
    pub fn load(&self) -> [(&'static str, Load); 2] {
        [("usual", self.pool.load()), ("costly", self.costly.load())]
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
    /// It matches nothing, whatever the comparison says.
    decoy: PasswordHash,
}

impl Engine {
    fn new(cost: Argon2Cost) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(Params::DEFAULT_OUTPUT_LEN))?;
        let decoy = PasswordHash::Argon2(Box::new(argon::decoy(&params)?));
        Ok(Self { params, decoy })
    }

    fn hash(&self, password: &Zeroizing<String>) -> Result<String, HashError> {
        Ok(argon::hash(&self.params, password.as_bytes())?.to_string())
    }

    fn verify(&self, password: &SecretString, known: Option<&PasswordHash>) -> Result<Verdict, HashError> {
        let hash = known.unwrap_or(&self.decoy);
        let mut matches = false;
        for spelling in password::spellings(password) {
            matches |= check::matches(hash, spelling.as_bytes(), &self.params)?;
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

/// What can't be read is a damaged row: logged, and from then on like no password at all.
fn read(stored: &str) -> Option<PasswordHash> {
    let hash = PasswordHash::parse(stored).ok();
    if hash.is_none() {
        tracing::error!("a stored password hash can't be read; its account can't sign in until the password is reset");
    }
    hash
}
