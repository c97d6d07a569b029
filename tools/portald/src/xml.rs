//! XML as the portal writes it, one tag after the other, in bounded memory. No document type,
//! no entities but the predefined ones, nothing deep or long; text between tags is read past.

use std::io::Read;
use std::mem;

use quick_xml::XmlVersion;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::fault::{Fault, quote};
use crate::guard::{Guard, Place};

/// Elements within elements.
pub const MAX_DEPTH: usize = 64;
/// Bytes of an attribute's value.
pub const MAX_VALUE: usize = 4096;
/// Attributes of an element.
const MAX_ATTRIBUTES: usize = 64;

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// An element begins: see [`Xml::name`] and [`Xml::get`].
    Open,
    /// The innermost element ends.
    Close,
    /// The file ends as it should.
    End,
}

/// The reader.
pub struct Xml<R: Read> {
    reader: Reader<Guard<R>>,
    buffer: Vec<u8>,
    open: Vec<String>,
    name: String,
    /// The strings of earlier elements are used again; `used` of them count.
    attributes: Vec<(String, String)>,
    used: usize,
    place: Place,
    close: bool,
    done: bool,
}

impl<R: Read> Xml<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        let mut reader = Reader::from_reader(Guard::new(reader));
        reader.config_mut().check_comments = true;
        Self {
            reader,
            buffer: Vec::new(),
            open: Vec::new(),
            name: String::new(),
            attributes: Vec::new(),
            used: 0,
            place: Place::START,
            close: false,
            done: false,
        }
    }

    /// The name of the element that [`Step::Open`] told.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its attribute; one that is empty counts as absent, as the portal has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes[..self.used].iter();
        all.find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Where it begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Goes on.
    ///
    /// # Errors
    /// The fault for which the file is refused.
    pub fn step(&mut self) -> Result<Step, Fault> {
        if mem::take(&mut self.close) {
            return Ok(self.closed());
        }
        loop {
            let mut buffer = mem::take(&mut self.buffer);
            buffer.clear();
            self.reader.get_mut().begin();
            self.place = self.reader.get_ref().place();
            let event = self.reader.read_event_into(&mut buffer);
            let end = self.reader.get_ref().place();
            let step = match event {
                Ok(event) => take(
                    event,
                    &mut Taking {
                        open: &mut self.open,
                        name: &mut self.name,
                        attributes: &mut self.attributes,
                        used: &mut self.used,
                        close: &mut self.close,
                        done: self.done,
                        place: self.place,
                    },
                ),
                Err(e) => Err(broken(&e, self.place, end, &self.open)),
            };
            self.buffer = buffer;
            match step? {
                Some(Step::Close) => return Ok(self.closed()),
                Some(step) => return Ok(step),
                None => {}
            }
        }
    }

    fn closed(&mut self) -> Step {
        self.open.pop();
        self.done = self.open.is_empty();
        Step::Close
    }
}

/// The parts of the reader that an event changes; the event borrows the rest.
struct Taking<'a> {
    open: &'a mut Vec<String>,
    name: &'a mut String,
    attributes: &'a mut Vec<(String, String)>,
    used: &'a mut usize,
    close: &'a mut bool,
    done: bool,
    place: Place,
}

fn take(event: Event<'_>, to: &mut Taking<'_>) -> Result<Option<Step>, Fault> {
    let place = to.place;
    match event {
        Event::Start(tag) => {
            opened(&tag, to)?;
            Ok(Some(Step::Open))
        }
        Event::Empty(tag) => {
            opened(&tag, to)?;
            *to.close = true;
            Ok(Some(Step::Open))
        }
        Event::End(_) => Ok(Some(Step::Close)),
        Event::Eof if to.done => Ok(Some(Step::End)),
        Event::Eof => Err(match to.open.last() {
            Some(inside) => Fault::fatal(
                place,
                format!("the file is cut short: it ends inside <{inside}>"),
            ),
            None => Fault::fatal(place, "there is nothing in it"),
        }),
        Event::DocType(text) => {
            let html = text.trim_start().to_ascii_lowercase().starts_with("html");
            Err(Fault::fatal(
                place,
                if html {
                    "this is a web page"
                } else {
                    "a document type is not allowed"
                },
            ))
        }
        Event::GeneralRef(name) => {
            let known = matches!(&*name, "amp" | "lt" | "gt" | "quot" | "apos")
                || matches!(name.resolve_char_ref(), Ok(Some(_)));
            if !known {
                let text = format!("there is no entity {}", quote(&format!("&{};", &*name)));
                return Err(Fault::fatal(place, text));
            }
            outside(to, false)
        }
        Event::Text(text) => {
            let blank = text.trim_matches([' ', '\t', '\r', '\n']).is_empty();
            outside(to, blank)
        }
        Event::CData(_) => outside(to, false),
        Event::Decl(declaration) => match declaration.encoding() {
            Some(Ok(encoding))
                if !["utf-8", "utf8", "us-ascii"]
                    .contains(&encoding.to_ascii_lowercase().as_str()) =>
            {
                let text = format!("the encoding {} is not UTF-8", quote(&encoding));
                Err(Fault::fatal(place, text))
            }
            _ => Ok(None),
        },
        Event::Comment(_) | Event::PI(_) => Ok(None),
    }
}

/// Text is welcome inside the root only.
fn outside(to: &Taking<'_>, blank: bool) -> Result<Option<Step>, Fault> {
    match (blank || !to.open.is_empty(), to.done) {
        (true, _) => Ok(None),
        (false, true) => Err(Fault::fatal(to.place, "there is more after the end")),
        (false, false) => Err(Fault::fatal(to.place, "this is not XML")),
    }
}

fn opened(tag: &BytesStart<'_>, to: &mut Taking<'_>) -> Result<(), Fault> {
    let place = to.place;
    if to.done {
        return Err(Fault::fatal(place, "there is more after the end"));
    }
    if to.open.len() >= MAX_DEPTH {
        let text = format!("more than {MAX_DEPTH} elements within each other");
        return Err(Fault::fatal(place, text));
    }
    to.name.clear();
    to.name.push_str(tag.name().as_ref());
    to.open.push(to.name.clone());
    *to.used = 0;
    let raw: &str = tag;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| attribute_fault(&e, place, raw))?;
        let key = attribute.key.as_ref();
        // Both are parts of one string: the distance is where the attribute stands.
        let offset = (key.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
        let at = || inside(place, raw, offset);
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|e| Fault::fatal(at(), format!("attribute {}: {e}", quote(key))))?;
        if value.len() > MAX_VALUE || key.len() > MAX_VALUE {
            let text = format!("attribute {} has more than {MAX_VALUE} bytes", quote(key));
            return Err(Fault::fatal(at(), text));
        }
        if *to.used == MAX_ATTRIBUTES {
            let text = format!("more than {MAX_ATTRIBUTES} attributes");
            return Err(Fault::fatal(at(), text));
        }
        if to.attributes.len() == *to.used {
            to.attributes.push(Default::default());
        }
        let slot = &mut to.attributes[*to.used];
        slot.0.clear();
        slot.0.push_str(key);
        slot.1.clear();
        slot.1.push_str(&value);
        *to.used += 1;
    }
    Ok(())
}

/// The place of an octet of a tag; the `<` is not part of it.
fn inside(place: Place, raw: &str, offset: usize) -> Place {
    let before = raw.as_bytes().get(..offset).unwrap_or_default();
    place.after(b"<").after(before)
}

fn attribute_fault(error: &AttrError, place: Place, raw: &str) -> Fault {
    let (offset, text) = match error {
        AttrError::ExpectedEq(at) => (at, "an attribute has no '='"),
        AttrError::ExpectedValue(at) => (at, "an attribute has no value"),
        AttrError::UnquotedValue(at) => (at, "the value of an attribute has no quotes"),
        AttrError::ExpectedQuote(at, _) => (at, "the value of an attribute does not end"),
        AttrError::Duplicated(at, _) => (at, "an attribute is there twice"),
    };
    Fault::fatal(inside(place, raw, *offset), text)
}

fn broken(error: &quick_xml::Error, begin: Place, end: Place, open: &[String]) -> Fault {
    use quick_xml::Error;
    match error {
        Error::Io(e) => Fault::fatal(begin, e.to_string()),
        Error::Syntax(
            SyntaxError::InvalidBangMarkup | SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl,
        ) => Fault::fatal(begin, error.to_string()),
        Error::Syntax(_) => {
            let inside = open.last().map_or("a tag", String::as_str);
            let text = format!("the file is cut short: it ends inside <{inside}>");
            Fault::fatal(end, text)
        }
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => Fault::fatal(
            begin,
            format!(
                "</{}> where </{expected}> should be",
                quote(found).trim_matches('\'')
            ),
        ),
        Error::Encoding(_) => Fault::fatal(begin, "not UTF-8"),
        other => Fault::fatal(begin, guifi_core::terminal::tame(&other.to_string())),
    }
}

#[cfg(test)]
mod tests;
