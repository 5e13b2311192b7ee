//! The published sizes, and the work that is timed at them.

use std::str::FromStr;

use fclm_core::fclm::{ConsistencyConfig, FclmConfig};
use fclm_core::qwen::QwenConfig;
use fclm_core::region::RegionConfig;
use fclm_core::sam::SamConfig;
use fclm_core::weights::Precision;
use fclm_core::wire::Stage;

/// Pixels per merged token of the published vision towers.
const TOKEN_PIXELS: usize = 28 * 28;

/// A word names nothing that can be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {wrong:?}; write {known}")]
pub struct UnknownName {
    wrong: String,
    known: &'static str,
}

/// A published Qwen2.5-VL beside SAM ViT-H.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shapes {
    /// Qwen2.5-VL-3B.
    Qwen3b,
    /// Qwen2.5-VL-7B.
    Qwen7b,
}

impl Shapes {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen3b => "3b",
            Self::Qwen7b => "7b",
        }
    }

    /// The sizes of every part of FCLM that is joined from it.
    pub fn config(self) -> FclmConfig {
        let qwen = match self {
            Self::Qwen3b => QwenConfig::qwen2_5_vl_3b(),
            Self::Qwen7b => QwenConfig::qwen2_5_vl_7b(),
        };
        FclmConfig {
            model_type: "fclm".to_owned(),
            name: self.name().to_owned(),
            knows: "nothing; the weights are random".to_owned(),
            stage: Stage::Untrained,
            min_pixels: 4 * TOKEN_PIXELS,
            max_pixels: 16_384 * TOKEN_PIXELS,
            region: RegionConfig::published(qwen.text.hidden_size),
            qwen,
            sam: SamConfig::vit_h(),
            consistency: ConsistencyConfig::paper(),
        }
    }
}

impl FromStr for Shapes {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Qwen3b, Self::Qwen7b]
            .into_iter()
            .find(|shapes| shapes.name() == text)
            .ok_or_else(|| UnknownName {
                wrong: text.to_owned(),
                known: "3b or 7b",
            })
    }
}

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Pictures by the vision tower and by SAM.
    Encode,
    /// Prompts, to the first token.
    Prefill,
    /// The tokens behind it.
    Decode,
}

impl Part {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Encode, Self::Prefill, Self::Decode];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

impl FromStr for Part {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|part| part.name() == text)
            .ok_or_else(|| UnknownName {
                wrong: text.to_owned(),
                known: "encode, prefill or decode",
            })
    }
}

/// How large the work is. `tests/bench/transformers_peer.py` does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Sides in pixels of the square pictures for the vision tower; multiples of a merged token's.
    pub pictures: Vec<usize>,
    /// Merged tokens along a side of the prompt's picture.
    pub picture_tokens: usize,
    /// Tokens of text in a prompt.
    pub text: usize,
    /// Regions in a prompt, one row for each; decoding goes on behind the first.
    pub regions: Vec<usize>,
    /// Conversations that are decoded side by side, one row for each.
    pub batches: Vec<usize>,
    /// Tokens that each conversation gets.
    pub new_tokens: usize,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            pictures: vec![448, 1036],
            picture_tokens: 16,
            text: 64,
            regions: vec![1, 8],
            batches: vec![1, 8, 32],
            new_tokens: 64,
        }
    }
}

impl Workload {
    /// Tokens of a prompt's picture.
    pub(super) fn picture(&self) -> usize {
        self.picture_tokens * self.picture_tokens
    }

    /// Tokens of a prompt with `regions` regions.
    pub(super) fn prompt(&self, regions: usize) -> usize {
        self.picture() + self.text + 2 * regions
    }

    /// How the text of a prompt with `regions` regions is shared out: in front of the picture, in
    /// front of each region, and behind everything.
    pub(super) fn texts(&self, regions: usize) -> [usize; 3] {
        let before = self.text / 4;
        let each = self.text / 2 / regions.max(1);
        [before, each, self.text - before - each * regions]
    }
}

/// What is measured, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeOptions {
    /// The sizes of the model.
    pub config: FclmConfig,
    /// The float type that it computes in.
    pub precision: Precision,
    /// Which rows.
    pub parts: Vec<Part>,
    /// How large the work is.
    pub workload: Workload,
    /// Runs that are timed.
    pub runs: usize,
    /// Runs before them, in which kernels are compiled and chosen. Decoding needs no more than one:
    /// it repeats its step as often as there are new tokens.
    pub warm_ups: usize,
}

impl ShapeOptions {
    /// Everything at the sizes of a published model.
    pub fn new(shapes: Shapes, precision: Precision) -> Self {
        Self {
            config: shapes.config(),
            precision,
            parts: Part::ALL.to_vec(),
            workload: Workload::default(),
            runs: 5,
            warm_ups: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for shapes in [Shapes::Qwen3b, Shapes::Qwen7b] {
            assert_eq!(shapes.name().parse::<Shapes>(), Ok(shapes));
        }
        for part in Part::ALL {
            assert_eq!(part.name().parse::<Part>(), Ok(part));
        }
        let sentence = "5b".parse::<Shapes>().unwrap_err().to_string();
        assert_eq!(sentence, "there is no \"5b\"; write 3b or 7b");
    }

    #[test]
    fn published_sizes_fit_together() {
        for (shapes, qwen) in [
            (Shapes::Qwen3b, QwenConfig::qwen2_5_vl_3b()),
            (Shapes::Qwen7b, QwenConfig::qwen2_5_vl_7b()),
        ] {
            let config = shapes.config();
            config.validate().unwrap();
            assert_eq!(config.qwen, qwen);
            assert_eq!(config.sam, SamConfig::vit_h());
        }
    }

    #[test]
    fn a_prompt_has_all_of_its_text() {
        let workload = Workload::default();
        assert_eq!(workload.texts(1), [16, 32, 16]);
        assert_eq!(workload.texts(8), [16, 4, 16]);
        assert_eq!(workload.prompt(1), 322);
        assert_eq!(workload.prompt(8), 336);
    }
}
