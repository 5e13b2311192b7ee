//! Figures of searches for one mask: `res`, `gres` and `reasonseg`.

use serde_json::{Value, json};

use super::{close, marked, mask, of_samples};
use crate::eval::{EvalTools, protocol::Task, source::DataKind};

fn search(truth: &[u32], drawn: &[&[u32]], overlap: [u64; 2], kind: &str) -> Value {
    let drawn: Vec<Value> = drawn.iter().map(|runs| marked(runs, "")).collect();
    let [intersection, union] = overlap;
    json!({
        "asked": "x", "answer": "", "truths": [{"mask": mask(truth)}], "drawn": drawn,
        "detail": {"kind": kind, "is_held_out": null, "iou": 0.0,
            "overlap": {"intersection": intersection, "union": union}},
    })
}

#[test]
fn hand_made_searches_give_hand_computed_figures() {
    let nothing = || search(&[4], &[], [0, 0], "none");
    let made_up = || search(&[4], &[&[0, 2, 2]], [0, 2], "none");
    let partly = || search(&[0, 2, 2], &[&[1, 2, 1]], [1, 3], "short");
    let pictures = [json!([nothing(), made_up()]), json!([partly()])];
    let tools = EvalTools::default();
    let gres = of_samples(Task::Gres, DataKind::Scenes, &pictures, &tools);
    assert_eq!(gres.report.n, 3);
    close(&gres, "giou", (1.0 + 0.0 + 1.0 / 3.0) / 3.0);
    close(&gres, "ciou", 1.0 / (2.0 + 3.0));
    close(&gres, "n_acc", 0.5);
    close(&gres, "t_acc", 1.0);
    let res = of_samples(Task::Res, DataKind::Scenes, &pictures, &tools);
    assert_eq!(res.report.n, 1, "what is not there is left out");
    close(&res, "giou", 1.0 / 3.0);
    close(&res, "ciou", 1.0 / 3.0);
    close(&res, "giou_short", 1.0 / 3.0);
    close(&res, "giou_none", 0.5);
    assert_eq!(res.report.metrics["giou_several"].estimate, None);
    assert!(!res.report.metrics.contains_key("giou_unseen"));
}

#[test]
fn long_and_short_queries_have_figures_of_their_own() {
    let query = |drawn: &[u32], overlap: [u64; 2], is_sentence: Option<bool>| {
        let mut sample = search(&[0, 2, 2], &[drawn], overlap, "short");
        sample["detail"]["is_sentence"] = json!(is_sentence);
        sample
    };
    let tools = EvalTools::default();
    let pictures = [
        json!([query(&[0, 2, 2], [2, 2], Some(true))]),
        json!([query(&[0, 1, 3], [1, 2], Some(false))]),
        json!([query(&[2, 2], [0, 4], Some(false))]),
    ];
    let measured = of_samples(Task::ReasonSeg, DataKind::Pictures, &pictures, &tools);
    close(&measured, "giou", 0.5);
    close(&measured, "giou_long", 1.0);
    close(&measured, "ciou_long", 1.0);
    close(&measured, "giou_short", 0.25);
    close(&measured, "ciou_short", 1.0 / 6.0);
    let unknown = [json!([query(&[0, 2, 2], [2, 2], None)])];
    let unknown = of_samples(Task::ReasonSeg, DataKind::Pictures, &unknown, &tools);
    assert!(!unknown.report.metrics.contains_key("giou_long"));
}

#[test]
fn a_blank_mask_and_a_refusal_say_nothing_of_what_is_there() {
    let refused = |truth: &[u32], kind: &str| {
        let mut sample = search(truth, &[], [0, 0], kind);
        sample["refusal"] = json!("The text is too long.");
        sample
    };
    let tools = EvalTools::default();
    let of = |sample: Value| {
        let right = search(&[4], &[], [0, 0], "none");
        let found = search(&[0, 2, 2], &[&[0, 2, 2]], [2, 2], "short");
        let pictures = [json!([sample, right, found])];
        of_samples(Task::Gres, DataKind::Pictures, &pictures, &tools)
    };
    for nothing_there in [search(&[4], &[&[4]], [0, 0], "none"), refused(&[4], "none")] {
        let gres = of(nothing_there);
        close(&gres, "giou", 2.0 / 3.0);
        close(&gres, "n_acc", 0.5);
        close(&gres, "t_acc", 1.0);
    }
    let gres = of(refused(&[0, 2, 2], "short"));
    close(&gres, "giou", 2.0 / 3.0);
    close(&gres, "ciou", 2.0 / 4.0);
    close(&gres, "n_acc", 1.0);
    close(&gres, "t_acc", 0.5);
}
