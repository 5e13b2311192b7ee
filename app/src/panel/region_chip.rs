use leptos::prelude::*;

use crate::state::Workspace;

/// A region that was asked about, in its colour and with the number that it has now.
#[component]
pub(super) fn RegionChip(
    /// Which region it is.
    id: String,
    /// What stands for a region that was deleted since.
    gone: String,
    /// The chat.
    workspace: Workspace,
) -> impl IntoView {
    let editor = workspace.editor;
    let id = StoredValue::new(id);
    let region = move || {
        let id = id.get_value();
        editor.document.with(|document| {
            let region = document.get(&id)?;
            Some((
                document.number(&id)?,
                region.name.clone(),
                region.color.clone(),
            ))
        })
    };
    move || match region() {
        Some((number, name, color)) => view! {
            <button
                r#type="button"
                class="chip"
                style:--region=color
                title=name
                on:click=move |_| editor.selected.set(Some(id.get_value()))
            >
                {format!("@{number}")}
            </button>
        }
        .into_any(),
        None => view! {
            <span class="chip-gone" title="This region was deleted">
                {gone.clone()}
            </span>
        }
        .into_any(),
    }
}
