//! Names, devices and addresses as they are in life: some everywhere, some once.

use rand::RngExt as _;
use rand::rngs::StdRng;

const FIRST: [&str; 32] = [
    "Ada",
    "Alejandra",
    "Amina",
    "Anders",
    "Anna",
    "Bruno",
    "Chloe",
    "Daniel",
    "Dmitri",
    "Elif",
    "Fatima",
    "Grace",
    "Hannah",
    "Hiro",
    "Ines",
    "Ivan",
    "Jan",
    "Joao",
    "Kofi",
    "Lars",
    "Leila",
    "Mateo",
    "Mei",
    "Nadia",
    "Noah",
    "Olga",
    "Priya",
    "Ravi",
    "Sean",
    "Tove",
    "Yusuf",
    "Zoe",
];
const LAST: [&str; 24] = [
    "Andersson",
    "Bauer",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fernandes",
    "Garcia",
    "Hoffmann",
    "Ito",
    "Jensen",
    "Kumar",
    "Lindqvist",
    "Moreau",
    "Nguyen",
    "Okafor",
    "Petrov",
    "Quist",
    "Rossi",
    "Santos",
    "Tanaka",
    "Ueda",
    "Vargas",
    "Weber",
    "Yilmaz",
];
/// Of one account in [`RARE`].
pub const RARE_NAME: &str = "Quillonette";
/// One in so many has what is rare, whatever it is.
pub const RARE: u64 = 20_000;

/// A name, and the username that is made of it.
pub fn name(number: u64, rng: &mut StdRng) -> (String, String) {
    let last = if number % RARE == 7 { RARE_NAME } else { LAST[rng.random_range(0..LAST.len())] };
    let first = FIRST[rng.random_range(0..FIRST.len())];
    (format!("{first} {last}"), format!("{}.{}{number}", first.to_lowercase(), last.to_lowercase()))
}

pub fn domain(rng: &mut StdRng) -> &'static str {
    pick(rng, &[(60, "example.com"), (25, "example.org"), (14, "mail.example.net"), (1, "partner.example")])
}

pub fn browser(number: u64, rng: &mut StdRng) -> &'static str {
    if number % RARE == 11 {
        return "Vivaldi on OpenBSD";
    }
    pick(
        rng,
        &[
            (34, "Chrome on Windows"),
            (18, "Safari on iPhone"),
            (16, "Chrome on Android"),
            (10, "Safari on macOS"),
            (8, "Edge on Windows"),
            (6, "Firefox on Windows"),
            (4, "Firefox on Linux"),
            (3, "Samsung Internet on Android"),
            (1, "Unknown device"),
        ],
    )
}

pub fn program(rng: &mut StdRng) -> &'static str {
    pick(rng, &[(40, "mobile app"), (30, "python-requests"), (20, "curl"), (9, "build agent"), (1, "Backup of Inês")])
}

/// What is rare is in 192.0.2.0/24, and a whole office behind 198.51.100.7.
pub fn address(number: u64, rng: &mut StdRng) -> String {
    let mut byte = || rng.random_range(1..255);
    match number % 100 {
        _ if number % RARE == 13 => format!("192.0.2.{}", byte()),
        0..5 => OFFICE.to_owned(),
        5..15 => format!("10.20.{}.{}", byte(), byte()),
        15..40 => format!("2001:db8:{:x}:{:x}::{:x}", byte(), byte(), byte()),
        _ => format!("{}.{}.{}.{}", 80 + byte() % 40, byte(), byte(), byte()),
    }
}

pub const OFFICE: &str = "198.51.100.7";

/// One of the choices, each as often as its weight says.
pub fn pick<T: Copy>(rng: &mut StdRng, choices: &[(u32, T)]) -> T {
    let mut point = rng.random_range(0..choices.iter().map(|(weight, _)| weight).sum());
    for (weight, choice) in choices {
        match point.checked_sub(*weight) {
            Some(rest) => point = rest,
            None => return *choice,
        }
    }
    unreachable!("the point is below the sum of the weights")
}
