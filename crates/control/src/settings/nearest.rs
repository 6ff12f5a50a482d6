//! Finds the known key that a misspelt one probably means.

/// The known key with the smallest edit distance from `word`.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known.min_by_key(|key| distance(key, word))
}

/// The Levenshtein distance: how many bytes must be inserted, removed or replaced.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (line, right) in other.bytes().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (place, left) in one.bytes().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[place + 1];
            row[place + 1] = change.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[one.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
