//! The page as files: compiled, bound, named by content and compressed beforehand.
//!
//! `target/site` afterwards holds `manifest.json`, which names the script, the wasm module, the
//! loader, the further parts and the stylesheet of the page and the three files of each of its
//! workers, a folder `pkg` with these, and everything of `public` except the models.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::parts::Cut;
use crate::process;
use crate::toolchain::{WASM_TARGET, ensure_wasm_target};
use crate::workspace::Workspace;

/// The page.
const PAGE: &str = "fclm-hydrate";
/// What the page's worker computes with. It is compiled apart, because it has the model in it.
const EXTRACTOR: &str = "fclm-extractor";
/// What decodes HEIC photos, in a worker of its own: few people need it.
const HEIC: &str = "fclm-heic";
/// What a worker starts with. Whatever is thrown where nobody catches it, as the module does when
/// it cannot go on, reaches the page as a failure.
const WORKER_SCRIPT: &str = r#"import init, { receive } from "JS";
const fail = (what) => postMessage(JSON.stringify(FAILURE));
addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));
const ready = init({ module_or_path: "WASM" });
addEventListener("message", (event) => { ready.then(() => receive(event.data)); });
"#;
/// How the extractor says it: a `WorkerReply` of `fclm_core::wire`.
const EXTRACTOR_FAILURE: &str =
    r#"{ reply: "failed", id: null, failure: "device", message: String(what) }"#;
/// How the decoder of HEIC photos says it: a `HeicFailure` of `fclm_core::wire`.
const HEIC_FAILURE: &str = r#"{ failure: "worker" }"#;
const PROFILE: &str = "wasm-release";
const STAMP: &str = ".stamp";
const TEXT_EXTENSIONS: [&str; 9] = [
    "css",
    "html",
    "js",
    "json",
    "jsonl",
    "svg",
    "txt",
    "wasm",
    "webmanifest",
];

/// Brings `target/site` up to date; cargo and a stamp over the inputs decide what must be redone.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    ensure_wasm_target()?;
    for (package, what) in [
        (PAGE, "compiling the page"),
        (EXTRACTOR, "compiling the page's worker"),
        (HEIC, "compiling the page's decoder of HEIC photos"),
    ] {
        let mut cargo = workspace.cargo(["build", "--package", package, "--lib"]);
        cargo.args(["--target", WASM_TARGET, "--profile", PROFILE]);
        process::run(&mut cargo, what)?;
    }

    let inputs = Inputs::read(workspace)?;
    let site = workspace.site();
    let stamp = inputs.stamp();
    if fs::read_to_string(site.join(STAMP)).is_ok_and(|old| old == stamp) {
        return Ok(());
    }
    // Written beside and renamed, so that a build that is cut off leaves no half page behind.
    let fresh = workspace
        .target()
        .join(format!("site.{}", std::process::id()));
    let written = inputs
        .write(&fresh, &stamp)
        .and_then(|()| fs::write(fresh.join(STAMP), &stamp).context("the stamp was not written"))
        .and_then(|()| replace_directory(&fresh, &site));
    if written.is_err() && fresh.exists() {
        fs::remove_dir_all(&fresh).context("a half-written page could not be removed")?;
    }
    written
}

/// Everything that the page is made of.
struct Inputs {
    page: Vec<u8>,
    extractor: Vec<u8>,
    heic: Vec<u8>,
    stylesheet: Vec<u8>,
    /// Files of `public` by their path there, with forward slashes.
    public: BTreeMap<String, Vec<u8>>,
}

impl Inputs {
    fn read(workspace: &Workspace) -> Result<Self> {
        let compiled = |package: &str| {
            let file = format!("{}.wasm", package.replace('-', "_"));
            let folder = workspace.target().join(WASM_TARGET).join(PROFILE);
            read_file(&folder.join(file))
        };
        let mut public = BTreeMap::new();
        let folder = workspace.root().join("public");
        if folder.is_dir() {
            read_tree(&folder, "", &mut public)?;
        }
        Ok(Self {
            page: compiled(PAGE)?,
            extractor: compiled(EXTRACTOR)?,
            heic: compiled(HEIC)?,
            stylesheet: read_file(&only_stylesheet(&workspace.root().join("style"))?)?,
            public,
        })
    }

    /// Changes whenever an input, or the way in which the page is made from them, changes.
    fn stamp(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        add(include_bytes!("site.rs"));
        add(include_bytes!("parts.rs"));
        // It names the versions of what cuts and binds the page.
        add(include_bytes!("../../Cargo.lock"));
        add(&self.page);
        add(&self.extractor);
        add(&self.heic);
        add(&self.stylesheet);
        for (path, bytes) in &self.public {
            add(path.as_bytes());
            add(bytes);
        }
        hexadecimal(&hash.finalize())
    }

    fn write(&self, site: &Path, stamp: &str) -> Result<()> {
        let cut = Cut::new(&self.page, stamp, &site.join(".parts"))?;
        let page = write_module(site, "fclm", &cut.first)?;
        let parts = write_parts(site, &cut, &page)?;
        remove_folder(&site.join(".parts"))?;
        let extractor = write_module(site, "fclm_extractor", &self.extractor)?;
        let heic = write_module(site, "fclm_heic", &self.heic)?;
        let manifest = serde_json::json!({
            "js": page.js,
            "wasm": page.wasm,
            "loader": format!("/pkg/{}", cut.loader_name),
            "parts": parts,
            "css": write_hashed(site, "css", &self.stylesheet)?,
            "extractor": extractor.write_worker(site, EXTRACTOR_FAILURE)?,
            "heic": heic.write_worker(site, HEIC_FAILURE)?,
        });
        for (path, bytes) in &self.public {
            write_file(&site.join(path), bytes)?;
        }
        let text = serde_json::to_vec_pretty(&manifest).context("the manifest is no JSON")?;
        write_plain(&site.join("manifest.json"), &text)
    }
}

/// Writes the page's further parts and what loads them; returns the URL paths of the parts.
fn write_parts(site: &Path, cut: &Cut, page: &Module) -> Result<Vec<String>> {
    let mut urls = Vec::new();
    let mut names = Vec::new();
    for (name, part) in &cut.parts {
        let url = write_hashed(site, "wasm", part)?;
        names.push((name.clone(), file_name(&url).to_owned()));
        urls.push(url);
    }
    let loader = cut.loader(file_name(&page.js), &names)?;
    let path = site.join("pkg").join(&cut.loader_name);
    write_file(&path, loader.as_bytes())?;
    Ok(urls)
}

/// Binds a compiled module and writes it with its script.
fn write_module(site: &Path, name: &str, compiled: &[u8]) -> Result<Module> {
    let mut output = Bindgen::new()
        .input_bytes(name, compiled.to_vec())
        .web(true)
        .and_then(|bindgen| {
            bindgen
                .typescript(false)
                .remove_name_section(true)
                .remove_producers_section(true)
                // The page's parts call each other through the table that the linker made.
                .keep_lld_exports(true)
                // Whoever loads the module says where it is: its name holds a hash.
                .omit_default_module_path(true)
                .generate_output()
        })
        .with_context(|| format!("wasm-bindgen could not bind the module {name}"))?;
    let module = output.wasm_mut().emit_wasm();

    for (name, text) in output.local_modules() {
        write_file(&site.join("pkg/snippets").join(name), text.as_bytes())?;
    }
    for (crate_name, scripts) in output.snippets() {
        for (index, script) in scripts.iter().enumerate() {
            let path = format!("pkg/snippets/{crate_name}/inline{index}.js");
            write_file(&site.join(path), script.as_bytes())?;
        }
    }
    Ok(Module {
        js: write_hashed(site, "js", output.js().as_bytes())?,
        wasm: write_hashed(site, "wasm", &module)?,
    })
}

/// The URL paths of a module and its script.
struct Module {
    js: String,
    wasm: String,
}

impl Module {
    /// Writes the script of a worker that starts this module; returns what the manifest says of it.
    fn write_worker(&self, site: &Path, failure: &str) -> Result<serde_json::Value> {
        let script = WORKER_SCRIPT
            .replace("\"JS\"", &quoted(&self.js))
            .replace("\"WASM\"", &quoted(&self.wasm))
            .replace("FAILURE", failure);
        Ok(serde_json::json!({
            "worker": write_hashed(site, "js", script.as_bytes())?,
            "js": self.js,
            "wasm": self.wasm,
        }))
    }
}

/// What stands behind the last slash of a URL path.
fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn remove_folder(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder)
        .with_context(|| format!("the folder {} could not be removed", folder.display()))
}

/// A text of a script; URL paths hold nothing that would have to be escaped.
fn quoted(path: &str) -> String {
    format!("\"{path}\"")
}

/// The one stylesheet of a folder.
fn only_stylesheet(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder)
        .with_context(|| format!("the folder {} could not be read", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("{} could not be read", folder.display()))?
            .path();
        if path.extension().is_some_and(|extension| extension == "css") {
            found.push(path);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        count => bail!("{} holds {count} stylesheets, not one", folder.display()),
    }
}

/// Reads the files below a folder, by their path there. Models stay where they are: the server
/// opens them itself, and a copy would only cost time and space.
fn read_tree(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} could not be read", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("{} could not be read", folder.display()))?;
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        if path == "models" || path.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            read_tree(&entry.path(), &format!("{path}/"), into)?;
        } else {
            into.insert(path, read_file(&entry.path())?);
        }
    }
    Ok(())
}

/// Writes a file of `pkg` under a name that changes with its content, so that browsers may keep
/// it for ever; returns its URL path.
fn write_hashed(site: &Path, extension: &str, bytes: &[u8]) -> Result<String> {
    let hash = hexadecimal(&Sha256::digest(bytes));
    let path = format!("pkg/fclm-{}.{extension}", &hash[..16]);
    write_file(&site.join(&path), bytes)?;
    Ok(format!("/{path}"))
}

/// Writes a file, and beside it the brotli form where it is text or wasm.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_plain(path, bytes)?;
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("");
    if !TEXT_EXTENSIONS.contains(&extension) {
        return Ok(());
    }
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 11,
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &parameters)
        .with_context(|| format!("{} could not be compressed", path.display()))?;
    if compressed.len() < bytes.len() {
        write_plain(&path.with_extension(format!("{extension}.br")), &compressed)?;
    }
    Ok(())
}

fn write_plain(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} could not be made", folder.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("{} could not be written", path.display()))
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} could not be read", path.display()))
}

fn replace_directory(fresh: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)
            .with_context(|| format!("the old {} could not be removed", place.display()))?;
    }
    fs::rename(fresh, place)
        .with_context(|| format!("the new {} could not be put in place", place.display()))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod unit_tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::{
        HEIC_FAILURE, Inputs, Module, only_stylesheet, read_tree, write_file, write_hashed,
    };

    #[test]
    fn models_stay_out_of_the_site() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "icons/a.svg",
            "samples/scenes.jsonl",
            "models/nano/config.json",
            "a.txt",
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let mut files = BTreeMap::new();
        read_tree(folder.path(), "", &mut files).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.txt", "icons/a.svg", "samples/scenes.jsonl"]);
    }

    #[test]
    fn names_follow_content_and_brotli_restores_it() {
        let site = tempfile::tempdir().unwrap();
        let text = "body { color: red }\n".repeat(50);
        let first = write_hashed(site.path(), "css", text.as_bytes()).unwrap();
        let second = write_hashed(site.path(), "css", b"p {}").unwrap();
        assert_ne!(first, second);
        assert!(first.starts_with("/pkg/fclm-") && first.ends_with(".css"));
        let compressed = fs::read(format!("{}{first}.br", site.path().display())).unwrap();
        let mut restored = Vec::new();
        brotli::BrotliDecompress(&mut &compressed[..], &mut restored).unwrap();
        assert_eq!(restored, text.as_bytes());
    }

    #[test]
    fn pictures_are_not_compressed_again() {
        let site = tempfile::tempdir().unwrap();
        write_file(&site.path().join("a.png"), &[0; 4096]).unwrap();
        assert!(!site.path().join("a.png.br").exists());
    }

    #[test]
    fn a_worker_loads_its_module_and_says_where_it_cannot_go_on() {
        let site = tempfile::tempdir().unwrap();
        let module = Module {
            js: "/pkg/fclm-1.js".to_owned(),
            wasm: "/pkg/fclm-2.wasm".to_owned(),
        };
        let files = module.write_worker(site.path(), HEIC_FAILURE).unwrap();
        assert_eq!(files["js"], "/pkg/fclm-1.js");
        assert_eq!(files["wasm"], "/pkg/fclm-2.wasm");
        let path = files["worker"].as_str().unwrap();
        let script = fs::read_to_string(format!("{}{path}", site.path().display())).unwrap();
        for part in [
            r#"import init, { receive } from "/pkg/fclm-1.js";"#,
            r#"init({ module_or_path: "/pkg/fclm-2.wasm" })"#,
            r#"postMessage(JSON.stringify({ failure: "worker" }))"#,
        ] {
            assert!(script.contains(part), "{part} is not in {script}");
        }
    }

    #[test]
    fn there_is_exactly_one_stylesheet() {
        let folder = tempfile::tempdir().unwrap();
        let error = only_stylesheet(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("holds 0 stylesheets, not one"));
        fs::write(folder.path().join("main.css"), "").unwrap();
        assert!(
            only_stylesheet(folder.path())
                .unwrap()
                .ends_with("main.css")
        );
    }

    #[test]
    fn the_stamp_follows_each_input() {
        let inputs = || Inputs {
            page: vec![1],
            extractor: vec![4],
            heic: vec![5],
            stylesheet: vec![2],
            public: BTreeMap::from([("a".to_owned(), vec![3])]),
        };
        let base = inputs().stamp();
        assert_eq!(base, inputs().stamp());
        assert_ne!(
            base,
            Inputs {
                page: vec![9],
                ..inputs()
            }
            .stamp()
        );
        assert_ne!(
            base,
            Inputs {
                extractor: vec![9],
                ..inputs()
            }
            .stamp()
        );
        assert_ne!(
            base,
            Inputs {
                heic: vec![9],
                ..inputs()
            }
            .stamp()
        );
        assert_ne!(
            base,
            Inputs {
                stylesheet: vec![9],
                ..inputs()
            }
            .stamp()
        );
        assert_ne!(
            base,
            Inputs {
                public: BTreeMap::new(),
                ..inputs()
            }
            .stamp()
        );
    }
}
