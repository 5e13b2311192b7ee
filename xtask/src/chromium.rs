//! The browser that the end-to-end test drives.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];
const MISSING: &str = "the browser test needs Chromium, and none was found; install it with \
    `sudo apt-get install chromium` (Debian, Ubuntu) or your system's own way, or name the binary \
    in FCLM_CHROMIUM, then run `cargo xtask test` again";

/// Path of a Chromium; installs Debian's package where that is allowed and none is there.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    if let Some(named) = env::var_os("FCLM_CHROMIUM") {
        let named = PathBuf::from(named);
        if named.is_file() {
            return Ok(named);
        }
        bail!("FCLM_CHROMIUM names {}, which is no file", named.display());
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    if on_path("apt-get").is_some()
        && install().is_ok()
        && let Some(found) = find()
    {
        return Ok(found);
    }
    bail!(MISSING);
}

fn find() -> Option<PathBuf> {
    NAMES.iter().find_map(|name| on_path(name))
}

/// The first file of that name in the directories of `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    env::split_paths(&directories)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

fn install() -> Result<()> {
    eprintln!("Chromium is missing; installing Debian's package for the browser test.");
    apt_get(&["update", "--quiet"])?;
    apt_get(&[
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
        "chromium",
    ])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = if is_root()? {
        Command::new("apt-get")
    } else {
        // `-n`: where sudo wants a password, the reader is told what to install instead.
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut command, "installing Chromium")
}

fn is_root() -> Result<bool> {
    Ok(Path::new("/usr/bin/id").is_file()
        && process::read(Command::new("/usr/bin/id").arg("-u"))? == "0")
}

#[cfg(test)]
mod unit_tests {
    use super::on_path;

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }
}
