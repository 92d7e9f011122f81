use std::io;

use super::*;

/// The rows of the table in `docs/redis-errors.md`: how the answer begins, what is done, what to look at.
fn documented() -> Vec<[String; 3]> {
    let text = include_str!("../../../../../docs/redis-errors.md");
    let rows = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let [answer, done, _when, advice] = <[String; 4]>::try_from(cells).expect("four cells");
        [answer.trim_matches('`').to_owned(), done, advice]
    })
    .collect()
}

fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::ConnectAnew => "connect anew",
        Remedy::Wait => "wait",
        Remedy::Tell => "tell",
    }
}

/// What the library makes of an answer's line.
fn answered(line: &str) -> Refusal {
    let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
    Refusal::of(&value.extract_error().unwrap_err())
}

#[test]
fn the_table_for_operators_tells_what_is_done() {
    let known = KNOWN.iter().chain([&ANY]);
    let told: Vec<_> =
        known.map(|known| [known.begin.to_owned(), words(known.remedy).to_owned(), known.advice.to_owned()]).collect();
    assert_eq!(documented(), told);
}

#[test]
fn every_answer_of_the_table_is_sorted_as_it_says() {
    for [begin, done, advice] in documented() {
        let refusal = match begin.as_str() {
            "anything else" => answered("SOMETHING that nobody has heard of"),
            "no connection" => Refusal::of(&io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            "connection lost" => Refusal::of(&io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            "no answer" => Refusal::of(&io::Error::from(io::ErrorKind::TimedOut).into()),
            "unreadable answer" => Refusal::of(&redis::parse_redis_value(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err()),
            begin => {
                // Also as a script tells it that was refused half-way, and without another word.
                assert_eq!(words(answered(&format!("{begin} so it is. script: 0a, on @user_script:3.")).remedy), done);
                answered(begin)
            }
        };
        assert_eq!((words(refusal.remedy), refusal.advice), (done.as_str(), advice.as_str()), "{begin}: {refusal:?}");
    }
}

#[test]
fn a_word_that_begins_like_another_is_not_taken_for_it() {
    assert_eq!(answered("BUSYKEY Target key name already exists.").remedy, Remedy::Tell);
    assert_eq!(answered("BUSY Redis is busy running a script.").remedy, Remedy::Wait);
    assert_eq!(answered("ERR max number of clients + cluster connections reached").remedy, Remedy::ConnectAnew);
    assert!(answered("ERR user_script:1: attempt to index a nil value").is_error_of_script());
    assert!(!answered("ERR The user executing the script can't run this command or subcommand").is_error_of_script());
}

#[test]
fn what_the_client_finds_by_itself_is_sorted_too() {
    for (kind, code) in [
        (ErrorKind::AuthenticationFailed, "WRONGPASS"),
        (ErrorKind::RESP3NotSupported, "NOPROTO"),
        (ErrorKind::UnexpectedReturnType, "unreadable answer"),
        (ErrorKind::ClusterConnectionNotFound, "no connection"),
        (ErrorKind::Client, "no connection"),
        (ErrorKind::InvalidClientConfig, "no connection"),
    ] {
        assert_eq!(Refusal::of(&RedisError::from((kind, "so it is"))).code, code, "{kind:?}");
    }
    let late = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
    assert_eq!(
        (Refusal::of(&late).code.as_str(), Refusal::of_attempt(&late).code.as_str()),
        ("no answer", "no connection")
    );
    assert!(Refusal::of(&io::Error::from(io::ErrorKind::BrokenPipe).into()).is_lost_connection());
}

#[test]
fn a_password_that_an_unknown_command_repeats_is_not_told() {
    let refusal = answered("ERR unknown command 'AUTH', with args beginning with: 'user' 'hunter2-canary' ");
    assert!(!format!("{refusal} {refusal:?}").contains("canary"), "{refusal}");
    assert!(refusal.to_string().contains("unknown command 'AUTH'"), "{refusal}");
}
