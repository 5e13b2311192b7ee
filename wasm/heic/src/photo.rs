use fclm_core::wire::{HeicFailure, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};
use heifer::heifer_isobmff::{self, FourCC, HeifFile};
use heifer::{Error, Image, Options, heifer_hevc_dec};

const OPTIONS: Options = Options {
    max_threads: 1,
    max_pixels: MAX_IMAGE_PIXELS,
};

/// The main picture of a HEIC file in sRGB, cropped, turned and mirrored as the file says. Its
/// EXIF orientation counts for nothing, as ISO/IEC 23008-12 has it.
///
/// # Errors
/// Where the file is broken, too large, or holds what is not decoded.
pub(crate) fn decode(file: &[u8]) -> Result<Image<u8>, HeicFailure> {
    let size = declared_size(file).map_err(|error| failure(&error))?;
    if let Some((width, height)) = size
        && (width.max(height) > MAX_IMAGE_SIDE
            || u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS)
    {
        return Err(HeicFailure::TooLarge { width, height });
    }
    let photo = heifer::decode_srgb_rgba8(file, &OPTIONS).map_err(|error| failure(&error))?;
    match photo.data.is_empty() {
        // Cropped to nothing.
        true => Err(HeicFailure::Damaged),
        false => Ok(photo),
    }
}

/// The size that the file gives its main picture, before that is cropped and turned.
fn declared_size(file: &[u8]) -> Result<Option<(u32, u32)>, Error> {
    let file = HeifFile::parse(file)?;
    Ok(file.image_size(file.primary_id)?)
}

fn failure(error: &Error) -> HeicFailure {
    match error {
        Error::Unsupported(_)
        | Error::Container(heifer_isobmff::Error::Unimplemented(_))
        | Error::Hevc(heifer_hevc_dec::Error::Unimplemented(_)) => HeicFailure::Unsupported,
        // Sequences have none.
        Error::Container(heifer_isobmff::Error::MissingBox(FourCC([b'm', b'e', b't', b'a']))) => {
            HeicFailure::Unsupported
        }
        Error::Container(_) | Error::Hevc(_) | Error::Encode(_) | Error::Invalid(_) => {
            HeicFailure::Damaged
        }
    }
}

#[cfg(test)]
mod tests {
    use heifer::{EncodeOptions, Metadata};

    use super::*;

    const SIZE: (u32, u32) = (96, 64);
    /// Upper left, upper right, lower left and lower right as they are stored.
    const QUARTERS: [[u8; 3]; 4] = [[220, 30, 30], [30, 200, 30], [30, 30, 220], [220, 200, 30]];
    const ENCODING: EncodeOptions = EncodeOptions {
        quality: 95,
        max_threads: 1,
    };

    fn heic((width, height): (u32, u32)) -> Vec<u8> {
        let pixels = (0..width * height).flat_map(|index| {
            let (x, y) = (index % width, index / width);
            QUARTERS[usize::from(x >= width / 2) + 2 * usize::from(y >= height / 2)]
        });
        let pixels: Vec<u8> = pixels.collect();
        heifer::encode_rgb8(width, height, &pixels, &ENCODING).expect("it is encoded")
    }

    fn place(file: &[u8], bytes: &[u8]) -> usize {
        file.windows(bytes.len())
            .position(|window| window == bytes)
            .expect("the file has these bytes")
    }

    /// Makes the first property of a kind another one, whose content begins with a byte.
    fn with(mut file: Vec<u8>, old: &[u8; 4], new: &[u8; 4], content: u8) -> Vec<u8> {
        let at = place(&file, old);
        file[at..at + 4].copy_from_slice(new);
        file[at + 4] = content;
        file
    }

    fn middle(photo: &Image<u8>, column: u32, row: u32) -> [u8; 3] {
        let x = photo.width * (1 + 2 * column) / 4;
        let y = photo.height * (1 + 2 * row) / 4;
        let at = (y * photo.width + x) as usize * 4;
        [photo.data[at], photo.data[at + 1], photo.data[at + 2]]
    }

    /// Which quarter of the file each quarter of the photo is.
    fn quarters(photo: &Image<u8>) -> [Option<usize>; 4] {
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(column, row)| {
            let found = middle(photo, column, row);
            QUARTERS.iter().position(|quarter| {
                let mut channels = quarter.iter().zip(found);
                channels.all(|(expected, found)| expected.abs_diff(found) < 12)
            })
        })
    }

    fn turned(file: &[u8]) -> ((u32, u32), [usize; 4]) {
        let photo = decode(file).expect("it is decoded");
        let quarters = quarters(&photo).map(|quarter| quarter.expect("a colour of the file"));
        ((photo.width, photo.height), quarters)
    }

    #[test]
    fn photos_of_one_picture_and_of_tiles_keep_their_pixels() {
        assert_eq!(turned(&heic(SIZE)), (SIZE, [0, 1, 2, 3]));
        // More than the encoder's tiles of 512 pixels.
        let large = (1100, 530);
        assert_eq!(turned(&heic(large)), (large, [0, 1, 2, 3]));
        // Odd sizes are coded larger and cropped.
        assert_eq!(turned(&heic((95, 63))), ((95, 63), [0, 1, 2, 3]));
    }

    #[test]
    fn photos_are_turned_anticlockwise_and_then_mirrored() {
        let lying = (SIZE.1, SIZE.0);
        let rotated = |quarters| with(heic(SIZE), b"pixi", b"irot", quarters);
        assert_eq!(turned(&rotated(1)), (lying, [1, 3, 0, 2]));
        assert_eq!(turned(&rotated(2)), (SIZE, [3, 2, 1, 0]));
        assert_eq!(turned(&rotated(3)), (lying, [2, 0, 3, 1]));
        let mirrored = |axis| with(heic(SIZE), b"pixi", b"imir", axis);
        assert_eq!(turned(&mirrored(0)), (SIZE, [2, 3, 0, 1]));
        assert_eq!(turned(&mirrored(1)), (SIZE, [1, 0, 3, 2]));
        let both = with(rotated(1), b"colr", b"imir", 1);
        assert_eq!(turned(&both), (lying, [3, 1, 2, 0]));
    }

    #[test]
    fn an_exif_orientation_turns_nothing() {
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let metadata = Metadata {
            exif: Some(exif.to_vec()),
            ..Metadata::default()
        };
        let image = heifer::decode(&heic(SIZE)).expect("it is decoded");
        let mut file =
            heifer::encode_with_metadata(&image, &metadata, &ENCODING).expect("it is encoded");
        // The encoder says that its pixels are upright.
        let tag = &exif[..18];
        let at = place(&file, tag) + tag.len();
        file[at] = 6;
        let read = heifer::read_metadata(&file).expect("it has metadata");
        let fields = read.exif_fields().expect("it has EXIF");
        assert_eq!(fields.orientation(), Some(6));
        assert_eq!(turned(&file), (SIZE, [0, 1, 2, 3]));
    }

    #[test]
    fn colours_of_a_wider_space_become_those_of_srgb() {
        let mut file = heic(SIZE);
        let at = place(&file, b"colrnclx") + 8;
        // The primaries of Display P3.
        file[at..at + 2].copy_from_slice(&[0, 12]);
        let photo = decode(&file).expect("it is decoded");
        let [red, green, _] = middle(&photo, 0, 0);
        // By the matrices of both spaces 220, 30, 30 is 240, 0, 0.
        assert!(red > 232 && green < 10, "{red} {green}");
    }

    #[test]
    fn transparency_is_kept() {
        let pixels = [200u8, 40, 40, 0].repeat(32 * 16);
        let file = heifer::encode_rgba8(32, 16, &pixels, &ENCODING).expect("it is encoded");
        let photo = decode(&file).expect("it is decoded");
        assert!(photo.data.chunks_exact(4).all(|pixel| pixel[3] < 8));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_apart() {
        let file = heic(SIZE);
        let refused = |file: &[u8]| decode(file).map(|photo| (photo.width, photo.height));
        assert_eq!(refused(&file[..file.len() - 40]), Err(HeicFailure::Damaged));
        assert_eq!(refused(&file[..60]), Err(HeicFailure::Damaged));
        assert_eq!(refused(b"no such file"), Err(HeicFailure::Damaged));
        assert_eq!(refused(b""), Err(HeicFailure::Damaged));

        let sequence = b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc\0\0\0\x08moov";
        assert_eq!(refused(sequence), Err(HeicFailure::Unsupported));
        let mut other = file.clone();
        let at = place(&other, b"hvc1");
        other[at..at + 4].copy_from_slice(b"av01");
        assert_eq!(refused(&other), Err(HeicFailure::Unsupported));

        let mut huge = file;
        let at = place(&huge, b"ispe") + 8;
        huge[at..at + 4].copy_from_slice(&20_000u32.to_be_bytes());
        assert_eq!(
            refused(&huge),
            Err(HeicFailure::TooLarge {
                width: 20_000,
                height: SIZE.1,
            })
        );
    }
}
