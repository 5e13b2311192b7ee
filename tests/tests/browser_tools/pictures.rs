//! Photos as cameras and phones make them: the eight EXIF orientations, and HEIC.

use fclm_tests::easel::{Easel, saved_file};
use fclm_tests::view::View;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use serde_json::Value;

const WIDTH: u32 = 96;
const HEIGHT: u32 = 64;
/// Upper left, upper right, lower left and lower right as they are stored.
const QUARTERS: [[u8; 3]; 4] = [[220, 30, 30], [30, 200, 30], [30, 30, 220], [220, 200, 30]];
/// Which quarter of the file each upright quarter is, for the orientations 1 to 8.
const TURNED: [[usize; 4]; 8] = [
    [0, 1, 2, 3],
    [1, 0, 3, 2],
    [3, 2, 1, 0],
    [2, 3, 0, 1],
    [0, 2, 1, 3],
    [2, 0, 3, 1],
    [3, 1, 2, 0],
    [1, 3, 0, 2],
];

fn picture() -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let quarter = usize::from(x >= WIDTH / 2) + 2 * usize::from(y >= HEIGHT / 2);
        Rgb(QUARTERS[quarter])
    })
}

fn jpeg(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif).expect("JPEG holds EXIF");
    encoder
        .write_image(&picture(), WIDTH, HEIGHT, ExtendedColorType::Rgb8)
        .expect("JPEG encodes");
    bytes
}

/// Drops a file on the page and waits for the chat about it.
async fn drop_picture(easel: &Easel, name: &str, kind: &str, bytes: &[u8]) {
    drop_file(easel, name, kind, bytes).await;
    easel
        .tab
        .wait_until(
            &format!("{name} is not opened"),
            &format!(
                "document.querySelector('[data-testid=chat-title]')?.innerText === '{name}'
                 && document.querySelector('[data-testid=canvas]')?.dataset.ready === 'true'"
            ),
        )
        .await;
}

async fn drop_file(easel: &Easel, name: &str, kind: &str, bytes: &[u8]) {
    let bytes = Value::from(bytes);
    let is_taken: bool = easel
        .tab
        .evaluate(&format!(
            "(() => {{ const dataTransfer = new DataTransfer();
             dataTransfer.items.add(
                 new File([new Uint8Array({bytes})], '{name}', {{type: '{kind}'}}));
             const drop = new DragEvent('drop', {{dataTransfer, bubbles: true, cancelable: true}});
             return !document.body.dispatchEvent(drop); }})()"
        ))
        .await;
    assert!(is_taken, "the page leaves {name} to the browser");
}

/// The middles of the quarters of a picture of that size.
fn middles((width, height): (u32, u32)) -> [(u32, u32); 4] {
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| (width * x / 4, height * y / 4))
}

/// JPEG loses a little, and twice; the quarters are more than 100 apart.
fn assert_like(found: [[u8; 4]; 4], expected: [[u8; 3]; 4], what: &str) {
    let is_near = found.iter().zip(expected).all(|(found, expected)| {
        found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.abs_diff(expected) < 40)
    });
    assert!(is_near, "{what}: {found:?} instead of {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_orientations_are_upright_here_and_on_the_server() {
    let easel = Easel::at_home().await;
    let folder = tempfile::tempdir().expect("a folder");
    easel.tab.save_files_to(folder.path()).await;
    for (orientation, turned) in (1..).zip(TURNED) {
        let what = format!("orientation {orientation}");
        let bytes = jpeg(orientation);
        let expected = turned.map(|quarter| QUARTERS[quarter]);
        let size = match orientation {
            1..=4 => (WIDTH, HEIGHT),
            _ => (HEIGHT, WIDTH),
        };

        // As the browser decodes the file by itself.
        let bytes_json = Value::from(&bytes[..]);
        let places = serde_json::to_string(&middles(size)).expect("numbers become JSON");
        let (own_size, own): ((u32, u32), [[u8; 4]; 4]) = easel
            .tab
            .evaluate(&format!(
                "(async () => {{
                 const file = new Blob([new Uint8Array({bytes_json})], {{type: 'image/jpeg'}});
                 const bitmap = await createImageBitmap(file, {{imageOrientation: 'from-image'}});
                 const canvas = document.createElement('canvas');
                 [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
                 const context = canvas.getContext('2d');
                 context.drawImage(bitmap, 0, 0);
                 return [[bitmap.width, bitmap.height], {places}.map(([x, y]) =>
                     [...context.getImageData(x, y, 1, 1).data])]; }})()"
            ))
            .await;
        assert_eq!(own_size, size, "{what} in the browser");
        assert_like(own, expected, &format!("{what} in the browser"));

        // As the server has stored it and the page shows it.
        let name = format!("photo-{orientation}.jpg");
        drop_picture(&easel, &name, "image/jpeg", &bytes).await;
        assert_eq!(easel.size().await, size, "{what} on the server");
        let view = View::of(&easel.tab).await;
        easel.tab.settle().await;
        let mut shown = [[0; 4]; 4];
        for (color, place) in shown.iter_mut().zip(middles(size)) {
            *color = easel.tab.evaluate(&view.color_of(place)).await;
        }
        assert_like(shown, expected, &format!("{what} on the canvas"));
    }

    // What is saved counts in the pixels that are seen, which lie on their side in the file.
    assert!(
        easel.paste("M0 0h20v30h-20z").await,
        "the path is not taken"
    );
    easel.count(1).await;
    easel.edit().await;
    easel.menu("region-cutout").await;
    let png = saved_file(folder.path(), "-cutout.png").await;
    let cut = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_rgba8();
    assert_eq!(cut.dimensions(), (HEIGHT, WIDTH));
    let opaque = cut.pixels().filter(|pixel| pixel.0[3] == 255).count();
    assert_eq!(opaque, 20 * 30);
    let [red, green, blue, _] = cut.get_pixel(10, 15).0;
    let [corner, ..] = TURNED[7].map(|quarter| QUARTERS[quarter]);
    let is_near = [red, green, blue]
        .into_iter()
        .zip(corner)
        .all(|(found, expected)| found.abs_diff(expected) < 40);
    assert!(is_near, "{red} {green} {blue} instead of {corner:?}");
    easel.close().await;
}

/// The first bytes of a HEIC photo, which are all that this test has of one.
const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0meta";

#[tokio::test(flavor = "multi_thread")]
async fn heic_is_turned_into_jpeg_where_the_browser_reads_it() {
    let easel = Easel::at_home().await;
    drop_file(&easel, "photo.heic", "image/heic", HEIC).await;
    easel.wait_for_words("save the photo as JPEG").await;
    let chats: Vec<Value> = easel.served.get("/api/v1/chats").await;
    assert!(chats.is_empty(), "a chat was made of half a photo");
    easel.tab.reload().await;

    // A browser that reads HEIC decodes it where this one is given a JPEG, lying on its side.
    let inside = Value::from(&jpeg(6)[..]);
    let _: bool = easel
        .tab
        .evaluate(&format!(
            "(() => {{ const own = window.createImageBitmap;
             const inside = new Blob([new Uint8Array({inside})], {{type: 'image/jpeg'}});
             window.createImageBitmap = (file, options) => own.call(window, inside, options);
             return true; }})()"
        ))
        .await;
    drop_picture(&easel, "photo.heic", "image/heic", HEIC).await;
    let size = (HEIGHT, WIDTH);
    assert_eq!(easel.size().await, size);
    let view = View::of(&easel.tab).await;
    easel.tab.settle().await;
    let mut shown = [[0; 4]; 4];
    for (color, place) in shown.iter_mut().zip(middles(size)) {
        *color = easel.tab.evaluate(&view.color_of(place)).await;
    }
    let expected = TURNED[5].map(|quarter| QUARTERS[quarter]);
    assert_like(shown, expected, "HEIC");
    easel.close().await;
}
