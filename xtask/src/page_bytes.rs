//! What a browser must load before the page is live, and what its workers load afterwards.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The sizes of scripts, modules and stylesheet as a table: plain, and as they travel.
pub(crate) fn table(site: &Path) -> Result<String> {
    let manifest = site.join("manifest.json");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("{} could not be read", manifest.display()))?;
    let manifest: Value = serde_json::from_str(&text).context("the page's manifest is not JSON")?;
    let mut table = String::new();
    for (heading, files, parts) in [
        ("page", &manifest, &["js", "loader", "wasm", "css"][..]),
        ("chats", &manifest, &["parts"]),
        ("worker", &manifest["extractor"], &["worker", "js", "wasm"]),
        ("heic", &manifest["heic"], &["worker", "js", "wasm"]),
    ] {
        table += &format!("{heading:<12}{:>12}{:>12}\n", "bytes", "brotli");
        let mut sum = (0, 0);
        for part in parts {
            let urls = match &files[*part] {
                Value::Array(urls) => urls.iter().collect(),
                url => vec![url],
            };
            for url in urls {
                let url = url.as_str().with_context(|| {
                    format!("the manifest does not name the {heading}'s {part}")
                })?;
                let file = format!("{}{url}", site.display());
                let plain = size(&file)?;
                // Where compressing does not help there is no such file.
                let compressed = size(&format!("{file}.br")).unwrap_or(plain);
                sum = (sum.0 + plain, sum.1 + compressed);
                table += &format!("{part:<12}{plain:>12}{compressed:>12}\n");
            }
        }
        table += &format!("{:<12}{:>12}{:>12}\n", "in all", sum.0, sum.1);
    }
    Ok(table)
}

fn size(file: &str) -> Result<u64> {
    let metadata = fs::metadata(file).with_context(|| format!("{file} could not be read"))?;
    Ok(metadata.len())
}

#[cfg(test)]
mod unit_tests {
    use std::fs;

    use super::table;

    #[test]
    fn plain_and_compressed_sizes_add_up() {
        let site = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("a.js", 100),
            ("a.js.br", 30),
            ("a.wasm", 1000),
            ("a.css", 7),
            ("l.js", 20),
            ("p.wasm", 500),
            ("p.wasm.br", 400),
            ("w.js", 50),
            ("x.js", 200),
            ("x.wasm", 3000),
            ("x.wasm.br", 2000),
            ("h.js", 40),
            ("d.js", 60),
            ("d.wasm", 900),
            ("d.wasm.br", 400),
        ] {
            fs::write(site.path().join(name), vec![0; bytes]).unwrap();
        }
        let manifest = r#"{"js": "/a.js", "wasm": "/a.wasm", "css": "/a.css",
            "loader": "/l.js", "parts": ["/p.wasm"],
            "extractor": {"worker": "/w.js", "js": "/x.js", "wasm": "/x.wasm"},
            "heic": {"worker": "/h.js", "js": "/d.js", "wasm": "/d.wasm"}}"#;
        fs::write(site.path().join("manifest.json"), manifest).unwrap();
        let table = table(site.path()).unwrap();
        let sums: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| line.starts_with("in all"))
            .map(|line| line.split_whitespace().skip(2).collect())
            .collect();
        assert_eq!(
            sums,
            [
                ["1127", "1057"],
                ["500", "400"],
                ["3250", "2250"],
                ["1000", "500"]
            ]
        );
    }
}
