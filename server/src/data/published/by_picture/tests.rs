//! The same groups, whether they were gathered in memory or by way of files.

use super::*;

fn element<'a>(name: &'a str, index: u64, json: &'a str) -> Element<'a> {
    Element {
        path: Path::new("file.json"),
        name,
        index: Some(index),
        byte: index.checked_sub(1),
        json: json.as_bytes(),
    }
}

fn add(by_picture: &mut ByPicture, part: Part, id: u64, element: &Element<'_>) {
    by_picture.add(part, Id(id.to_string()), element).unwrap();
}

/// Pictures 0 to 19, then two annotations of each but the first, and a text of picture 3.
fn filled(mut by_picture: ByPicture) -> ByPicture {
    for id in 0..20 {
        let picture = element("images", 19 - id, "{}");
        add(&mut by_picture, Part::Picture, id, &picture);
    }
    for index in 0..38 {
        let json = index.to_string();
        let annotation = element("annotations", index, &json);
        add(
            &mut by_picture,
            Part::Annotation,
            1 + index % 19,
            &annotation,
        );
    }
    let text = element("refs", 0, "\"a cup\"");
    add(&mut by_picture, Part::Text, 3, &text);
    by_picture
}

/// Every group as a line.
fn groups(by_picture: ByPicture) -> Vec<String> {
    let mut lines = Vec::new();
    let mut problems = Problems::new(0);
    let told = |entries: &[Entry]| -> Vec<String> {
        entries
            .iter()
            .map(|entry| {
                let json = String::from_utf8(entry.json.clone()).unwrap();
                format!("{}={json}", entry.element().position())
            })
            .collect()
    };
    by_picture
        .finish(&mut problems, &mut |group, _| {
            lines.push(format!(
                "{} {:?} {:?} {:?}",
                group.id,
                told(&[group.picture]),
                told(&group.annotations),
                told(&group.texts)
            ));
            Ok(())
        })
        .unwrap();
    lines
}

#[test]
fn small_files_keep_the_order_of_their_pictures() {
    let lines = groups(filled(ByPicture::new(1000).unwrap()));
    assert_eq!(lines.len(), 20);
    assert_eq!(
        lines[19],
        r#"0 ["file.json: images[19] at byte 18={}"] [] []"#
    );
    assert_eq!(
        lines[16],
        concat!(
            r#"3 ["file.json: images[16] at byte 15={}"] "#,
            r#"["file.json: annotations[2] at byte 1=2", "#,
            r#""file.json: annotations[21] at byte 20=21"] "#,
            r#"["file.json: refs[0]=\"a cup\""]"#
        )
    );
}

#[test]
fn large_files_give_the_same_groups() {
    let expected = groups(filled(ByPicture::new(1000).unwrap()));
    let spilled = filled(ByPicture::in_buckets(1000, 200).unwrap());
    let Store::Disk(buckets) = &spilled.store else {
        panic!("1000 bytes are more than one bucket of 200");
    };
    let folder = buckets.folder().to_owned();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5);
    let mut lines = groups(spilled);
    assert!(!folder.exists());
    assert_ne!(lines, expected, "it goes bucket by bucket");
    let mut sorted = expected;
    sorted.sort();
    lines.sort();
    assert_eq!(lines, sorted);
}

#[test]
fn what_is_larger_than_was_expected_gives_the_same_groups() {
    let mut expected = groups(filled(ByPicture::new(1000).unwrap()));
    expected.sort();
    // Two files of more than 1000 bytes, where at most 200 are gathered at once.
    let spilled = filled(ByPicture::in_buckets(120, 100).unwrap());
    let Store::Disk(buckets) = &spilled.store else {
        panic!("120 bytes are more than one bucket of 100");
    };
    let folder = buckets.folder().to_owned();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    let mut lines = groups(spilled);
    assert!(!folder.exists());
    lines.sort();
    assert_eq!(lines, expected);
}

#[test]
fn no_bucket_holds_everything() {
    let spilled = filled(ByPicture::in_buckets(1000, 200).unwrap());
    let Store::Disk(buckets) = spilled.store else {
        panic!("1000 bytes are more than one bucket of 200");
    };
    let (_folder, paths) = buckets.close().unwrap();
    for path in paths {
        let gathered = Gathered::read(&path, &spilled.sources).unwrap();
        assert!(gathered.groups.len() < 12, "{}", gathered.groups.len());
    }
}

#[test]
fn entries_of_an_object_keep_their_keys_and_share_a_source() {
    for bucket_bytes in [1000, 10] {
        let mut by_picture = ByPicture::in_buckets(100, bucket_bytes).unwrap();
        add(
            &mut by_picture,
            Part::Picture,
            7,
            &element("images", 0, "{}"),
        );
        for key in ["a", "b"] {
            let entry = Element {
                index: None,
                byte: Some(3),
                ..element(key, 0, "[]")
            };
            add(&mut by_picture, Part::Text, 7, &entry);
        }
        assert_eq!(by_picture.sources.len(), 2);
        assert_eq!(
            groups(by_picture),
            [concat!(
                r#"7 ["file.json: images[0]={}"] [] "#,
                r#"["file.json: \"a\" at byte 3=[]", "file.json: \"b\" at byte 3=[]"]"#
            )]
        );
    }
}

#[test]
fn ids_are_where_coco_has_them() {
    let mut by_picture = ByPicture::new(10).unwrap();
    let mut problems = Problems::default();
    let picture = r#"{"id": 7, "width": 3}"#;
    let annotation = r#"{"id": 9, "image_id": 7}"#;
    for (part, name, json) in [
        (Part::Picture, "images", picture),
        (Part::Annotation, "annotations", annotation),
        (Part::Annotation, "annotations", picture),
    ] {
        by_picture
            .add_coco(part, &element(name, 0, json), &mut problems)
            .unwrap();
    }
    assert_eq!(problems.broken(), 1);
    assert!(problems.kept()[0].message.contains("image_id"));
    assert_eq!(
        groups(by_picture),
        [format!(
            "7 {:?} {:?} []",
            [format!("file.json: images[0]={picture}")],
            [format!("file.json: annotations[0]={annotation}")]
        )]
    );
}

#[test]
fn what_has_no_picture_is_told() {
    let mut by_picture = ByPicture::new(10).unwrap();
    let text = element("refs", 3, "1");
    add(&mut by_picture, Part::Text, 9, &text);
    for index in [4, 5] {
        let annotation = element("annotations", index, "1");
        add(&mut by_picture, Part::Annotation, 9, &annotation);
    }
    for index in [0, 1] {
        let picture = element("images", index, "{}");
        add(&mut by_picture, Part::Picture, 7, &picture);
    }
    let mut problems = Problems::default();
    let mut count = 0;
    by_picture
        .finish(&mut problems, &mut |group, _| {
            assert_eq!(group.id.0, "7");
            count += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(count, 1);
    let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "file.json: annotations[4] at byte 3: its picture 9 is not in the list of pictures",
            "file.json: annotations[5] at byte 4: its picture 9 is not in the list of pictures",
            "file.json: refs[3] at byte 2: its picture 9 is not in the list of pictures",
            "file.json: images[1] at byte 0: another picture has the id 7 already",
        ]
    );
}
