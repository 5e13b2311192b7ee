use fclm_core::wire::{ModelInfo, Stage};
use leptos::prelude::*;

use crate::state::Application;

/// Which model answers, how far it is trained and what it knows. It opens without scripts.
#[component]
pub(super) fn Badge() -> impl IntoView {
    let model = expect_context::<Application>().model;
    view! {
        <details class="badge" data-testid="model-badge">
            <summary>
                {move || match model.get() {
                    Some(model) => loaded(&model).into_any(),
                    None => {
                        view! {
                            <span class="badge-dot is-waiting"></span>
                            <span class="badge-name">"Loading the model"</span>
                        }
                            .into_any()
                    }
                }}
            </summary>
            {move || model.get().map(|model| facts(&model))}
        </details>
    }
}

fn loaded(model: &ModelInfo) -> impl IntoView + use<> {
    let untrained = model.stage == Stage::Untrained;
    view! {
        <span class="badge-dot" class:is-untrained=untrained></span>
        <span class="badge-name">{model.name.clone()}</span>
        <span class="badge-stage" data-testid="model-stage">{stage(model.stage)}</span>
        <span class="badge-knows" data-testid="model-knows">{model.knows.clone()}</span>
    }
}

fn facts(model: &ModelInfo) -> impl IntoView + use<> {
    let parts = model
        .parts
        .iter()
        .map(|part| {
            view! {
                <dt>{part.part.clone()}</dt>
                <dd>{count(part.parameters)}</dd>
            }
        })
        .collect_view();
    let hash: String = model.sha256.chars().take(16).collect();
    view! {
        <div class="badge-facts">
            <p class="badge-title">{model.name.clone()}</p>
            <p class="badge-sentence">{model.knows.clone()}</p>
            <p class="muted">{stage_sentence(model.stage)}</p>
            <dl>
                <dt>"Parameters"</dt>
                <dd>{count(model.parameters)}</dd>
                {parts}
                <dt>"Runs on"</dt>
                <dd>{model.device.clone()}</dd>
                <dt>"Weights"</dt>
                <dd>
                    <code>{hash}</code>
                </dd>
            </dl>
        </div>
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Untrained => "region parts untrained",
        Stage::One => "stage 1",
        Stage::Two => "stage 2",
    }
}

fn stage_sentence(stage: Stage) -> &'static str {
    match stage {
        Stage::Untrained => {
            "Its region parts have not been trained yet, so answers about regions mean nothing."
        }
        Stage::One => "All its parts are trained together; the second stage is still to come.",
        Stage::Two => "Trained in both stages: describing and finding share one space.",
    }
}

fn count(parameters: u64) -> String {
    match parameters {
        0..1_000 => parameters.to_string(),
        1_000..1_000_000 => format!("{:.0} k", parameters as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", parameters as f64 / 1e6),
        _ => format!("{:.1} B", parameters as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        assert_eq!(count(512), "512");
        assert_eq!(count(65_792), "66 k");
        assert_eq!(count(11_482_113), "11.5 M");
        assert_eq!(count(8_292_166_656), "8.3 B");
    }
}
