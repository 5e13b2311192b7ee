use std::{
    env,
    path::{Path, PathBuf},
};

/// The built page: in `FCLM_SITE`, beside the folder of the executable, or in the current folder.
pub fn find_site() -> Option<PathBuf> {
    if let Some(given) = env::var_os("FCLM_SITE") {
        return Some(PathBuf::from(given));
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("site")));
    let has_page = |dir: &PathBuf| dir.join("manifest.json").is_file();
    beside
        .into_iter()
        .chain([PathBuf::from("site")])
        .find(has_page)
}

/// The model that comes along, nano: in the repository that this was built from, or in
/// `models/nano` beside the executable.
pub fn find_model() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public/models/nano");
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("models/nano")));
    let is_model = |dir: &PathBuf| dir.join("config.json").is_file();
    [repository].into_iter().chain(beside).find(is_model)
}

/// Where users' data is kept where nothing else is said: `FCLM_DATA_DIR`, or `fclm` in the
/// folder that the system has for such data.
pub fn find_data_dir() -> Option<PathBuf> {
    if let Some(given) = env::var_os("FCLM_DATA_DIR") {
        return Some(PathBuf::from(given));
    }
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let base = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    Some(base?.join("fclm"))
}
