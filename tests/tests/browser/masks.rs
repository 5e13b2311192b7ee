//! The model's masks, beside the scene's ground truth and on the picture.

use fclm_core::mask::Mask;
use fclm_core::wire::{Chat, MaskRle, MaskSource, Role};
use fclm_tests::browser::Tab;
use fclm_tests::samples::Object;
use fclm_tests::view::View;

const MAX_PIXELS: u64 = 100_000_000;
/// Differences of a colour's parts up to this are none: the browser may rasterise a frame in two
/// ways, and a mask changes a pixel by more, even one of nearly the mask's own colour.
const SAME_COLOR: u8 = 4;

pub(super) fn mask(rle: &MaskRle) -> Mask {
    Mask::from_wire(rle, MAX_PIXELS).expect("it is a mask")
}

/// The one region of a chat has the mask that the model made of the box around an object.
pub(super) fn assert_marks(chat: &Chat, object: &Object) {
    let [region] = &chat.regions[..] else {
        panic!("one box makes one region, not {}", chat.regions.len());
    };
    assert_eq!(region.source, MaskSource::Box, "the model makes the mask");
    let iou = mask(&region.mask).iou(&mask(&object.mask));
    assert!(iou >= 0.5, "IoU {iou:.2} for the box around {object:?}");
}

/// All that a chat's last answer has found.
pub(super) fn found(chat: &Chat) -> Mask {
    let answer = chat.messages.last().expect("the chat has messages");
    assert_eq!(answer.role, Role::Assistant);
    let masks = answer.found.iter().map(|found| mask(&found.mask));
    let all = masks.reduce(|mut all, more| {
        all.union_with(&more);
        all
    });
    all.expect("the answer has a mask")
}

/// A pixel well inside both masks and well off the chat's regions and their labels, so that
/// nothing but the found mask is drawn over the picture there.
pub(super) fn pixel_of(truth: &Mask, found: &Mask, chat: &Chat) -> (u32, u32) {
    const REACH: u32 = 3;
    let (width, height) = (truth.width(), truth.height());
    let mut taken = Mask::new(width, height);
    for region in &chat.regions {
        let region = mask(&region.mask);
        let [x0, y0, ..] = region.bounds().expect("regions have pixels");
        taken.union_with(&region);
        // The label stands above the upper left corner.
        let label = [x0 - 8.0, y0 - 40.0, x0 + 60.0, y0 + 8.0];
        taken.union_with(&Mask::rect(width, height, label));
    }
    let free = |x, y| truth.get(x, y) && found.get(x, y) && !taken.get(x, y);
    let is_well_inside = |x: u32, y: u32| {
        (x - REACH..=x + REACH).all(|x| (y - REACH..=y + REACH).all(|y| free(x, y)))
    };
    (REACH..height)
        .flat_map(|y| (REACH..width).map(move |x| (x, y)))
        .find(|&(x, y)| is_well_inside(x, y))
        .expect("the found mask covers a part of the object that nothing else covers")
}

pub(super) fn differ(a: [u8; 4], b: [u8; 4]) -> bool {
    a.into_iter()
        .zip(b)
        .any(|(a, b)| a.abs_diff(b) > SAME_COLOR)
}

/// The mask of the last answer is drawn over a pixel of the picture, and is not while H is held.
/// Returns the pixel's colour under the mask.
pub(super) async fn assert_drawn(tab: &Tab, pixel: (u32, u32)) -> [u8; 4] {
    let now = View::of(tab).await.color_of(pixel);
    tab.settle().await;
    let masked: [u8; 4] = tab.evaluate(&now).await;
    tab.hold('h').await;
    tab.settle().await;
    let bare: [u8; 4] = tab.evaluate(&now).await;
    assert!(
        differ(bare, masked),
        "{pixel:?} is {bare:?} with the mask and without"
    );
    tab.let_go('h').await;
    tab.settle().await;
    let again: [u8; 4] = tab.evaluate(&now).await;
    assert!(
        !differ(again, masked),
        "{pixel:?} was {masked:?} before H and is {again:?} after it"
    );
    masked
}
