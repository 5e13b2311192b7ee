//! Files and folders that are whole or not there, whatever stops the process.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// What the name of an unfinished file ends with.
const UNFINISHED: &str = "part";
/// What a folder that is being written is called after.
const STAGING: &str = "partial";

/// Whether a new folder may take a place: nothing is there, or a folder that holds nothing.
///
/// # Errors
/// Where something else is there, or it cannot be read.
pub fn is_vacant(place: &Path) -> io::Result<bool> {
    match fs::read_dir(place) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Writes a file to where a person wants it.
///
/// A plain file is whole or not there. What has the name already and is no plain file, such as a
/// device, a pipe or a link, stays what it is and takes the bytes.
pub fn write_to(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            let mut file = File::create(path)?;
            file.write_all(bytes)?;
            file.flush()
        }
        _ => write_whole(path, |file| file.write_all(bytes)),
    }
}

/// Writes a file, in place of the one that is there, so that its name never stands for half of it.
///
/// It is written beside its place and takes its name when all of it is on the disk.
pub(crate) fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let aside = path.with_extension(format!("{}.{UNFINISHED}", uuid::Uuid::new_v4()));
    let written = write_synced(&aside, fill).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // The first error is the one to report; what is left over can be removed later.
        let _ = fs::remove_file(&aside);
        return written;
    }
    sync_folder(folder_of(path))
}

/// Removes the files of a folder that a killed process left unfinished.
pub(crate) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_unfinished_file(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether a path is named as what a killed process leaves: a file of [`write_whole`], or a staging
/// folder.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_staging = name.is_some_and(|name| {
        let unique = name.rsplit_once(&format!(".{STAGING}-"));
        unique.is_some_and(|(place, unique)| {
            place.starts_with('.') && uuid::Uuid::parse_str(unique).is_ok()
        })
    });
    is_staging || is_unfinished_file(path)
}

fn is_unfinished_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == UNFINISHED)
}

/// Writes a file and waits until it is on the disk.
pub(crate) fn write_synced(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    fill(&mut file)?;
    file.into_inner()?.sync_all()
}

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A folder that is written beside the place that it is meant for, and removed again unless it takes
/// that place.
///
/// It is locked for as long as somebody writes it. The id of a process would not tell whether that
/// one is still there: in two containers that share a disk, one number means two processes.
#[derive(Debug)]
pub(crate) struct StagingFolder {
    path: PathBuf,
    _lock: File,
}

impl StagingFolder {
    /// Makes one for a place, with the folders above it, and removes those for the same place that
    /// killed processes have left.
    ///
    /// # Errors
    /// Where the place has no name, or the file system refuses.
    pub(crate) fn new(place: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder_of(place))?;
        remove_left(place);
        loop {
            let path = beside(place, STAGING)?;
            fs::create_dir(&path)?;
            if let Some(lock) = claim(&path)? {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        // Where it has taken its place there is nothing left; after a failure the error that led
        // here matters more than what could not be removed.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The lock on a folder that has just been made; none where somebody took it for a leftover first.
fn claim(path: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // On a file system without locks nobody gets one, so that nobody removes anything either.
    let _ = folder.lock();
    Ok(path.exists().then_some(folder))
}

/// A hidden name in the same folder that nobody else uses, so that renaming stays within one file
/// system.
///
/// # Errors
/// Where the path ends in no name.
pub(crate) fn beside(path: &Path, what: &str) -> io::Result<PathBuf> {
    let opening = hidden_name(path, what).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "its path ends in no name for a folder",
        )
    })?;
    let unique = uuid::Uuid::new_v4();
    Ok(folder_of(path).join(format!("{opening}{unique}")))
}

/// Removes the staging folders for a place whose lock nobody holds. They are in nobody's way: what
/// cannot be removed may stay.
fn remove_left(place: &Path) {
    let Some(opening) = hidden_name(place, STAGING) else {
        return;
    };
    for entry in fs::read_dir(folder_of(place))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let unique = name.to_str().and_then(|name| name.strip_prefix(&opening));
        if unique.is_some_and(|unique| uuid::Uuid::parse_str(unique).is_ok())
            && let Ok(folder) = File::open(entry.path())
            && folder.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn hidden_name(path: &Path, what: &str) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    Some(format!(".{name}.{what}-"))
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_nothing_is_vacant() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_vacant(folder.path()).unwrap());
        assert!(is_vacant(&folder.path().join("no/such")).unwrap());
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(!is_vacant(folder.path()).unwrap());
        assert!(is_vacant(&file).is_err());
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_whole(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_whole(&path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("no power"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_whole(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file.png", "link.png"].map(|name| folder.path().join(name));
        write_to(&file, b"a longer old one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_to(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        write_to(&file, b"newer").unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_stay_and_say_that_they_are_full() {
        let full = Path::new("/dev/full");
        assert!(write_to(full, b"a few bytes").is_err());
        assert!(!fs::metadata(full).unwrap().is_file());
        write_to(Path::new("/dev/null"), b"a few bytes").unwrap();
    }

    #[test]
    fn only_unfinished_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.1.part"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        assert!(folder.path().join("a.png").exists());
        assert!(!folder.path().join("a.1.part").exists());
    }

    #[test]
    fn what_killed_processes_leave_is_told_by_its_name() {
        let place = Path::new("sets/scenes");
        let staging = beside(place, STAGING).unwrap();
        for left in [staging.as_path(), Path::new("sets/state.1.part")] {
            assert!(is_unfinished(left), "{}", left.display());
        }
        let old = beside(place, "old").unwrap();
        for kept in [old.as_path(), place, Path::new(".scenes.partial-notes")] {
            assert!(!is_unfinished(kept), "{}", kept.display());
        }
    }

    #[test]
    fn names_beside_stay_in_the_folder_and_are_nobody_elses() {
        for (path, folder) in [("models/nano", "models"), ("nano", ".")] {
            let names = [(); 2].map(|()| beside(Path::new(path), "old").unwrap());
            assert_ne!(names[0], names[1]);
            for name in names {
                assert_eq!(name.parent(), Some(Path::new(folder)));
                let name = name.file_name().unwrap().to_str().unwrap();
                assert!(name.starts_with(".nano.old-"), "{name}");
            }
        }
        assert!(beside(Path::new("/"), "old").is_err());
    }

    #[test]
    fn a_staging_folder_is_left_alone_while_it_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("new/scenes");
        let first = StagingFolder::new(&place).unwrap();
        let second = StagingFolder::new(&place).unwrap();
        assert_ne!(first.path(), second.path());
        assert!(first.path().is_dir() && second.path().is_dir());

        fs::write(first.path().join("file"), "whole").unwrap();
        fs::rename(first.path(), &place).unwrap();
        drop(first);
        assert_eq!(fs::read(place.join("file")).unwrap(), b"whole");
        let given_up = second.path().to_owned();
        drop(second);
        assert!(!given_up.exists());
    }

    #[test]
    fn only_what_killed_processes_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("scenes");
        let leave = |path: PathBuf| {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "half").unwrap();
            path
        };
        let left = leave(beside(&place, STAGING).unwrap());
        let of_another = leave(beside(&parent.path().join("other"), STAGING).unwrap());
        let of_a_person = leave(parent.path().join(".scenes.partial-notes"));
        let writing = StagingFolder::new(&place).unwrap();
        assert!(!left.exists());
        remove_left(&place);
        for kept in [writing.path(), of_another.as_path(), of_a_person.as_path()] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }
}
