/// Turns the path of a parameter inside a module into its name in a checkpoint.
///
/// A map is a list of parts, each a subtree of the module with the prefix it has in the
/// checkpoint and its own rewrites; the part with the longest matching path decides. A rewrite
/// replaces whole dot-separated segments anywhere below the part (`neck_conv1` by `neck.0`); of
/// several that match at one place the first listed wins, and text put in is not rewritten again.
/// A path that no part covers is the name as it stands.
///
/// ```
/// use fclm_core::weights::NameMap;
///
/// let names = NameMap::new()
///     .with_part("qwen", "", &[])
///     .with_part("sam", "sam", &[("neck_conv1", "neck.0")]);
/// assert_eq!(names.checkpoint_name("qwen.lm_head.weight"), "lm_head.weight");
/// assert_eq!(
///     names.checkpoint_name("sam.image_encoder.neck_conv1.weight"),
///     "sam.image_encoder.neck.0.weight",
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct NameMap {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    path: Vec<String>,
    prefix: Vec<String>,
    rewrites: Vec<(Vec<String>, Vec<String>)>,
}

impl NameMap {
    /// The map that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A map of one part, the whole module, with these rewrites and no prefix.
    pub fn with_rewrites(rewrites: &[(&str, &str)]) -> Self {
        Self::new().with_part("", "", rewrites)
    }

    /// Adds a part: the subtree at `path` in the module (empty: all of it), which the checkpoint
    /// holds under `prefix` (empty: at its top).
    pub fn with_part(mut self, path: &str, prefix: &str, rewrites: &[(&str, &str)]) -> Self {
        let rewrites = rewrites
            .iter()
            .map(|(from, to)| (segments(from), segments(to)))
            .collect();
        self.parts.push(Part {
            path: segments(path),
            prefix: segments(prefix),
            rewrites,
        });
        self.parts
            .sort_by_key(|part| std::cmp::Reverse(part.path.len()));
        self
    }

    /// The checkpoint's name for the parameter at `path`.
    pub fn checkpoint_name(&self, path: &str) -> String {
        let path = segments(path);
        let Some(part) = self.parts.iter().find(|part| path.starts_with(&part.path)) else {
            return path.join(".");
        };
        let mut name = part.prefix.clone();
        let mut rest = &path[part.path.len()..];
        while let Some((first, tail)) = rest.split_first() {
            let rewrite = part
                .rewrites
                .iter()
                .find(|(from, _)| !from.is_empty() && rest.starts_with(from));
            match rewrite {
                Some((from, to)) => {
                    name.extend(to.iter().cloned());
                    rest = &rest[from.len()..];
                }
                None => {
                    name.push(first.clone());
                    rest = tail;
                }
            }
        }
        name.join(".")
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('.')
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_match_whole_segments_only() {
        let names = NameMap::with_rewrites(&[("mlp.first", "mlp.0"), ("first", "layers.1")]);
        assert_eq!(
            names.checkpoint_name("a.mlp.first.weight"),
            "a.mlp.0.weight"
        );
        assert_eq!(names.checkpoint_name("a.first.weight"), "a.layers.1.weight");
        assert_eq!(
            names.checkpoint_name("a.mlp.first_two.weight"),
            "a.mlp.first_two.weight"
        );
    }

    #[test]
    fn the_deepest_part_decides() {
        let names = NameMap::new()
            .with_part("", "all", &[])
            .with_part("a.b", "", &[("c", "")]);
        assert_eq!(names.checkpoint_name("a.x"), "all.a.x");
        assert_eq!(names.checkpoint_name("a.b.c.d"), "d");
    }
}
