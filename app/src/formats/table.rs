use std::fmt::Write;

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The question.
    pub question: String,
    /// The regions that it is about.
    pub region_ids: Vec<String>,
    /// Id of the message that answers it.
    pub answer_id: String,
}

/// One question that was asked of several regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The question.
    pub question: String,
    /// Each region's id with the id of its answer.
    pub rows: Vec<(String, String)>,
    /// Id of the answer that came last.
    pub last: String,
}

/// The last question that was asked of at least two regions one by one, with the last answer of
/// each, in the order in which they were asked first.
pub fn table(asked: &[Asked]) -> Option<Table> {
    let single = |one: &&Asked| one.region_ids.len() == 1;
    for last in asked.iter().rev().filter(single) {
        let question = &last.question;
        let mut rows: Vec<(String, String)> = Vec::new();
        for one in asked.iter().filter(single) {
            if one.question != *question {
                continue;
            }
            let (region, answer) = (&one.region_ids[0], &one.answer_id);
            match rows.iter_mut().find(|(id, _)| id == region) {
                Some(row) => row.1.clone_from(answer),
                None => rows.push((region.clone(), answer.clone())),
            }
        }
        if rows.len() > 1 {
            return Some(Table {
                question: question.clone(),
                rows,
                last: last.answer_id.clone(),
            });
        }
    }
    None
}

/// Rows as CSV (RFC 4180). Cells that a spreadsheet would take for a formula get an apostrophe.
pub fn csv(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
                "'"
            } else {
                ""
            };
            let cell = cell.replace('"', "\"\"");
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}\"{guard}{cell}\"");
        }
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &str, regions: &str, answer: &str) -> Asked {
        Asked {
            question: question.to_owned(),
            region_ids: regions.split_whitespace().map(str::to_owned).collect(),
            answer_id: answer.to_owned(),
        }
    }

    #[test]
    fn the_last_question_of_several_regions_is_the_table() {
        let all = [
            asked("colour?", "a", "1"),
            asked("shape?", "a", "2"),
            asked("colour?", "b", "3"),
            asked("shape?", "a b", "4"),
            asked("shape?", "b", "5"),
            asked("shape?", "a", "6"),
            asked("why?", "a", "7"),
        ];
        let table = super::table(&all).expect("there is one");
        assert_eq!(table.question, "shape?");
        let rows = [("a", "6"), ("b", "5")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(table.rows, rows);
        assert_eq!(table.last, "6");
        assert_eq!(super::table(&all[..2]), None);
    }

    #[test]
    fn cells_are_quoted_and_start_no_formula() {
        let rows = [["a \"b\"", "=1+1"].map(str::to_owned).to_vec()];
        assert_eq!(csv(&rows), "\"a \"\"b\"\"\",\"'=1+1\"\r\n");
    }
}
