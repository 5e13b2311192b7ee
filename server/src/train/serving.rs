//! Training reads a conversation exactly as serving does.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, Tolerance};

use fclm_core::fclm::prompt::{CHAT_TEMPLATE, REGION_PLACE};
use fclm_core::fclm::{Fclm, FclmTokenizer};
use fclm_core::region::RegionTokens;
use fclm_core::wire::Mode;

use super::batch::{Batch, HostScene};
use super::conversations::corpus;
use super::encoded::encode;
use super::layout::Slot;
use super::recipe::Recipe;
use super::run::set_ids;
use super::sample::Sampler;
use super::tokenizer::train_tokenizer;
use crate::engine::{Backend, FclmBackend, LoadedModel, Prompt, PromptRegion};

struct Trained {
    recipe: Recipe,
    tokenizer: FclmTokenizer,
    model: Fclm,
    device: Device,
}

fn fresh() -> Trained {
    let mut recipe = Recipe::named("nano").unwrap();
    recipe.batch.large_chance = 0.0;
    recipe.batch.careless_chance = 0.0;
    let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
    let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
    set_ids(&mut recipe.model, &tokenizer).unwrap();
    let device = Device::flex();
    device.seed(4);
    let model = recipe.model.init(&device);
    Trained {
        recipe,
        tokenizer,
        model,
        device,
    }
}

fn backend(trained: &Trained) -> FclmBackend {
    FclmBackend::new(LoadedModel::of(
        trained.model.clone(),
        trained.tokenizer.clone(),
        trained.recipe.model.clone(),
        trained.device.clone(),
    ))
}

/// The question of each conversation as it was packed, read back from its tokens, with the region
/// that it is about and the place from which its answer is predicted.
fn asked(host: &HostScene, tokenizer: &FclmTokenizer) -> Vec<(String, Option<usize>, usize)> {
    let packed = &host.packed;
    packed
        .conversations()
        .into_iter()
        .map(|conversation| {
            let first = packed
                .targets
                .iter()
                .map(|target| target.slot)
                .find(|slot| conversation.contains(slot))
                .unwrap();
            let mut text = String::new();
            let mut region = None;
            let mut ids = Vec::new();
            for slot in &packed.slots[conversation.start..=first] {
                match *slot {
                    Slot::Token(id) => ids.push(id),
                    Slot::Mask(k) => {
                        region = Some(k);
                        text.push_str(&tokenizer.decode(&ids).unwrap());
                        ids.clear();
                        text.push_str(REGION_PLACE);
                    }
                    Slot::Pos(_) | Slot::Image(_) => {}
                }
            }
            text.push_str(&tokenizer.decode(&ids).unwrap());
            let question = text.strip_suffix("\nassistant\n").unwrap().to_owned();
            (question, region, first)
        })
        .collect()
}

#[test]
fn every_answer_is_predicted_from_the_state_that_serving_has() {
    let trained = fresh();
    let sampler = Sampler::new(&trained.recipe, &trained.tokenizer, CHAT_TEMPLATE).unwrap();
    let scene = sampler.scene(5, 0, &trained.recipe.stage_1.mix).unwrap();
    let image = sampler.picture(5);
    let scenes = [scene];
    let batch = Batch::new(
        &scenes,
        sampler.grid(),
        &trained.recipe.model,
        &trained.device,
    );
    let encoded = encode(&trained.model, &batch);
    let hidden = encoded.read(&trained.model, &batch).hidden;
    let tokens = encoded.tokens;

    let backend = backend(&trained);
    let features = backend.encode_image(&image).unwrap();
    let places = super::rows::RowPlan::new(&[&scenes[0].packed]).places;
    let mut regions_asked = 0;
    for (question, region, slot) in asked(&scenes[0], &trained.tokenizer) {
        let (mode, text) = match question.strip_prefix("Find: ") {
            Some(text) => (Mode::Find, text.to_owned()),
            None if region.is_some() => {
                (Mode::Ask, question.replace(&format!(" {REGION_PLACE}"), ""))
            }
            None => (Mode::Caption, String::new()),
        };
        let regions = region.map(|k| {
            regions_asked += 1;
            let number = question
                .split('@')
                .nth(1)
                .and_then(|tail| tail.split(' ').next()?.parse().ok());
            PromptRegion {
                number: number.unwrap(),
                key: k as u64,
                tokens: Arc::new(RegionTokens {
                    mask: tokens.mask.clone().narrow(0, k, 1),
                    pos: tokens.pos.clone().narrow(0, k, 1),
                }),
            }
        });
        let prompt = Prompt {
            image_key: 1,
            features: &features,
            mode,
            text: &text,
            regions: regions.into_iter().collect(),
        };
        let served: Tensor<2> = backend.begin(prompt, None).unwrap().hidden();
        let learned = hidden.clone().narrow(0, places[0][slot], 1);
        served
            .into_data()
            .assert_approx_eq::<f32>(&learned.into_data(), Tolerance::absolute(1e-3));
    }
    assert!(regions_asked >= 2, "{regions_asked}");
}
