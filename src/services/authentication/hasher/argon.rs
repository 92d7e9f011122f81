//! Argon2 (RFC 9106) on memory that each hashing thread keeps: mapping and clearing it anew takes a twentieth of the time of
//! a hash, and the C library would keep several such pieces for every thread.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{Error, Result};
use argon2::{Algorithm, Argon2, Block, Params, Version};

thread_local! {
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Argon2id with a new salt, in version 1.3.
pub(super) fn hash(params: &Params, password: &[u8]) -> Result<PasswordHash> {
    let salt = Salt::generate();
    let output = output(Algorithm::Argon2id, Version::V0x13, params, password, &salt, params)?;
    described(params, salt, output)
}

/// A hash of no password that anybody knows: it takes as long to check as one of ours, and was not computed.
pub(super) fn decoy(params: &Params) -> Result<PasswordHash> {
    let output: [u8; Params::DEFAULT_OUTPUT_LEN] = rand::random();
    described(params, Salt::generate(), Output::new(&output)?)
}

fn described(params: &Params, salt: Salt, output: Output) -> Result<PasswordHash> {
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(salt),
        hash: Some(output),
    })
}

/// Whether the password makes this hash, compared in constant time. Memory beyond what `ours` needs is not kept.
pub(super) fn matches(hash: &PasswordHash, password: &[u8], ours: &Params) -> Result<bool> {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    Ok(output(algorithm, version, &Params::try_from(hash)?, password, salt, ours)? == *expected)
}

fn output(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    password: &[u8],
    salt: &Salt,
    ours: &Params,
) -> Result<Output> {
    let mut buffer = [0; Output::MAX_LENGTH];
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let out = buffer.get_mut(..length).ok_or(Error::OutputSize)?;
    let argon2 = Argon2::new(algorithm, version, params.clone());
    let needed = params.block_count();
    if needed > ours.block_count() {
        argon2.hash_password_into(password, salt, out)?;
    } else {
        MEMORY.with_borrow_mut(|memory| {
            let more = needed.saturating_sub(memory.len());
            memory.try_reserve_exact(more).map_err(|_| argon2::Error::OutOfMemory)?;
            memory.resize(memory.len() + more, Block::new());
            argon2.hash_password_into_with_memory(password, salt, out, &mut memory[..needed])
        })?;
    }
    Ok(Output::new(out)?)
}
