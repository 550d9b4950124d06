//! The XML of event packages, as a small tree: nothing but elements, attributes and text, all of it
//! bounded. A document type is refused: no entity is ever expanded.
//!
//! ```text
//! body ─▶ size ─▶ quick-xml ─▶ depth, number of elements, balance ─▶ Element
//! ```

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// Longest document read, in bytes.
const MAX_BYTES: usize = 32 * 1024;
/// Deepest element; the documents of RFC 4235 and RFC 3680 have five levels.
const MAX_DEPTH: usize = 12;
/// Most elements.
const MAX_ELEMENTS: usize = 1024;
/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 32;

/// Why a body is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    /// More than any real document.
    #[error("the document is too large or too deep")]
    TooLarge,
    /// It may name entities.
    #[error("the document has a document type")]
    DocumentType,
    /// Not XML, or not whole.
    #[error("the document is not well-formed")]
    Malformed,
}

/// An element: names are without their namespace prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The root of a document.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, XmlError> {
        if body.len() > MAX_BYTES {
            return Err(XmlError::TooLarge);
        }
        let text = std::str::from_utf8(body).map_err(|_| XmlError::Malformed)?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let mut reader = Reader::from_str(text);
        // What is open, outermost first; whatever is closed moves into the one before.
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut count = 0;
        loop {
            let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
            let closed = match event {
                Event::Start(start) => {
                    count += 1;
                    if open.len() >= MAX_DEPTH || count > MAX_ELEMENTS {
                        return Err(XmlError::TooLarge);
                    }
                    open.push(Self::begun(&start)?);
                    None
                }
                Event::Empty(start) => {
                    count += 1;
                    if open.len() >= MAX_DEPTH || count > MAX_ELEMENTS {
                        return Err(XmlError::TooLarge);
                    }
                    Some(Self::begun(&start)?)
                }
                Event::End(_) => Some(open.pop().ok_or(XmlError::Malformed)?),
                Event::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.xml10_content());
                    }
                    None
                }
                Event::CData(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.xml10_content());
                    }
                    None
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref();
                    let character = character.map_err(|_| XmlError::Malformed)?;
                    let element = open.last_mut().ok_or(XmlError::Malformed)?;
                    match (character, resolve_predefined_entity(&reference)) {
                        (Some(character), _) => element.text.push(character),
                        (None, Some(text)) => element.text.push_str(text),
                        (None, None) => return Err(XmlError::Malformed),
                    }
                    None
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
                Event::Eof => break,
            };
            let Some(element) = closed else { continue };
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None if root.is_none() => root = Some(element),
                None => return Err(XmlError::Malformed),
            }
        }
        root.filter(|_| open.is_empty()).ok_or(XmlError::Malformed)
    }

    fn begun(start: &BytesStart<'_>) -> Result<Self, XmlError> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            if attributes.len() >= MAX_ATTRIBUTES {
                return Err(XmlError::TooLarge);
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|_| XmlError::Malformed)?;
            let name = attribute.key.local_name().into_inner().to_owned();
            attributes.push((name, value.into_owned()));
        }
        Ok(Self {
            name: start.local_name().into_inner().to_owned(),
            attributes,
            ..Self::default()
        })
    }

    /// An attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        let found = all.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The elements of this name right inside.
    pub(crate) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first of them.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Its text without the space around.
    pub(crate) fn trimmed(&self) -> &str {
        self.text.trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_tree() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\r\n<!-- hello -->\
                    <a:root xmlns:a=\"x\" v='1 &lt; 2'>\
                    <b> one &amp; &#65;<![CDATA[<two>]]></b><b x=\"\"/></a:root>\n";
        let root = Element::parse(text.as_bytes()).unwrap();
        assert_eq!(root.name, "root");
        assert_eq!(root.attribute("v"), Some("1 < 2"));
        let texts: Vec<&str> = root.all("b").map(Element::trimmed).collect();
        assert_eq!(texts, ["one & A<two>", ""]);
        assert_eq!(root.child("b").unwrap().attribute("x"), None);
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "</a>",
            "<a b/>",
            "<a b='1' b='2'/>",
            "<a>&unknown;</a>",
            "<a>&#0;</a>",
            "<a",
            "\u{0}",
        ] {
            assert_eq!(
                Element::parse(text.as_bytes()),
                Err(XmlError::Malformed),
                "{text}"
            );
        }
        assert_eq!(Element::parse(b"<a>\xff</a>"), Err(XmlError::Malformed));
    }

    #[test]
    fn entities_of_a_document_type_are_never_expanded() {
        let text = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert_eq!(Element::parse(text.as_bytes()), Err(XmlError::DocumentType));
    }

    #[test]
    fn size_depth_and_number_are_limited() {
        let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(Element::parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        for text in [
            deep(MAX_DEPTH + 1),
            format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS)),
            format!("<a>{}</a>", " ".repeat(MAX_BYTES)),
            format!(
                "<a {}/>",
                (0..=MAX_ATTRIBUTES).fold(String::new(), |text, n| format!("{text}n{n}='' "))
            ),
        ] {
            assert_eq!(Element::parse(text.as_bytes()), Err(XmlError::TooLarge));
        }
    }
}
