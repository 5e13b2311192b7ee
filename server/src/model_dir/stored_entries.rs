use std::{collections::HashMap, ops::Range};

const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
/// Lengths of these three records without what varies.
const END_LENGTH: usize = 22;
const ENTRY_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;
/// Longest comment behind the end record.
const LONGEST_COMMENT: usize = 0xFFFF;

/// Where the uncompressed entries of a ZIP archive lie.
///
/// The reader of PyTorch files hands out copies of tensors and does not say where they come from.
/// `torch.save` stores them uncompressed, so a copy can be found again in a map of the file and
/// let go. What this does not find (entries beyond 4 GiB, and those that a damaged directory leads
/// to) is only kept as the copy that it is.
pub(super) struct StoredEntries<'a> {
    archive: &'a [u8],
    /// Beginnings of the entries of each length.
    by_length: HashMap<usize, Vec<usize>>,
}

impl<'a> StoredEntries<'a> {
    /// The entries of an archive; none where it is no archive.
    pub(super) fn of(archive: &'a [u8]) -> Self {
        let mut by_length: HashMap<usize, Vec<usize>> = HashMap::new();
        for entry in entries(archive).unwrap_or_default() {
            by_length.entry(entry.len()).or_default().push(entry.start);
        }
        Self { archive, by_length }
    }

    /// An entry that holds exactly these bytes.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let starts = self.by_length.get(&bytes.len())?;
        starts
            .iter()
            .map(|&start| start..start + bytes.len())
            .find(|entry| self.archive.get(entry.clone()) == Some(bytes))
    }
}

/// The uncompressed entries that the archive's directory names.
fn entries(archive: &[u8]) -> Option<Vec<Range<usize>>> {
    let tail = archive.len().saturating_sub(END_LENGTH + LONGEST_COMMENT);
    let mut signatures = archive[tail..].windows(END.len());
    let end = tail + signatures.rposition(|window| window == END)?;
    let count = number(archive, end + 10, 2)?;
    let mut at = number(archive, end + 16, 4)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        if archive.get(at..at + ENTRY.len()) != Some(ENTRY) {
            break;
        }
        let is_stored = number(archive, at + 10, 2)? == 0;
        let length = number(archive, at + 24, 4)?;
        let local = number(archive, at + 42, 4)?;
        if is_stored && archive.get(local..local + LOCAL.len()) == Some(LOCAL) {
            let varying = number(archive, local + 26, 2)? + number(archive, local + 28, 2)?;
            let start = local + LOCAL_LENGTH + varying;
            entries.push(start..start + length);
        }
        let lengths = [28, 30, 32].map(|place| number(archive, at + place, 2));
        let [name, extra, comment] = lengths;
        at += ENTRY_LENGTH + name? + extra? + comment?;
    }
    Some(entries)
}

/// A little-endian number of `width` bytes, at most 4.
fn number(archive: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = archive.get(at..at + width)?;
    let digits = bytes.iter().rev();
    Some(digits.fold(0, |higher, &byte| (higher << 8) | usize::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_dir::fixtures::fixture;

    /// Two stored entries and a directory, as `zip -0` writes them.
    fn archive() -> Vec<u8> {
        let mut archive = Vec::new();
        let mut directory = Vec::new();
        for (name, content) in [("a", "first"), ("b/c", "other")] {
            let local = (archive.len() as u32).to_le_bytes();
            let size = (content.len() as u32).to_le_bytes();
            let name_length = (name.len() as u16).to_le_bytes();
            archive.extend_from_slice(LOCAL);
            archive.extend_from_slice(&[0; 14]);
            archive.extend_from_slice(&[size, size].concat());
            archive.extend_from_slice(&name_length);
            archive.extend_from_slice(&[0; 2]);
            archive.extend_from_slice(name.as_bytes());
            archive.extend_from_slice(content.as_bytes());
            directory.extend_from_slice(ENTRY);
            directory.extend_from_slice(&[0; 16]);
            directory.extend_from_slice(&[size, size].concat());
            directory.extend_from_slice(&name_length);
            directory.extend_from_slice(&[0; 12]);
            directory.extend_from_slice(&local);
            directory.extend_from_slice(name.as_bytes());
        }
        let start = (archive.len() as u32).to_le_bytes();
        archive.extend_from_slice(&directory);
        archive.extend_from_slice(END);
        archive.extend_from_slice(&[0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0]);
        archive.extend_from_slice(&start);
        archive.extend_from_slice(&[0; 2]);
        archive
    }

    #[test]
    fn entries_are_found_by_what_they_hold() {
        let archive = archive();
        let entries = StoredEntries::of(&archive);
        for content in ["first", "other"] {
            let range = entries.find(content.as_bytes()).unwrap();
            assert_eq!(&archive[range], content.as_bytes());
        }
        assert_eq!(entries.find(b"third"), None);
        assert_eq!(entries.find(b"firs"), None);
    }

    #[test]
    fn damaged_archives_lead_to_nothing_else() {
        let whole = archive();
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        let changed = (0..whole.len()).map(|place| {
            let mut archive = whole.clone();
            archive[place] = 0xFF;
            archive
        });
        for archive in cut.chain(changed) {
            if let Some(range) = StoredEntries::of(&archive).find(b"first") {
                assert_eq!(&archive[range], b"first");
            }
        }
    }

    #[test]
    fn fixture_checkpoint_holds_its_tensors_as_they_are() {
        let archive = std::fs::read(fixture("sam/sam_vit.pth")).unwrap();
        let entries = StoredEntries::of(&archive);
        let reader = pytorch_reader::PytorchReader::new(fixture("sam/sam_vit.pth")).unwrap();
        assert!(!reader.is_empty());
        for (name, tensor) in reader.tensors() {
            assert!(entries.find(&tensor.read().unwrap()).is_some(), "{name}");
        }
    }
}
