//! Prometheus' text format: lines of name, labels and value.

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Sample {
    /// A label's value; empty if the sample does not have the label.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|label| label.0 == name);
        found.map_or("", |label| &label.1)
    }
}

/// All lines that are samples. Comments and lines that cannot be parsed are left out.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Sample> + '_ {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
}

fn sample(line: &str) -> Option<Sample> {
    let at = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(at);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// Labels up to the closing brace, and the rest of the line.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text =
            "# HELP a b\na_total{x=\"1\",y=\"q\\\"},\\\\\"} 3\nb 2.5 17\nbroken{x=\"1\n\nc{} 1\n# EOF\n";
        let all: Vec<Sample> = samples(text).collect();
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a_total", "b", "c"]);
        assert_eq!(
            (all[0].label("y"), all[0].label("x"), all[0].label("z")),
            ("q\"},\\", "1", "")
        );
        assert_eq!((all[0].value, all[1].value), (3.0, 2.5));
    }
}
