//! Counts as they are read.

/// A count as it is read: "12,844".
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut words = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_in_thousands() {
        for (count, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_844, "12,844"), (1_000_000, "1,000,000")]
        {
            assert_eq!(number(count), expected);
        }
    }
}
