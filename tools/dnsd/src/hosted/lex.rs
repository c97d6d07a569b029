//! The words of a master file: entries of one line, or of several within brackets.

use std::borrow::Cow;

/// One word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token<'a> {
    /// As written, escapes and all, without the quotes.
    text: Cow<'a, str>,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

impl Token<'_> {
    /// The word as written, without quotes.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The words of one entry; there is at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry<'a> {
    /// Whether the first word stands at the beginning of the line: it is the owner.
    pub owner: bool,
    /// The words.
    pub tokens: Vec<Token<'a>>,
}

/// Reads entries one by one.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

/// A fault: number of the line, and what is wrong.
pub type Fault = (usize, String);

impl<'a> Lexer<'a> {
    /// A lexer at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        let mut lexer = Self {
            text,
            at: 0,
            line: 1,
        };
        lexer.skip_empty();
        lexer
    }

    /// The line in which the next entry begins.
    pub fn line(&self) -> usize {
        self.line
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes to the beginning of the next line that is not empty.
    fn skip_empty(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find('\n');
            let line = end.map_or(rest, |end| &rest[..end]);
            let content = line.trim_start();
            if !(content.is_empty() || content.starts_with(';')) || rest.is_empty() {
                return;
            }
            self.at += end.map_or(rest.len(), |end| end + 1);
            self.line += usize::from(end.is_some());
        }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// A bracket or a quote without an end.
    pub fn entry(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        let begin = self.line;
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let owner = !first.is_ascii_whitespace();
        let mut tokens = Vec::new();
        let mut depth = 0usize;
        loop {
            match self.peek() {
                None if depth > 0 => return Err((begin, "a bracket '(' has no end".into())),
                None => break,
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                    if depth == 0 {
                        break;
                    }
                }
                Some(b';') => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                Some(b'(') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b')') => {
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| (self.line, "a bracket ')' too many".to_owned()))?;
                    self.at += 1;
                }
                Some(octet) if octet.is_ascii_whitespace() => self.at += 1,
                Some(b'"') => tokens.push(self.quoted()?),
                Some(_) => tokens.push(self.word()),
            }
        }
        self.skip_empty();
        if tokens.is_empty() {
            // Only brackets: as empty as a line can be.
            return self.entry();
        }
        Ok(Some(Entry { owner, tokens }))
    }

    fn word(&mut self) -> Token<'a> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(&octet) = bytes.get(self.at) {
            match octet {
                b'\\' => self.at += 1 + usize::from(bytes.get(self.at + 1) != Some(&b'\n')),
                b';' | b'(' | b')' | b'"' => break,
                _ if octet.is_ascii_whitespace() => break,
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(bytes.len());
        self.token(start, self.at, false)
    }

    fn quoted(&mut self) -> Result<Token<'a>, Fault> {
        let bytes = self.text.as_bytes();
        let (begin, start) = (self.line, self.at + 1);
        self.at = start;
        loop {
            match bytes.get(self.at) {
                None => return Err((begin, "a quote '\"' has no end".into())),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(b'\n') => {
                    self.line += 1;
                    self.at += 1;
                }
                Some(_) => self.at += 1,
            }
        }
        let token = self.token(start, self.at, true);
        self.at += 1;
        Ok(token)
    }

    /// The text between two offsets. An escape may have ended within a character of several
    /// octets; the rest of it belongs to the word.
    fn token(&mut self, start: usize, end: usize, quoted: bool) -> Token<'a> {
        let mut end = end;
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        if !quoted {
            self.at = end;
        }
        Token {
            text: Cow::Borrowed(&self.text[start..end]),
            quoted,
        }
    }
}
