//! Files and folders that are whole or not there, whatever stops the process.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// What the name of an unfinished file ends with.
const UNFINISHED: &str = "part";

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
        if path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED)
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
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

/// A hidden name in the same folder, so that renaming stays within one file system; none where the
/// path ends in no name.
pub(crate) fn beside(path: &Path, what: &str) -> Option<PathBuf> {
    let opening = hidden_name(path, what)?;
    let process = std::process::id();
    Some(folder_of(path).join(format!("{opening}{process}")))
}

/// Removes the folders at names that [`beside`] gave to processes that are no more: all that is at
/// this process's own name, and what is at those of others that are gone.
pub(crate) fn remove_left_beside(path: &Path, what: &str) -> io::Result<()> {
    let (Some(own), Some(opening)) = (beside(path, what), hidden_name(path, what)) else {
        return Ok(());
    };
    match fs::remove_dir_all(own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for entry in fs::read_dir(folder_of(path))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(&opening));
        if process
            .and_then(|process| process.parse().ok())
            .is_some_and(is_gone)
        {
            // It is in nobody's way; what cannot be removed may stay.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Whether there is certainly no process of that number.
fn is_gone(process: u32) -> bool {
    let processes = Path::new("/proc");
    cfg!(target_os = "linux")
        && processes.join("self").exists()
        && !processes.join(process.to_string()).exists()
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
    fn names_beside_stay_in_the_folder() {
        let beside = |path: &str| beside(Path::new(path), "old");
        let process = std::process::id();
        assert_eq!(
            beside("models/nano"),
            Some(PathBuf::from(format!("models/.nano.old-{process}")))
        );
        assert_eq!(
            beside("nano"),
            Some(PathBuf::from(format!("./.nano.old-{process}")))
        );
        assert_eq!(beside("/"), None);
    }
}
