//! The page's module cut into what is loaded at once and what is loaded when it is wanted.
//!
//! Functions marked with `wasm_split` are where it is cut. The page's script imports a script that
//! loads the parts, which imports the page's script in turn.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use sha2::{Digest, Sha256};
use wasm_encoder::RawSection;
use wasmparser::Parser;

use crate::site::{hexadecimal, read_file};

/// The number of sections that a module runs without.
const CUSTOM: u8 = 0;
/// What stands in the loader for the name of the page's script, which is not known before.
const PAGE_SCRIPT: &str = "./page.js";

/// A module that has been cut, not bound yet.
pub(crate) struct Cut {
    /// What is loaded at once.
    pub(crate) first: Vec<u8>,
    /// The parts with the names that the loader knows them by.
    pub(crate) parts: Vec<(String, Vec<u8>)>,
    /// File name of the script that loads the parts.
    pub(crate) loader_name: String,
    /// That script, with the parts' and the page's names as they stood when it was cut.
    loader: String,
}

impl Cut {
    /// Cuts a compiled module. The stamp is of all that the page is made of; the folder is for
    /// files on the way.
    pub(crate) fn new(compiled: &[u8], stamp: &str, folder: &Path) -> Result<Self> {
        let loader_name = loader_name(stamp);
        fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} could not be made", folder.display()))?;
        let first = folder.join("first.wasm");
        let link_name = format!("./{loader_name}");
        let mut options = wasm_split_cli_support::Options::new(compiled);
        options.output_dir = folder;
        options.main_out_path = &first;
        options.link_name = &link_name;
        options.main_module = PAGE_SCRIPT;
        // Its error says more in its own form than as a source of ours.
        let split = wasm_split_cli_support::transform(options)
            .map_err(|error| anyhow!("the page could not be cut into parts: {error:#}"))?;
        let mut parts = Vec::new();
        for path in split.split_modules {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .context("a part of the page has no name")?;
            parts.push((name.to_owned(), bare(&read_file(&path)?)?));
        }
        parts.sort();
        let first = read_file(&first)?;
        let later: usize = parts.iter().map(|(_, part)| part.len()).sum();
        // A single call from the home page into a chat brings all of it along.
        ensure!(
            later > first.len() / 4,
            "of the page, {} bytes are loaded at once and {later} when they are wanted: something of the home page needs what belongs to a chat",
            first.len()
        );
        let loader = fs::read_to_string(folder.join(&loader_name))
            .context("the script that loads the page's parts was not written")?;
        Ok(Self {
            first,
            parts,
            loader_name,
            loader,
        })
    }

    /// The loader with the names of the files that were written; each is a file name beside it.
    pub(crate) fn loader(&self, page_script: &str, parts: &[(String, String)]) -> Result<String> {
        let mut loader = renamed(&self.loader, PAGE_SCRIPT, page_script)?;
        for (old, new) in parts {
            loader = renamed(&loader, &format!("./{old}"), new)?;
        }
        Ok(loader)
    }
}

/// A module without what nobody needs to run it: names of functions, above all.
fn bare(module: &[u8]) -> Result<Vec<u8>> {
    let mut bare = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.context("a part of the page is no module")?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        if id != CUSTOM {
            // The parser has found it there.
            let data = &module[range.start as usize..range.end as usize];
            bare.section(&RawSection { id, data });
        }
    }
    Ok(bare.finish())
}

/// The page's script and the loader name each other, so the loader's name cannot follow from its
/// content; all of it follows from what the page is made of.
fn loader_name(stamp: &str) -> String {
    let digest = Sha256::digest(format!("loader of {stamp}"));
    format!("fclm-{}.js", &hexadecimal(&digest)[..16])
}

fn renamed(loader: &str, old: &str, new: &str) -> Result<String> {
    let quoted = format!("\"{old}\"");
    ensure!(
        loader.contains(&quoted),
        "the script that loads the page's parts does not name {old}"
    );
    Ok(loader.replace(&quoted, &format!("\"./{new}\"")))
}

#[cfg(test)]
mod unit_tests {
    use super::{Cut, bare, loader_name};

    fn cut() -> Cut {
        Cut {
            first: Vec::new(),
            parts: Vec::new(),
            loader_name: "fclm-0.js".to_owned(),
            loader: "import { initSync } from \"./page.js\";\nfetch(\"./split_chat.wasm\")"
                .to_owned(),
        }
    }

    #[test]
    fn the_loader_names_what_was_written() {
        let parts = [("split_chat.wasm".to_owned(), "fclm-2.wasm".to_owned())];
        let loader = cut().loader("fclm-1.js", &parts).unwrap();
        assert_eq!(
            loader,
            "import { initSync } from \"./fclm-1.js\";\nfetch(\"./fclm-2.wasm\")"
        );
    }

    #[test]
    fn only_what_runs_is_kept_of_a_part() {
        // A type `() -> ()`, behind a section `x` of its own and before one with names.
        let head = *b"\0asm\x01\0\0\0";
        let types = [1, 4, 1, 0x60, 0, 0];
        let custom = [0, 3, 1, b'x', 7];
        let names = [0, 5, 4, b'n', b'a', b'm', b'e'];
        let module = [&head[..], &custom, &types, &names].concat();
        assert_eq!(bare(&module).unwrap(), [&head[..], &types].concat());
        assert!(bare(b"no module").is_err());
    }

    #[test]
    fn another_page_has_another_loader() {
        assert_ne!(loader_name("a"), loader_name("b"));
        assert_eq!(loader_name("a"), loader_name("a"));
    }

    #[test]
    fn a_part_that_the_loader_does_not_know_is_told() {
        let parts = [("split_other.wasm".to_owned(), "fclm-2.wasm".to_owned())];
        let error = cut().loader("fclm-1.js", &parts).unwrap_err();
        assert!(error.to_string().contains("./split_other.wasm"), "{error}");
    }
}
