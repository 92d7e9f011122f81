//! Whether a password makes a hash, computed as the hash says and compared in constant time.

use argon2::Params;
use argon2::password_hash::Error as HashError;
use aws_lc_rs::pbkdf2;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::argon;
use crate::domain::password_hash::{Bcrypt, Digest, PasswordHash};

/// Bytes of a password that bcrypt looks at; its libraries cut the others off.
const BCRYPT_LENGTH: usize = 72;

/// `ours` says how much memory a thread keeps for Argon2.
pub(super) fn matches(hash: &PasswordHash, password: &[u8], ours: &Params) -> Result<bool, HashError> {
    match hash {
        PasswordHash::Argon2(hash) => argon::matches(hash, password, ours),
        PasswordHash::Bcrypt(expected) => Ok(bcrypt(expected, password)),
        PasswordHash::Scrypt { params, salt, hash } => {
            let mut made = Zeroizing::new(vec![0; hash.len()]);
            scrypt::scrypt(password, salt, params, &mut made).map_err(|_| HashError::OutputSize)?;
            Ok(made.ct_eq(hash).into())
        }
        PasswordHash::Pbkdf2 { digest, iterations, salt, hash } => {
            let algorithm = match digest {
                Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
            };
            Ok(pbkdf2::verify(algorithm, *iterations, salt, password, hash).is_ok())
        }
    }
}

fn bcrypt(expected: &Bcrypt, password: &[u8]) -> bool {
    let mut input = Zeroizing::new(Vec::with_capacity(password.len().max(BCRYPT_LENGTH) + 1));
    if expected.sha256 {
        for byte in Sha256::digest(password) {
            input.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
    } else {
        input.extend_from_slice(password);
    }
    // Of C's strings the end belongs to the key. A zero byte before it is a character like any other.
    input.push(0);
    input.truncate(BCRYPT_LENGTH);
    let made = bcrypt::bcrypt(expected.cost, expected.salt, &input);
    made[..expected.hash.len()].ct_eq(&expected.hash).into()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PASSWORD: &str = "copper lantern drifts at noon";

    fn matches(hash: &str, password: &str) -> bool {
        super::matches(&PasswordHash::parse(hash).unwrap(), password.as_bytes(), &Params::default()).unwrap()
    }

    /// Made by Django 5.2, bcrypt 5.0, passlib (libpass 1.9) and hashlib.
    #[rstest]
    #[case(
        "argon2$argon2id$v=19$m=64,t=1,p=2$QlNuZkRLdzlQa2hoMnYwcWNDdzB1eQ$aiBFDsDWvawyv3LMkF4p+sLQv7QX7AC5qKU1VfwukfY"
    )]
    #[case("$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm")]
    #[case("$2a$04$2QqGHpP2q3HOc2NrTy.d2.ArAttMhS4V8BN2Th12J44CMdLAslQUa")]
    #[case("bcrypt$$2b$04$KPk93aG73Kc4oz5BhmTDC.q9HXsjbanvPVDiZihkiC7qegblI7JfK")]
    #[case("bcrypt_sha256$$2b$04$2hD3nhZn0owcrcGXAATbMupfCkHugyENzzwhHx/QAhTvIgN6n4hIK")]
    #[case("$scrypt$ln=4,r=8,p=1$qlUKQShljBFCCIFwDiFEKA$Z630nGis7UpcCtTw8LNkdaJVRc2xn6oh3PM5EwTsdGM")]
    #[case(
        "scrypt$16$Y41ySljM68AZcEHdHIRmpl$8$5$SYj9DBgssMiBiubmk3XaL436uZ71v8Q98O62V5+MtqKmLH28e8kp0L8b14WbP1cKwJQ9vs1cjrfxmbfJqYVMcw=="
    )]
    #[case("pbkdf2_sha256$1000$NpgeSZjAv6U566maoR176L$5b9mYdJmR81i8Wmd0ABnC4bDHE0xXNGRLp72K9mgb9I=")]
    #[case("pbkdf2_sha1$1000$ZEm9ohkT3y1vcSNGRLZIz9$+IgHnF0OY60moKCTR33rN44Nx7Q=")]
    #[case("$pbkdf2-sha256$1000$/N97D0GIUQqBsNa6d.4dgw$8TNiGpt7d9O..owJRiRbKBdOZpPEUfA50ECQtEM0ATk")]
    #[case(
        "$pbkdf2-sha512$1000$GuNca02JkVKKMSbkvJdSKg$WDmf7krNwauQm6XbNscP/aUg1mdYWjK5mRbWAZvRskHDmOjYClX8UhidFHBOqzf/EZdAwel.9GlJkCymKqARjA"
    )]
    #[case("$pbkdf2$1000$6H0PQeg9ByAkBEBojZEyZg$/vPKmAEMb00/9CNLUNZuUT0UCBM")]
    #[case(
        "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$1kqUM4dqZD9nt4AYqaOY3UaHPU/K1RyXUDHuUvwk8KmjJacJsRbKyFD+4DvKJ59pJbfbsGKNny/5TPat7TmsPw"
    )]
    #[case::of_two_blocks(
        "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg==$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gzBPO9dTWzmXqJCK3OoT+sARbfLNRX+v2mj5o+NrZ0olg=="
    )]
    fn what_a_library_made_matches_its_password_alone_also_as_it_is_stored(#[case] hash: &str) {
        let stored = PasswordHash::parse(hash).unwrap().to_string();
        for hash in [hash, &stored] {
            assert!(matches(hash, PASSWORD), "{hash}");
            for wrong in ["", "Copper lantern drifts at noon", &PASSWORD[1..], &format!("{PASSWORD} "), "\0"] {
                assert!(!matches(hash, wrong), "{hash} {wrong:?}");
            }
        }
    }

    /// From the tests of the Argon2 reference implementation (`src/test.c`): version 0x10, 256 KiB, two passes.
    #[test]
    fn argon2_without_a_version_is_the_first_one_also_as_it_is_stored() {
        let hash = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
        let stored = PasswordHash::parse(hash).unwrap().to_string();
        for hash in [hash, &stored] {
            assert!(matches(hash, "password") && !matches(hash, "passwore"), "{hash}");
        }
    }

    #[test]
    fn a_zero_byte_does_not_end_the_password_that_bcrypt_looks_at() {
        let hash = "$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm";
        for wrong in [format!("{PASSWORD}\0"), format!("{PASSWORD}\0x")] {
            assert!(!matches(hash, &wrong), "{wrong:?}");
        }
    }

    #[test]
    fn bcrypt_ends_after_72_bytes_as_its_libraries_do_and_with_sha256_before_it_does_not() {
        let hash = "$2b$04$DxT19iZfuJmyp/qvdxv.tuFm33CWCGAeRS6Z7jktU7WXfE0SvMzwi";
        assert!(matches(hash, &"x".repeat(72)) && matches(hash, &"x".repeat(200)));
        assert!(!matches(hash, &"x".repeat(71)));
        let made_by_django = "bcrypt_sha256$$2b$04$k9q/rQR.IsIcNKHMY5PGzeSTmy.7S/zDjS7AqYhio18TcZ0wtQUxi";
        assert!(matches(made_by_django, &"x".repeat(100)));
        assert!(!matches(made_by_django, &"x".repeat(101)) && !matches(made_by_django, &"x".repeat(72)));
    }
}
