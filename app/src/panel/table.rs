use leptos::prelude::*;

use super::region_chip::RegionChip;
use crate::formats::Table;
use crate::icons::Icon;
use crate::state::{DELETED, Workspace};

/// The answers to a question that was asked of several regions, side by side.
#[component]
pub(super) fn AnswerTable(
    /// What it shows.
    table: Memo<Option<Table>>,
    /// The chat.
    workspace: Workspace,
) -> impl IntoView {
    move || {
        let table = table.get()?;
        let rows = table
            .rows
            .into_iter()
            .map(|row| {
                let (id, gone) = (row.0.clone(), DELETED.to_owned());
                let row = StoredValue::new(row);
                let cell = move |at: usize| {
                    move || {
                        let row = row.with_value(|row| workspace.table_row(row));
                        row.get(at).cloned().unwrap_or_default()
                    }
                };
                view! {
                    <tr>
                        <th scope="row">
                            <RegionChip id gone workspace/>
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
