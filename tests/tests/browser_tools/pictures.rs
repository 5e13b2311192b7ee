//! Photos as cameras and phones make them: the eight orientations, in EXIF and in AVIF, and HEIC.

use fclm_tests::easel::{Easel, saved_file};
use fclm_tests::view::View;
use heifer::EncodeOptions;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use serde_json::Value;

use super::avif::avif;

pub(super) const WIDTH: u32 = 96;
pub(super) const HEIGHT: u32 = 64;
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

/// A mask of the file's upper left quarter.
fn first_quarter() -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let is_inside = x < WIDTH / 2 && y < HEIGHT / 2;
        Rgb([255 * u8::from(is_inside); 3])
    })
}

/// Width and height of what lies upright.
fn upright(orientation: u8) -> (u32, u32) {
    match orientation {
        1..=4 => (WIDTH, HEIGHT),
        _ => (HEIGHT, WIDTH),
    }
}

fn jpeg(orientation: u8) -> Vec<u8> {
    jpeg_of(&picture(), orientation)
}

fn jpeg_of(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif).expect("JPEG holds EXIF");
    encoder
        .write_image(picture, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
        .expect("JPEG encodes");
    bytes
}

const HEIC_ENCODING: EncodeOptions = EncodeOptions {
    quality: 95,
    max_threads: 1,
};

fn heic() -> Vec<u8> {
    heifer::encode_rgb8(WIDTH, HEIGHT, picture().as_raw(), &HEIC_ENCODING).expect("HEIC encodes")
}

/// A HEIC photo that is rotated by 90 degrees anticlockwise and then mirrored left to right:
/// two properties that nobody needs are made those that say so.
fn turned_heic() -> Vec<u8> {
    let mut file = heic();
    for (old, new) in [(b"pixi", b"irot"), (b"colr", b"imir")] {
        let at = place(&file, old);
        file[at..at + 4].copy_from_slice(new);
        file[at + 4] = 1;
    }
    file
}

/// A HEIC photo whose lower right quarter is transparent.
fn cut_heic() -> Vec<u8> {
    let mut pixels = DynamicImage::ImageRgb8(picture()).into_rgba8();
    for (x, y, pixel) in pixels.enumerate_pixels_mut() {
        if x >= WIDTH / 2 && y >= HEIGHT / 2 {
            pixel.0[3] = 0;
        }
    }
    heifer::encode_rgba8(WIDTH, HEIGHT, pixels.as_raw(), &HEIC_ENCODING).expect("HEIC encodes")
}

fn place(file: &[u8], bytes: &[u8]) -> usize {
    file.windows(bytes.len())
        .position(|window| window == bytes)
        .expect("the file has these bytes")
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

/// The colours of the quarters as the server has stored them and the page shows them.
async fn shown(easel: &Easel, size: (u32, u32)) -> [[u8; 4]; 4] {
    let view = View::of(&easel.tab).await;
    easel.tab.settle().await;
    let mut shown = [[0; 4]; 4];
    for (color, place) in shown.iter_mut().zip(middles(size)) {
        *color = easel.tab.evaluate(&view.color_of(place)).await;
    }
    shown
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
        let size = upright(orientation);

        // As the server has stored it and the page shows it.
        let name = format!("photo-{orientation}.jpg");
        drop_picture(&easel, &name, "image/jpeg", &bytes).await;
        assert_eq!(easel.size().await, size, "{what} on the server");
        let shown = shown(&easel, size).await;
        assert_like(shown, expected, &format!("{what} on the canvas"));

        // As the page decodes a file by itself: a mask that lies in it as the picture did.
        let file = folder.path().join(format!("mask-{orientation}.jpg"));
        let mask = jpeg_of(&first_quarter(), orientation);
        std::fs::write(&file, mask).expect("the mask is written");
        easel.files().await;
        easel
            .tab
            .choose_file("[data-testid=import-input]", &file)
            .await;
        easel.count(1).await;
        let quarter = turned.iter().position(|&quarter| quarter == 0);
        let quarter = quarter.expect("each orientation shows all quarters") as i64;
        let (width, height) = (i64::from(size.0) / 2, i64::from(size.1) / 2);
        let (left, top) = (quarter % 2 * width, quarter / 2 * height);
        let bounds = easel.bounds(0).await;
        assert_eq!(bounds, [left, top, left + width, top + height], "{what}");
    }

    // What is saved counts in the pixels that are seen, which lie on their side in the file.
    assert!(
        easel.paste("M0 0h20v30h-20z").await,
        "the path is not taken"
    );
    easel.count(2).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn all_orientations_are_upright_where_the_page_makes_a_jpeg_of_the_file() {
    let easel = Easel::at_home().await;
    for (orientation, turned) in (1..).zip(TURNED) {
        let name = format!("photo-{orientation}.avif");
        drop_picture(&easel, &name, "image/avif", &avif(orientation)).await;
        let size = upright(orientation);
        assert_eq!(easel.size().await, size, "{name}");
        let expected = turned.map(|quarter| QUARTERS[quarter]);
        assert_like(shown(&easel, size).await, expected, &name);
    }
    easel.close().await;
}

/// A picture that no encoder makes much smaller than its 300 kB.
fn noise() -> RgbImage {
    RgbImage::from_fn(360, 280, |x, y| {
        let mixed = (x ^ (y << 16)).wrapping_mul(0x9E37_79B1);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85EB_CA6B);
        let [red, green, blue, _] = (mixed ^ (mixed >> 13)).to_le_bytes();
        Rgb([red, green, blue])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_an_upload_that_has_gone_out_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("noise.png");
    noise().save(&file).expect("the picture is written");
    let easel = Easel::at_home().await;
    // What is said and shown of the upload while it is seen.
    let _: bool = easel
        .tab
        .evaluate(
            "(() => { window.steps = [];
             const box = document.querySelector('[data-testid=upload-progress]');
             const bar = box.querySelector('progress');
             const look = () => {
                 const {width, height} = bar.getBoundingClientRect();
                 if (width > 0 && height > 0) steps.push([box.textContent.trim(), bar.value]); };
             new MutationObserver(look).observe(
                 box, {subtree: true, childList: true, characterData: true, attributes: true});
             return true; })()",
        )
        .await;
    easel.tab.send_slowly(200_000.0).await;
    easel
        .tab
        .choose_file("[data-testid=upload-input]", &file)
        .await;
    View::of(&easel.tab).await;
    let steps: Vec<(String, f64)> = easel.tab.evaluate("steps").await;
    let shares: Vec<f64> = steps
        .iter()
        .filter(|(said, share)| said == "Uploading noise.png" && *share > 0.0 && *share < 1.0)
        .map(|(_, share)| *share)
        .collect();
    assert!(shares.len() > 2 && shares.is_sorted(), "{steps:?}");
    easel
        .tab
        .wait_until(
            "the upload is still shown",
            "document.querySelector('[data-testid=upload-progress]')
                 .getBoundingClientRect().width === 0",
        )
        .await;
    easel.close().await;
}

/// The first bytes of a HEIC photo, of which nothing can be decoded.
const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0meta";

#[tokio::test(flavor = "multi_thread")]
async fn heic_is_decoded_where_the_browser_does_not_read_it() {
    let easel = Easel::at_home().await;
    // What the page says of the upload, and which workers it starts and ends.
    let _: bool = easel
        .tab
        .evaluate(
            "(() => { window.said = []; window.workers = [];
             const box = document.querySelector('[data-testid=upload-progress]');
             const listen = () => {
                 const isWaiting = box.querySelector('progress').matches(':indeterminate');
                 said.push(`${box.textContent.trim()} ${isWaiting}`); };
             new MutationObserver(listen).observe(
                 box, {subtree: true, childList: true, characterData: true, attributes: true});
             const Own = Worker;
             window.Worker = class extends Own {
                 constructor(url, options) {
                     super(url, options); this.script = url; workers.push(['start', url]); }
                 terminate() { super.terminate(); workers.push(['end', this.script]); } };
             return true; })()",
        )
        .await;
    drop_picture(&easel, "photo.jpg", "image/jpeg", &jpeg(1)).await;
    assert_eq!(decoders(&easel).await, [] as [&str; 0]);

    drop_picture(&easel, "photo.heic", "image/heic", &turned_heic()).await;
    let size = (HEIGHT, WIDTH);
    assert_eq!(easel.size().await, size);
    let expected = TURNED[6].map(|quarter| QUARTERS[quarter]);
    assert_like(shown(&easel, size).await, expected, "HEIC");
    assert_eq!(decoders(&easel).await, ["start", "end"]);
    let said: Vec<String> = easel.tab.evaluate("said").await;
    assert!(
        said.iter().any(|text| text == "Reading photo.heic true"),
        "{said:?}"
    );

    // What is transparent lies over white, as it does for pictures that the server reads itself.
    drop_picture(&easel, "cut.heic", "image/heic", &cut_heic()).await;
    let size = (WIDTH, HEIGHT);
    assert_eq!(easel.size().await, size);
    let mut expected = QUARTERS;
    expected[3] = [255; 3];
    assert_like(shown(&easel, size).await, expected, "HEIC with alpha");
    assert_eq!(decoders(&easel).await, ["start", "end", "start", "end"]);
    easel.close().await;
}

/// What became of the workers that decode HEIC photos.
async fn decoders(easel: &Easel) -> Vec<String> {
    easel
        .tab
        .evaluate(
            "(() => { const {heic} = JSON.parse(document.getElementById('fclm-boot').textContent);
             return workers.filter(([, url]) => url === heic).map(([what]) => what); })()",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_heic_photo_from_being_opened_is_said() {
    let easel = Easel::at_home().await;
    drop_file(&easel, "start.heic", "image/heic", HEIC).await;
    easel.wait_for_words("is damaged").await;

    let mut other = heic();
    let at = place(&other, b"hvc1");
    other[at..at + 4].copy_from_slice(b"jpeg");
    drop_file(&easel, "other.heic", "image/heic", &other).await;
    easel.wait_for_words("This kind of HEIC photo").await;

    let mut huge = heic();
    let at = place(&huge, b"ispe") + 8;
    huge[at..at + 4].copy_from_slice(&20_000u32.to_be_bytes());
    drop_file(&easel, "huge.heic", "image/heic", &huge).await;
    easel
        .wait_for_words("The photo has 20000 x 64 pixels")
        .await;

    let chats: Vec<Value> = easel.served.get("/api/v1/chats").await;
    assert!(chats.is_empty(), "a chat was made of no photo");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_that_breaks_down_is_reported() {
    let easel = Easel::at_home().await;
    // The worker is handed a number where it expects a file, and reserves that many bytes.
    let _: bool = easel
        .tab
        .evaluate(
            "(() => { const own = Worker.prototype.postMessage;
             Worker.prototype.postMessage = function () { own.call(this, 2 ** 60); };
             return true; })()",
        )
        .await;
    drop_file(&easel, "photo.heic", "image/heic", &heic()).await;
    easel
        .wait_for_words("could not decode the HEIC photo")
        .await;
    let chats: Vec<Value> = easel.served.get("/api/v1/chats").await;
    assert!(chats.is_empty(), "a chat was made of no photo");
    easel.tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heic_is_turned_into_jpeg_where_the_browser_reads_it() {
    let easel = Easel::at_home().await;
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
    let expected = TURNED[5].map(|quarter| QUARTERS[quarter]);
    assert_like(shown(&easel, size).await, expected, "HEIC");
    easel.close().await;
}
