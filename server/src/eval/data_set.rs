//! What data sets are called, in reports and in the names of files.

use std::path::Path;

use super::source::absolute;

/// Most characters of a name that a file is called after.
const LONGEST: usize = 48;
/// What files of a data set without any letter in its name are called after.
const NAMELESS: &str = "data";

/// What a data set is called where nobody has said so: as its folder.
pub(super) fn name_of_folder(dir: &Path) -> String {
    let whole = absolute(dir.to_owned());
    match whole.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => whole.to_string_lossy().into_owned(),
    }
}

/// A name in small letters, digits and hyphens, as a part of a file's name. Names that come to the
/// same are those of one data set.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() || character == '+' {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let short: String = slug.chars().take(LONGEST).collect();
    match short.trim_end_matches('-') {
        "" => NAMELESS.to_owned(),
        short => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_name_however_it_is_written() {
        assert_eq!(
            name_of_folder(Path::new("/sets/refcoco-val/")),
            "refcoco-val"
        );
        assert_eq!(name_of_folder(Path::new("refcoco-val/.")), "refcoco-val");
        let here = std::env::current_dir().unwrap();
        let here = here.file_name().unwrap().to_string_lossy();
        assert_eq!(name_of_folder(Path::new(".")), here);
        assert_eq!(name_of_folder(Path::new("/")), "/");
    }

    #[test]
    fn names_become_parts_of_file_names() {
        for (name, expected) in [
            ("RefCOCO val", "refcoco-val"),
            ("refcoco-val", "refcoco-val"),
            ("RefCOCO+ testA", "refcoco+-testa"),
            (" ../LVIS (1k) ", "lvis-1k"),
            ("a.b/c", "a-b-c"),
            ("???", "data"),
            ("", "data"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
        assert_eq!(slug(&"a".repeat(300)).len(), LONGEST);
    }
}
