use std::{fmt, str::FromStr};

/// The name of a file of GranD-f.
pub(super) const GRANDF_FILE: &str = "GranDf_HA_GCG_train.json";
/// The name of a file of Osprey-724K.
pub(super) const OSPREY_FILE: &str = "osprey_conversation.json";

/// A published data set that can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// RefCOCO: short expressions, often of places.
    RefCoco,
    /// RefCOCO+: short expressions without words of place.
    RefCocoPlus,
    /// RefCOCOg: longer expressions.
    RefCocoG,
    /// gRefCOCO: expressions for one object, several, or none.
    GRefCoco,
    /// ReasonSeg: questions that have to be reasoned about.
    ReasonSeg,
    /// MUSE: questions that ask for several masks.
    Muse,
    /// LVIS v1: instances of 1,203 categories.
    Lvis,
    /// PACO: objects and their parts.
    Paco,
    /// COCO: instances of 80 categories.
    Coco,
    /// COCO: captions.
    CocoCaptions,
    /// Osprey's lists of objects whose categories are asked for.
    RocList,
    /// GranD-f: grounded captions.
    GranDf,
    /// Describe Anything: detailed descriptions of regions.
    DescribeAnything,
    /// Osprey-724K: descriptions of regions and conversations about them.
    Osprey,
}

/// What a data set is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A file, called as this one.
    File(&'static str),
    /// A folder, which is this one.
    Folder(&'static str),
}

/// A name that is no data set's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no data set that can be converted; there are {names}",
    names = Source::ALL.map(Source::name).join(", ")
)]
pub struct UnknownSource(String);

impl Source {
    /// Every data set.
    pub const ALL: [Self; 14] = [
        Self::RefCoco,
        Self::RefCocoPlus,
        Self::RefCocoG,
        Self::GRefCoco,
        Self::ReasonSeg,
        Self::Muse,
        Self::Lvis,
        Self::Paco,
        Self::Coco,
        Self::CocoCaptions,
        Self::RocList,
        Self::GranDf,
        Self::DescribeAnything,
        Self::Osprey,
    ];

    /// The name that the command line uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RefCoco => "refcoco",
            Self::RefCocoPlus => "refcoco+",
            Self::RefCocoG => "refcocog",
            Self::GRefCoco => "grefcoco",
            Self::ReasonSeg => "reasonseg",
            Self::Muse => "muse",
            Self::Lvis => "lvis",
            Self::Paco => "paco",
            Self::Coco => "coco",
            Self::CocoCaptions => "coco-captions",
            Self::RocList => "roc-list",
            Self::GranDf => "grandf",
            Self::DescribeAnything => "describe-anything",
            Self::Osprey => "osprey",
        }
    }

    /// The file in which the data set's own folder has its expressions, where it is one of
    /// expressions for COCO's objects.
    pub(super) const fn references(self) -> Option<&'static str> {
        match self {
            Self::RefCoco | Self::RefCocoPlus => Some("refs(unc).p"),
            Self::RefCocoG => Some("refs(umd).p"),
            Self::GRefCoco => Some("grefs(unc).json"),
            _ => None,
        }
    }

    /// What is converted, where there is no choice between a file and a folder.
    pub(super) const fn wanted(self) -> Option<Wanted> {
        Some(match self {
            Self::RefCoco | Self::RefCocoPlus | Self::RefCocoG | Self::GRefCoco => return None,
            Self::ReasonSeg => Wanted::Folder("the one that holds train, val and test"),
            Self::DescribeAnything => Wanted::Folder("that of a subset, such as COCOStuff"),
            Self::Muse => Wanted::File("muse_train.json"),
            Self::Lvis => Wanted::File("lvis_v1_val.json"),
            Self::Paco => Wanted::File("paco_lvis_v1_val.json"),
            Self::Coco => Wanted::File("instances_val2017.json"),
            Self::CocoCaptions => Wanted::File("captions_val2017.json"),
            Self::RocList => Wanted::File("lvis_val_1k_category.json"),
            Self::GranDf => Wanted::File(GRANDF_FILE),
            Self::Osprey => Wanted::File(OSPREY_FILE),
        })
    }

    /// Whether one file holds several splits, or one folder does.
    pub(super) const fn has_splits(self) -> bool {
        self.references().is_some() || matches!(self, Self::ReasonSeg)
    }

    /// Whether the pictures lie apart from what is said of them.
    pub(super) const fn needs_images(self) -> bool {
        !matches!(self, Self::ReasonSeg | Self::DescribeAnything)
    }

    /// Whether the pictures always lie beside what is said of them.
    pub(super) const fn refuses_images(self) -> bool {
        matches!(self, Self::ReasonSeg)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(name: &str) -> Result<Self, UnknownSource> {
        Self::ALL
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| UnknownSource(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for source in Source::ALL {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        let unknown = "refcocoa".parse::<Source>().unwrap_err().to_string();
        assert!(unknown.contains("refcoco, refcoco+, refcocog"), "{unknown}");
        assert!(unknown.ends_with("describe-anything, osprey"), "{unknown}");
    }
}
