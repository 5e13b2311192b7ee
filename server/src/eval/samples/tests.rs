//! Samples in folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Exchange, Header, PictureSamples, Sample, Samples, header::HEADER_OPENING};
use crate::eval::{EvalOut, error::EvalError, protocol::Task, source::DataKind};

fn header(seed: u64, pictures: usize) -> Header {
    let data = ("/scenes".to_owned(), DataKind::Scenes, pictures);
    Header::new(Task::Res, seed, "tiny".to_owned(), "00ff".to_owned(), data)
}

fn begin(dir: &Path, header: Header, resume: bool) -> Result<Samples, EvalError> {
    let dir = dir.to_owned();
    Samples::begin(&EvalOut { dir, resume }, header)
}

fn file_in(dir: &Path) -> PathBuf {
    dir.join("res.samples.jsonl")
}

/// The samples of the one file of a folder.
fn read(dir: &Path) -> Result<Samples, EvalError> {
    let mut all = Samples::read_all(dir)?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

fn line(picture: usize, detail: u8) -> String {
    let samples = PictureSamples {
        picture,
        id: format!("p{picture}"),
        image: "p.png".to_owned(),
        samples: vec![Sample {
            exchange: Exchange::default(),
            detail,
        }],
    };
    serde_json::to_string(&samples).unwrap()
}

fn push(samples: &mut Samples, picture: usize, detail: u8) {
    let id = format!("p{picture}");
    samples.push(picture, id, line(picture, detail)).unwrap();
}

fn details(samples: &Samples) -> Vec<u8> {
    let pictures = samples.parsed::<u8>().unwrap();
    pictures
        .iter()
        .flat_map(|picture| picture.samples.iter().map(|sample| sample.detail))
        .collect()
}

#[test]
fn pictures_come_in_order_whenever_they_were_finished() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let mut samples = begin(&dir, header(1, 3), false).unwrap();
    push(&mut samples, 2, 12);
    push(&mut samples, 0, 10);
    assert_eq!((details(&samples), samples.missing()), (vec![10, 12], 1));
    assert_eq!(samples.id_of(2), Some("p2"));
    assert_eq!(samples.id_of(1), None);
    let mut other = Samples::in_memory(header(1, 3));
    push(&mut other, 0, 10);
    assert_ne!(other.sha256(), samples.sha256());
    push(&mut other, 2, 12);
    assert_eq!(other.sha256(), samples.sha256());

    let read = read(&dir).unwrap();
    assert_eq!(
        (details(&read), read.header()),
        (vec![10, 12], &header(1, 3))
    );
    // A file that a kill left without its first line holds nothing.
    fs::write(dir.join("roc.samples.jsonl"), "{\"format\":2").unwrap();
    assert_eq!(Samples::read_all(&dir).unwrap().len(), 1);
}

#[test]
fn data_sets_of_one_task_are_kept_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (name, detail) in [("/sets/val", 1), ("/sets/testA", 2), ("/sets/val", 3)] {
        let data = (name.to_owned(), DataKind::Pictures, 2);
        let header = Header::new(Task::Res, 1, "tiny".to_owned(), "00ff".to_owned(), data);
        let mut samples = begin(dir, header, true).unwrap();
        let place = usize::from(detail == 3);
        push(&mut samples, place, detail);
    }
    let all = Samples::read_all(dir).unwrap();
    let mut found: Vec<(&str, Vec<u8>)> = all
        .iter()
        .map(|samples| (samples.header().data_set.as_str(), details(samples)))
        .collect();
    found.sort();
    assert_eq!(found, [("testA", vec![2]), ("val", vec![1, 3])]);
}

#[test]
fn broken_pictures_are_noted_until_samples_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut samples = begin(dir, header(1, 3), false).unwrap();
    push(&mut samples, 0, 10);
    let hash = samples.sha256();
    for _ in 0..2 {
        samples.skip(1, "a.jsonl:2: no picture".to_owned()).unwrap();
    }
    samples.skip(2, "a.jsonl:3: no mask".to_owned()).unwrap();
    assert_eq!(samples.sha256(), hash, "nothing was asked");
    drop(samples);
    let text = fs::read_to_string(file_in(dir)).unwrap();
    assert_eq!(
        text.lines().count(),
        4,
        "a header, samples, two that are broken"
    );

    let whole = read(dir).unwrap();
    assert_eq!((details(&whole), whole.missing()), (vec![10], 0));
    assert_eq!(
        whole.broken(),
        ["a.jsonl:2: no picture", "a.jsonl:3: no mask"]
    );
    let mut mended = begin(dir, header(1, 2), true).unwrap();
    assert_eq!(mended.broken().len(), 1, "the last one is not asked about");
    assert_eq!(mended.id_of(1), None);
    push(&mut mended, 1, 11);
    assert!(mended.broken().is_empty());
    drop(mended);
    let mended = read(dir).unwrap();
    assert_eq!(details(&mended), [10, 11]);
    assert_eq!(mended.broken(), ["a.jsonl:3: no mask"]);
}

#[test]
fn what_a_kill_cut_off_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut samples = begin(dir, header(1, 3), false).unwrap();
    push(&mut samples, 0, 10);
    push(&mut samples, 1, 11);
    drop(samples);
    let path = file_in(dir);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();

    let again = begin(dir, header(1, 3), false).unwrap_err();
    assert!(matches!(again, EvalError::AlreadyThere(_)), "{again}");
    let mut resumed = begin(dir, header(1, 3), true).unwrap();
    assert_eq!((details(&resumed), resumed.missing()), (vec![10], 2));
    push(&mut resumed, 1, 21);
    drop(resumed);
    // Fewer pictures leave the others where they are.
    let fewer = begin(dir, header(1, 1), true).unwrap();
    assert_eq!((details(&fewer), fewer.missing()), (vec![10], 0));
    drop(fewer);
    let mut fewer = begin(dir, header(1, 1), true).unwrap();
    assert!(fewer.take_all());
    assert_eq!((details(&fewer), fewer.missing()), (vec![10, 21], 0));
    assert!(!fewer.take_all());
    drop(fewer);
    let read = read(dir).unwrap();
    assert_eq!(details(&read), [10, 21]);
    let mut more = begin(dir, header(1, 3), true).unwrap();
    assert_eq!(details(&more), [10, 21]);
    // What has not been asked about yet is still missing.
    assert!(!more.take_all());
    assert_eq!(more.missing(), 1);
}

#[test]
fn samples_of_something_else_are_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let first = begin(dir, header(1, 3), true).unwrap();
    let second = begin(dir, header(1, 3), true).unwrap_err();
    assert!(matches!(second, EvalError::InUse(_)), "{second}");
    drop(first);
    let mut model = header(1, 3);
    model.model_sha256 = "11aa".to_owned();
    let mut kind = header(1, 3);
    kind.on = DataKind::Pictures;
    let mut data = header(1, 3);
    data.data = "/hard/scenes".to_owned();
    for (other, what) in [
        (header(2, 3), "another seed (1, not 2)"),
        (model, "another model (00ff, not 11aa)"),
        (kind, "another kind of data (rendered scenes, not pictures)"),
        (data, "another data set (/scenes, not /hard/scenes)"),
    ] {
        let refused = begin(dir, other, true).unwrap_err().to_string();
        assert!(refused.contains(what), "{refused}");
    }
}

#[test]
fn damaged_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(folder.path());
    let head = serde_json::to_string(&header(1, 3)).unwrap();
    assert!(head.starts_with(HEADER_OPENING));
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        read(folder.path())?.parsed::<u8>().map(|_| ())
    };
    let first = line(0, 1);
    assert!(read(&format!("{head}\n{first}\n")).is_ok());
    let error = read(&format!("{head}\n{first}\n{{\"picture\": 1}}\n")).unwrap_err();
    assert!(matches!(error, EvalError::Line { line: 3, .. }), "{error}");
    let error = read(&format!("{first}\n")).unwrap_err();
    assert!(error.to_string().contains("no header"), "{error}");
    let other = first.replace("\"detail\":1", "\"detail\":\"x\"");
    let error = read(&format!("{head}\n{other}\n")).unwrap_err();
    assert!(error.to_string().contains("picture p0"), "{error}");
}

#[test]
fn samples_of_another_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let head = serde_json::to_string(&header(1, 3)).unwrap();
    let before = head.replace("\"format\":2", "\"format\":1");
    assert_ne!(before, head);
    let before = format!("{before}\n{}\n", line(0, 1));
    // Nothing but the number is understood of what comes later.
    for (text, number) in [(before.as_str(), 1), ("{\"format\":3,\"of\":[]}\n", 3)] {
        fs::write(file_in(dir), text).unwrap();
        for refused in [read(dir), begin(dir, header(1, 3), true)] {
            let refused = refused.unwrap_err().to_string();
            let what = format!("(format {number}; this one reads 2)");
            assert!(refused.contains(&what), "{refused}");
            assert!(refused.contains("another --out"), "{refused}");
        }
        assert_eq!(fs::read_to_string(file_in(dir)).unwrap(), text);
    }
}
