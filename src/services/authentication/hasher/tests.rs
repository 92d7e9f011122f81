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
