use leptos::prelude::*;

use crate::editor::RegionState;
use crate::icons::Icon;
use crate::state::Workspace;

/// The answers to a question that was asked of several regions, side by side.
#[component]
pub(super) fn AnswerTable(workspace: Workspace) -> impl IntoView {
    let table = Memo::new(move |_| workspace.table());
    move || {
        let table = table.get()?;
        let rows = table
            .rows
            .into_iter()
            .map(|row| {
                let region = StoredValue::new(row.0.clone());
                let row = StoredValue::new(row);
                let color = move || {
                    let color = |region: &RegionState| region.color.clone();
                    let id = region.get_value();
                    workspace.editor.document.with(|d| d.get(&id).map(color))
                };
                let cell = move |at: usize| {
                    move || {
                        let row = row.with_value(|row| workspace.table_row(row));
                        row.get(at).cloned().unwrap_or_default()
                    }
                };
                view! {
                    <tr>
                        <th scope="row">
                            <button
                                r#type="button"
                                class="chip"
                                class:chip-gone=move || color().is_none()
                                style:--region=move || color().unwrap_or_default()
                                on:click=move |_| {
                                    workspace.editor.selected.set(Some(region.get_value()));
                                }
                            >
                                {cell(0)}
                            </button>
                        </th>
                        <td>{cell(1)}</td>
                        <td>{cell(2)}</td>
                    </tr>
                }
            })
            .collect_view();
        Some(view! {
            <div class="answer-table" data-testid="answer-table">
                <table>
                    <caption>{table.question}</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Region"</th>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Answer"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
                <button
                    r#type="button"
                    class="text-button"
                    data-testid="table-csv"
                    on:click=move |_| workspace.export_table()
                >
                    <Icon name="table"/>
                    "Save as CSV"
                </button>
            </div>
        })
    }
}
