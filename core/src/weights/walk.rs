use super::names::NameMap;

/// Where a traversal stands: the path without enum variants, and the types that hold it.
#[derive(Debug, Default)]
pub(super) struct Walk {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Walk {
    pub(super) fn enter(&mut self, name: &str, container: &str) {
        self.containers.push(container.to_owned());
        // Which variant of an enum is in use is the configuration's affair; checkpoints do not
        // name it.
        if !container.starts_with("Enum:") {
            self.path.push(name.to_owned());
        }
    }

    pub(super) fn exit(&mut self, container: &str) {
        self.containers.pop();
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    /// The name of the innermost user-defined type.
    fn owner(&self) -> &str {
        let owner = self.containers.iter().rev().find_map(|container| {
            container
                .strip_prefix("Struct:")
                .or_else(|| container.strip_prefix("Enum:"))
        });
        owner.unwrap_or_default()
    }

    /// The checkpoint name of the parameter the traversal stands at.
    pub(super) fn name(&self, names: &NameMap) -> String {
        let mut path = self.path.join(".");
        if self.owner().contains("Norm") {
            for (ours, theirs) in [(".gamma", ".weight"), (".beta", ".bias")] {
                if let Some(head) = path.strip_suffix(ours) {
                    path = format!("{head}{theirs}");
                }
            }
            path = match path.as_str() {
                "gamma" => "weight".to_owned(),
                "beta" => "bias".to_owned(),
                _ => path,
            };
        }
        names.checkpoint_name(&path)
    }

    /// Whether checkpoints hold the parameter with its two axes swapped: burn's linear layers keep
    /// `[inputs, outputs]`, every published file `[outputs, inputs]`.
    pub(super) fn is_transposed(&self, rank: usize) -> bool {
        rank == 2
            && self.owner().ends_with("Linear")
            && self.path.last().is_some_and(|field| field == "weight")
    }
}
