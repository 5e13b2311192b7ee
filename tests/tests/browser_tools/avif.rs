//! A picture of four quarters as AVIF, in each of the eight orientations.

use super::pictures::{HEIGHT, WIDTH};

/// How AVIF and HEIF say the orientations 1 to 8: quarter turns anticlockwise, and after them which
/// sides are exchanged, top and bottom (0) or left and right (1); ISO/IEC 23008-12, `irot` and
/// `imir`.
const TRANSFORMS: [(Option<u8>, Option<u8>); 8] = [
    (None, None),
    (None, Some(1)),
    (Some(2), None),
    (None, Some(0)),
    (Some(1), Some(0)),
    (Some(3), None),
    (Some(1), Some(1)),
    (Some(1), None),
];
/// The picture of four quarters as AV1: the sequence header and the frame that Chromium's
/// `VideoEncoder` makes of it with `av01.0.00M.08` and 2 Mbit/s.
const AV1: &[u8] = &[
    0x0a, 0x0d, 0x00, 0x00, 0x00, 0x03, 0x2d, 0xff, 0xc0, 0x1a, 0x20, 0x21, 0xa0, 0x30, 0x80, 0x32,
    0x53, 0x10, 0x45, 0x00, 0x04, 0x10, 0x41, 0x08, 0x00, 0x10, 0xb4, 0x5a, 0xcc, 0xef, 0x54, 0x04,
    0xda, 0x6f, 0x96, 0xa1, 0xbb, 0xf3, 0x9f, 0x99, 0xe4, 0x8d, 0xb5, 0x49, 0x99, 0xde, 0x64, 0xea,
    0xc3, 0xcd, 0xa1, 0x69, 0x6a, 0x69, 0x16, 0xf6, 0x5d, 0xe5, 0xc1, 0xcb, 0xf2, 0x25, 0xf7, 0xfa,
    0x5d, 0x0c, 0x64, 0xb1, 0x3f, 0x0f, 0xec, 0x58, 0x25, 0xbc, 0x48, 0x1a, 0x8e, 0x7b, 0xd1, 0x7e,
    0x60, 0xb3, 0xed, 0xa1, 0x89, 0x26, 0x3f, 0x24, 0x66, 0xf3, 0xbe, 0x52, 0xae, 0xf3, 0xb4, 0x84,
    0xae, 0xa0, 0x6c, 0x50,
];

/// A box of an ISO media file.
fn boxed(name: &[u8; 4], contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = (contents.len() as u32 + 8).to_be_bytes();
    [&length[..], name, &contents[..]].concat()
}

/// The AVIF picture that lies as the orientation says.
pub(super) fn avif(orientation: u8) -> Vec<u8> {
    const NONE: &[u8] = &[0; 4];
    let (turned, mirrored) = TRANSFORMS[usize::from(orientation) - 1];
    let [width, height] = [WIDTH, HEIGHT].map(u32::to_be_bytes);
    let mut properties = vec![
        boxed(b"ispe", &[NONE, &width, &height]),
        boxed(b"pixi", &[NONE, &[3, 8, 8, 8]]),
        boxed(b"av1C", &[&[0x81, 0, 0x0c, 0]]),
    ];
    // Which of them are the picture's; the high bit is for those that readers must know.
    let mut used = vec![1, 2, 0x83];
    for (name, value) in [(b"irot", turned), (b"imir", mirrored)] {
        if let Some(value) = value {
            properties.push(boxed(name, &[&[value]]));
            used.push(0x80 | properties.len() as u8);
        }
    }
    let count = used.len() as u8;
    let length = (AV1.len() as u32).to_be_bytes();
    let item = boxed(b"infe", &[b"\x02\0\0\0\0\x01\0\0av01\0"]);
    let all = boxed(b"ipco", &[&properties.concat()]);
    let its = boxed(b"ipma", &[NONE, &[0, 0, 0, 1, 0, 1, count], &used]);
    // The item 1 is all that `idat` holds.
    let place = [1, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1];
    let meta = [
        boxed(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]),
        boxed(b"pitm", &[NONE, &[0, 1]]),
        boxed(b"iloc", &[&place, NONE, &length]),
        boxed(b"iinf", &[NONE, &[0, 1], &item]),
        boxed(b"iprp", &[&all, &its]),
        boxed(b"idat", &[AV1]),
    ];
    [
        boxed(b"ftyp", &[b"avif", NONE, b"avifmif1miaf"]),
        boxed(b"meta", &[NONE, &meta.concat()]),
    ]
    .concat()
}
