//! Whether a text is well-formed XML, as far as our own files use it.

/// # Panics
/// Where tags do not match, attributes are not quoted, or a character is not escaped.
pub(crate) fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        assert_text(&rest[..start]);
        let end = rest[start..].find('>').expect("each tag ends") + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {rest:.80}");
            continue;
        }
        let (tag, is_closed) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag
            .split_ascii_whitespace()
            .next()
            .expect("each tag has a name");
        assert_attributes(&tag[name.len()..]);
        if !is_closed {
            open.push(name);
        }
    }
    assert_text(rest);
    assert!(open.is_empty(), "never closed: {open:?}");
}

fn assert_attributes(attributes: &str) {
    let mut rest = attributes.trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").expect("a quoted value");
        assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{name}");
        let (value, behind) = behind.split_once('"').expect("a value that ends");
        assert_text(value);
        rest = behind.trim_start();
    }
}

fn assert_text(text: &str) {
    for (at, _) in text.match_indices('&') {
        let entity = text[at..].split_inclusive(';').next().unwrap_or_default();
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(known.contains(&entity), "{entity}");
    }
    assert!(!text.contains('\0'));
}

#[test]
fn what_is_not_well_formed_is_found() {
    assert_well_formed("<a b=\"c &lt; d\"><e/>f &amp; g</a>\n");
    for wrong in [
        "<a>",
        "<a></b>",
        "<a b=c></a>",
        "<a>& b</a>",
        "<a b=\"&x;\"/>",
        "<a/></a>",
    ] {
        let found = std::panic::catch_unwind(|| assert_well_formed(wrong));
        assert!(found.is_err(), "{wrong}");
    }
}
