use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Made by Django, bcrypt, passlib and argon2-cffi; the second one is what is stored of it.
#[rstest]
#[case::argon2(
    "$argon2id$v=19$m=64,t=1,p=2$QlNuZkRLdzlQa2hoMnYwcWNDdzB1eQ$aiBFDsDWvawyv3LMkF4p+sLQv7QX7AC5qKU1VfwukfY",
    None
)]
#[case::argon2_of_django(
    "argon2$argon2id$v=19$m=64,t=1,p=2$QlNuZkRLdzlQa2hoMnYwcWNDdzB1eQ$aiBFDsDWvawyv3LMkF4p+sLQv7QX7AC5qKU1VfwukfY",
    Some("$argon2id$v=19$m=64,t=1,p=2$QlNuZkRLdzlQa2hoMnYwcWNDdzB1eQ$aiBFDsDWvawyv3LMkF4p+sLQv7QX7AC5qKU1VfwukfY")
)]
#[case::argon2_of_the_reference_implementation_before_it_named_versions(
    "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
    Some("$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY")
)]
#[case::bcrypt("$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", None)]
#[case::bcrypt_2a(
    "$2a$04$2QqGHpP2q3HOc2NrTy.d2.ArAttMhS4V8BN2Th12J44CMdLAslQUa",
    Some("$2b$04$2QqGHpP2q3HOc2NrTy.d2.ArAttMhS4V8BN2Th12J44CMdLAslQUa")
)]
#[case::bcrypt_of_php_with_spare_bits_in_the_salt(
    "$2y$10$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm",
    Some("$2b$10$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm")
)]
#[case::bcrypt_of_django(
    "bcrypt$$2b$04$KPk93aG73Kc4oz5BhmTDC.q9HXsjbanvPVDiZihkiC7qegblI7JfK",
    Some("$2b$04$KPk93aG73Kc4oz5BhmTDC.q9HXsjbanvPVDiZihkiC7qegblI7JfK")
)]
#[case::bcrypt_sha256_of_django("bcrypt_sha256$$2b$04$2hD3nhZn0owcrcGXAATbMupfCkHugyENzzwhHx/QAhTvIgN6n4hIK", None)]
#[case::scrypt("$scrypt$ln=4,r=8,p=1$qlUKQShljBFCCIFwDiFEKA$Z630nGis7UpcCtTw8LNkdaJVRc2xn6oh3PM5EwTsdGM", None)]
#[case::scrypt_of_django(
    "scrypt$16$Y41ySljM68AZcEHdHIRmpl$8$5$SYj9DBgssMiBiubmk3XaL436uZ71v8Q98O62V5+MtqKmLH28e8kp0L8b14WbP1cKwJQ9vs1cjrfxmbfJqYVMcw==",
    Some(
        "$scrypt$ln=4,r=8,p=5$WTQxeVNsak02OEFaY0VIZEhJUm1wbA$SYj9DBgssMiBiubmk3XaL436uZ71v8Q98O62V5+MtqKmLH28e8kp0L8b14WbP1cKwJQ9vs1cjrfxmbfJqYVMcw"
    )
)]
#[case::pbkdf2_sha256_of_django(
    "pbkdf2_sha256$1000$NpgeSZjAv6U566maoR176L$5b9mYdJmR81i8Wmd0ABnC4bDHE0xXNGRLp72K9mgb9I=",
    Some("$pbkdf2-sha256$i=1000$TnBnZVNaakF2NlU1NjZtYW9SMTc2TA$5b9mYdJmR81i8Wmd0ABnC4bDHE0xXNGRLp72K9mgb9I")
)]
#[case::pbkdf2_sha1_of_django(
    "pbkdf2_sha1$1000$ZEm9ohkT3y1vcSNGRLZIz9$+IgHnF0OY60moKCTR33rN44Nx7Q=",
    Some("$pbkdf2-sha1$i=1000$WkVtOW9oa1QzeTF2Y1NOR1JMWkl6OQ$+IgHnF0OY60moKCTR33rN44Nx7Q")
)]
#[case::pbkdf2_sha256_of_passlib(
    "$pbkdf2-sha256$1000$/N97D0GIUQqBsNa6d.4dgw$8TNiGpt7d9O..owJRiRbKBdOZpPEUfA50ECQtEM0ATk",
    Some("$pbkdf2-sha256$i=1000$/N97D0GIUQqBsNa6d+4dgw$8TNiGpt7d9O++owJRiRbKBdOZpPEUfA50ECQtEM0ATk")
)]
#[case::pbkdf2_sha1_of_passlib(
    "$pbkdf2$1000$6H0PQeg9ByAkBEBojZEyZg$/vPKmAEMb00/9CNLUNZuUT0UCBM",
    Some("$pbkdf2-sha1$i=1000$6H0PQeg9ByAkBEBojZEyZg$/vPKmAEMb00/9CNLUNZuUT0UCBM")
)]
#[case::pbkdf2_with_its_length(
    "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$1kqUM4dqZD9nt4AYqaOY3UaHPU/K1RyXUDHuUvwk8KmjJacJsRbKyFD+4DvKJ59pJbfbsGKNny/5TPat7TmsPw",
    Some(
        "$pbkdf2-sha512$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$1kqUM4dqZD9nt4AYqaOY3UaHPU/K1RyXUDHuUvwk8KmjJacJsRbKyFD+4DvKJ59pJbfbsGKNny/5TPat7TmsPw"
    )
)]
#[case::pbkdf2_of_two_blocks(
    "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg==$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gzBPO9dTWzmXqJCK3OoT+sARbfLNRX+v2mj5o+NrZ0olg==",
    Some("$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gw")
)]
fn each_spelling_is_read_and_one_is_written(#[case] read: &str, #[case] written: Option<&str>) {
    let hash = PasswordHash::parse(read).unwrap();
    assert_eq!(hash.to_string(), written.unwrap_or(read));
    assert_eq!(PasswordHash::parse(&hash.to_string()).unwrap(), hash);
    hash.check_cost().unwrap();
    assert!(!format!("{hash:?}").contains('$'));
}

const SALT_AND_HASH: &str = "MDEyMzQ1Njc4OWFiY2RlZg$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gw";

#[rstest]
#[case::empty("", "unsupported")]
#[case::clear_text("hunter2", "unsupported")]
#[case::md5_of_django("md5$salt$900150983cd24fb0d6963f7d28e17f72", "unsupported")]
#[case::sha256_crypt("$5$rounds=5000$salt$Gcm6FsVtF/Qa77ZKD.iwsJlCVPY0XSMgLJL0Hnww/c1", "unsupported")]
#[case::bcrypt_with_the_sign_bug("$2x$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", "unsupported")]
#[case::bcrypt_cut_off("$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3", "invalid")]
#[case::bcrypt_with_more("$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Smx", "invalid")]
#[case::bcrypt_of_cost_3("$2b$03$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", "invalid")]
#[case::bcrypt_of_cost_32("$2b$32$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", "invalid")]
#[case::bcrypt_in_two_bytes("$2b$04$éTHQfhVQXQW0dDvsMe8FT.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", "invalid")]
#[case::argon2_without_hash("$argon2id$v=19$m=64,t=1,p=2$QlNuZkRLdzlQa2hoMnYwcWNDdzB1eQ", "invalid")]
#[case::argon2_without_passes(&format!("$argon2id$v=19$m=64,t=0,p=2${SALT_AND_HASH}"), "invalid")]
#[case::argon2_of_another_version(&format!("$argon2id$v=20$m=64,t=1,p=2${SALT_AND_HASH}"), "invalid")]
#[case::scrypt_without_r(&format!("$scrypt$ln=4,p=1${SALT_AND_HASH}"), "invalid")]
#[case::scrypt_with_r_twice(&format!("$scrypt$ln=4,r=8,r=8,p=1${SALT_AND_HASH}"), "invalid")]
#[case::scrypt_with_an_unknown_number(&format!("$scrypt$ln=4,r=8,p=1,x=1${SALT_AND_HASH}"), "invalid")]
#[case::scrypt_beyond_the_address_space(&format!("$scrypt$ln=63,r=4294967295,p=1${SALT_AND_HASH}"), "invalid")]
#[case::scrypt_with_a_product_that_overflows(&format!("$scrypt$ln=4,r=65536,p=65536${SALT_AND_HASH}"), "invalid")]
#[case::scrypt_of_no_power_of_two("scrypt$15$salt$8$5$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gw", "invalid")]
#[case::pbkdf2_without_iterations(&format!("$pbkdf2-sha256$l=32${SALT_AND_HASH}"), "invalid")]
#[case::pbkdf2_of_no_iterations(&format!("$pbkdf2-sha256$i=0${SALT_AND_HASH}"), "invalid")]
#[case::pbkdf2_of_minus_one(&format!("$pbkdf2-sha256$i=-1${SALT_AND_HASH}"), "invalid")]
#[case::pbkdf2_cut_off(&format!("$pbkdf2-sha256$i=1000,l=64${SALT_AND_HASH}"), "invalid")]
#[case::pbkdf2_too_short("$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$N257wxEX", "invalid")]
#[case::pbkdf2_without_salt("$pbkdf2-sha256$i=1000$$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gw", "invalid")]
#[case::pbkdf2_of_another_digest(&format!("$pbkdf2-md5$i=1000${SALT_AND_HASH}"), "unsupported")]
fn a_hash_that_cannot_be_checked_is_refused_without_being_told(#[case] text: &str, #[case] code: &str) {
    let error = PasswordHash::parse(text).unwrap_err();
    assert_eq!((&*error.field, error.code), ("password_hash", code));
    assert!(text.is_empty() || !error.message.contains(text), "{}", error.message);
}

#[rstest]
#[case("$2b$15$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", "bcrypt")]
#[case("$2b$31$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm", "bcrypt")]
#[case(&format!("$argon2id$v=19$m=1048576,t=1,p=4${SALT_AND_HASH}"), "256 MiB")]
#[case(&format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1${SALT_AND_HASH}"), "256 MiB")]
#[case(&format!("$argon2id$v=19$m=65536,t=17,p=1${SALT_AND_HASH}"), "1024 MiB")]
#[case(&format!("$scrypt$ln=20,r=8,p=1${SALT_AND_HASH}"), "256 MiB")]
#[case(&format!("$scrypt$ln=40,r=8,p=1${SALT_AND_HASH}"), "256 MiB")]
#[case(&format!("$scrypt$ln=1,r=1,p=1073741823${SALT_AND_HASH}"), "256 MiB")]
#[case(&format!("$scrypt$ln=14,r=8,p=65${SALT_AND_HASH}"), "1024 MiB")]
#[case(&format!("$pbkdf2-sha256$i=3000001${SALT_AND_HASH}"), "3000000 iterations")]
#[case(&format!("$pbkdf2-sha256$4294967295${SALT_AND_HASH}"), "3000000 iterations")]
fn what_would_keep_the_server_busy_at_sign_in_is_too_costly(#[case] text: &str, #[case] named: &str) {
    let error = PasswordHash::parse(text).unwrap().check_cost().unwrap_err();
    assert_eq!((&*error.field, error.code), ("password_hash", "too_costly"));
    assert!(error.message.contains(named), "{}", error.message);
}

/// The parameters that libraries and products have by default, or recommend.
#[rstest]
#[case::libsodium_moderate("$argon2id$v=19$m=262144,t=3,p=1$")]
#[case::django_argon2("$argon2id$v=19$m=102400,t=2,p=8$")]
#[case::keycloak("$argon2id$v=19$m=7168,t=5,p=1$")]
#[case::owasp_scrypt("$scrypt$ln=17,r=8,p=1$")]
#[case::django_scrypt("$scrypt$ln=14,r=8,p=5$")]
#[case::owasp_pbkdf2_with_sha1("$pbkdf2-sha1$i=1400000$")]
fn what_others_have_by_default_is_not_too_costly(#[case] params: &str) {
    PasswordHash::parse(&format!("{params}{SALT_AND_HASH}")).unwrap().check_cost().unwrap();
}

proptest! {
    #[test]
    fn no_text_is_too_much_for_the_reader(text in "\\PC{0,200}") {
        let _ = PasswordHash::parse(&text);
    }

    #[test]
    fn whatever_looks_like_a_hash_is_refused_or_read_back(
        head in prop::sample::select(vec![
            "$argon2id$v=19$", "argon2$argon2i$", "$2b$", "bcrypt_sha256$$2a$", "$scrypt$", "scrypt$16$salt$",
            "$pbkdf2-sha256$", "pbkdf2_sha1$", "$pbkdf2$",
        ]),
        rest in "([a-z]{1,2}=)?[0-9]{0,11}[,$]?([rp]=[0-9]{1,11}[,$]){0,2}[./A-Za-z0-9+=$é]{0,120}",
    ) {
        if let Ok(hash) = PasswordHash::parse(&format!("{head}{rest}")) {
            let _ = hash.check_cost();
            prop_assert_eq!(PasswordHash::parse(&hash.to_string()).unwrap(), hash);
        }
    }
}
