use super::Document;

/// What a step from one state of the regions to another one did, in words.
pub fn describe_step(from: &Document, to: &Document) -> String {
    let lacks = |own: &Document, other: &Document| -> Vec<String> {
        let new = own.regions.iter().filter(|r| other.get(&r.id).is_none());
        new.map(|region| region.name.clone()).collect()
    };
    let (added, gone) = (lacks(to, from), lacks(from, to));
    match (added.as_slice(), gone.as_slice()) {
        ([], []) => changed(from, to),
        ([name], []) => format!("{name} added"),
        ([], [name]) => format!("{name} deleted"),
        (names, []) => format!("{} regions added", names.len()),
        ([], names) => format!("{} regions deleted", names.len()),
        _ => "several regions".to_owned(),
    }
}

// Both hold the same regions.
fn changed(from: &Document, to: &Document) -> String {
    let pairs = from.regions.iter().filter_map(|old| {
        let new = to.get(&old.id)?;
        (old != new).then_some((old, new))
    });
    match pairs.collect::<Vec<_>>().as_slice() {
        [] => {}
        [(old, new)] if old.mask != new.mask => return format!("shape of {}", new.name),
        [(old, new)] if old.name != new.name => return format!("{} named {}", old.name, new.name),
        [(old, new)] if old.color != new.color => return format!("colour of {}", new.name),
        [(_, new)] => return format!("shape of {}", new.name),
        _ => return "several regions".to_owned(),
    }
    if from.ids() != to.ids() {
        return "order of the regions".to_owned();
    }
    for (before, after, done, taken_back) in [
        (&from.hidden, &to.hidden, "hidden", "shown"),
        (&from.locked, &to.locked, "locked", "opened"),
    ] {
        if let Some(id) = before.symmetric_difference(after).next() {
            let name = to.get(id).map(|region| region.name.as_str());
            let what = if after.contains(id) { done } else { taken_back };
            return format!("{} {what}", name.unwrap_or_default());
        }
    }
    "nothing".to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fclm_core::mask::Mask;

    use super::*;
    use crate::editor::RegionState;

    fn document(names: &[&str]) -> Document {
        let region = |name: &&str| {
            let (id, name, color) = ((*name).to_owned(), (*name).to_owned(), "#112233".to_owned());
            RegionState::rectangle(id, name, color, (4, 4), [0.0, 0.0, 2.0, 2.0])
        };
        Document {
            regions: names.iter().map(region).collect(),
            ..Document::default()
        }
    }

    fn both_ways(from: &Document, to: &Document) -> [String; 2] {
        [describe_step(from, to), describe_step(to, from)]
    }

    #[test]
    fn regions_that_come_and_go_are_named() {
        let (none, one, three) = (document(&[]), document(&["a"]), document(&["a", "b", "c"]));
        assert_eq!(both_ways(&none, &one), ["a added", "a deleted"]);
        let two = ["2 regions added", "2 regions deleted"];
        assert_eq!(both_ways(&one, &three), two);
        assert_eq!(describe_step(&one, &document(&["b"])), "several regions");
    }

    #[test]
    fn what_changes_of_a_region_is_named() {
        let before = document(&["a", "b"]);
        let with = |change: fn(&mut Document)| {
            let mut after = before.clone();
            change(&mut after);
            both_ways(&before, &after)
        };
        let shape = with(|d| d.regions[1].paint(Arc::new(Mask::new(4, 4).to_wire())));
        assert_eq!(shape, ["shape of b", "shape of b"]);
        let name = with(|d| d.regions[0].name = "mug".to_owned());
        assert_eq!(name, ["a named mug", "mug named a"]);
        let color = with(|d| d.regions[0].color = "#ffffff".to_owned());
        assert_eq!(color, ["colour of a", "colour of a"]);
        let order = with(|d| d.reorder("b", -1));
        assert_eq!(order, ["order of the regions", "order of the regions"]);
        let hidden = with(|d| {
            d.hidden.insert("b".to_owned());
        });
        assert_eq!(hidden, ["b hidden", "b shown"]);
        let locked = with(|d| {
            d.locked.insert("a".to_owned());
        });
        assert_eq!(locked, ["a locked", "a opened"]);
    }
}
