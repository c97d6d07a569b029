//! Paragraphs of fields, as Debian's control files have them: deb822(5).

/// One paragraph of a control file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paragraph<'a>(&'a str);

/// The paragraphs of a text, those without any field left out.
pub(crate) fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    text.split("\n\n")
        .filter(|part| !part.trim().is_empty())
        .map(Paragraph)
}

impl<'a> Paragraph<'a> {
    /// What stands behind `NAME:` on its first line, trimmed; the first field of that name.
    pub(crate) fn field(self, name: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| value(line, name))
    }

    /// The continuation lines of a field, trimmed.
    pub(crate) fn lines(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .lines()
            .skip_while(move |line| value(line, name).is_none())
            .skip(1)
            .take_while(|line| line.starts_with([' ', '\t']))
            .map(str::trim)
    }
}

fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    if line.starts_with([' ', '\t', '#']) {
        return None;
    }
    let (field, value) = line.split_once(':')?;
    field.eq_ignore_ascii_case(name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fields_and_their_continuations_are_found() {
        let text = "# words\nPackage: a\nSHA256:\n x 1\n y 2\nSize: 3\n\n\npackage:b\n";
        let all: Vec<_> = paragraphs(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].field("package"), Some("a"));
        assert_eq!(all[0].lines("SHA256").collect::<Vec<_>>(), ["x 1", "y 2"]);
        assert_eq!(all[0].field("Size"), Some("3"));
        assert_eq!(all[1].field("Package"), Some("b"));
        assert_eq!(all[1].lines("SHA256").count(), 0);
    }
}
