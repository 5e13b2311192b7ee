//! What a browser must load before the page is live.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The sizes of the script, the module and the stylesheet, as a table: plain, and as they travel.
pub(crate) fn table(site: &Path) -> Result<String> {
    let manifest = site.join("manifest.json");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("{} could not be read", manifest.display()))?;
    let manifest: serde_json::Value =
        serde_json::from_str(&text).context("the page's manifest is not JSON")?;
    let mut table = format!("{:<12}{:>12}{:>12}\n", "page", "bytes", "brotli");
    let mut sum = (0, 0);
    for part in ["js", "wasm", "css"] {
        let url = manifest[part]
            .as_str()
            .with_context(|| format!("the page's manifest does not name its {part}"))?;
        let file = format!("{}{url}", site.display());
        let plain = size(&file)?;
        // Where compressing does not help there is no such file.
        let compressed = size(&format!("{file}.br")).unwrap_or(plain);
        sum = (sum.0 + plain, sum.1 + compressed);
        table += &format!("{part:<12}{plain:>12}{compressed:>12}\n");
    }
    Ok(table + &format!("{:<12}{:>12}{:>12}\n", "in all", sum.0, sum.1))
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
        ] {
            fs::write(site.path().join(name), vec![0; bytes]).unwrap();
        }
        let manifest = r#"{"js": "/a.js", "wasm": "/a.wasm", "css": "/a.css"}"#;
        fs::write(site.path().join("manifest.json"), manifest).unwrap();
        let table = table(site.path()).unwrap();
        let last: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["in", "all", "1107", "1037"]);
    }
}
