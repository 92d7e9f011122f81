//! Accounts by a part of their names, for each list that shows whose something is.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::domain::UserId;
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::types::Id;

/// With so many accounts that may contain a text, walking the list meets enough of them soon.
const MANY: i64 = 1000;

/// Trigrams of a text that are asked for; what has all these is looked at itself.
const MAX_TRIGRAMS: usize = 40;

/// The accounts that may contain `text`, where those are few. `None` too for a text with trigrams on PostgreSQL, which
/// decides by itself whether its index of them pays.
pub(super) fn few_candidates(connection: &mut AnyConnection, text: &str) -> Result<Option<Vec<UserId>>> {
    let (query, wanted) = match (&*connection, trigrams(text)) {
        (AnyConnection::Postgres(_), Some(_)) => return Ok(None),
        (AnyConnection::Postgres(_), None) => (
            "SELECT id FROM users WHERE deleted_at IS NULL AND short_parts(search_text) @> ARRAY[$1] LIMIT $2",
            text.to_owned(),
        ),
        (AnyConnection::Sqlite(_), Some(trigrams)) => {
            ("SELECT id FROM users_search WHERE users_search MATCH $1 LIMIT $2", trigrams)
        }
        // All texts, in an index that has everything which is named here.
        (AnyConnection::Sqlite(_), None) => (
            "SELECT id FROM users WHERE username_key IS NOT NULL AND search_text LIKE $1 ESCAPE '\\' LIMIT $2",
            contains(text),
        ),
    };
    let query = diesel::sql_query(query).bind::<Text, _>(wanted).bind::<BigInt, _>(MANY);
    let found: Vec<UserId> = query.load::<Candidate>(connection)?.into_iter().map(|candidate| candidate.id).collect();
    Ok(((found.len() as i64) < MANY).then_some(found))
}

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = Id)]
    id: UserId,
}

/// What FTS5 is asked, where the text is long enough to have a trigram.
fn trigrams(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let terms = characters.windows(3).take(MAX_TRIGRAMS).map(|trigram| {
        let trigram: String = trigram.iter().collect();
        format!("\"{}\"", trigram.replace('"', "\"\""))
    });
    let terms: Vec<_> = terms.collect();
    (!terms.is_empty()).then(|| terms.join(" AND "))
}

/// The pattern for what contains `text`, which may have wildcards of its own.
pub(super) fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_what_was_typed_stand_for_themselves() {
        assert_eq!(contains("a_b"), r"%a\_b%");
        assert_eq!(contains(r"100%\"), r"%100\%\\%");
    }

    #[test]
    fn a_text_is_asked_for_by_its_trigrams_and_can_be_no_other_query() {
        assert_eq!(trigrams("ada ").as_deref(), Some(r#""ada" AND "da ""#));
        assert_eq!(trigrams(r#"a"*"#).as_deref(), Some(r#""a""*""#));
        assert_eq!(trigrams("äö"), None);
        assert_eq!(trigrams(&"x".repeat(5000)).map(|query| query.matches("AND").count()), Some(MAX_TRIGRAMS - 1));
    }
}
