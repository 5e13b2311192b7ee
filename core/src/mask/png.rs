//! Masks as PNG files, written without a library, so that the page stays small: deflate with fixed
//! codes, in which only runs of one byte are shortened. That is what masks consist of.

use super::Mask;

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
const GREY: u8 = 0;
const PALETTE: u8 = 3;
const LONGEST_MATCH: usize = 258;

/// One mask as an 8-bit grey PNG of 0 and 255.
pub fn grey(mask: &Mask) -> Vec<u8> {
    let pixels = mask.data().iter().map(|&value| value * 255);
    png(mask.width(), mask.height(), GREY, &[], pixels)
}

/// Masks with their colours as one PNG with a palette: index 0 is the background, black, and
/// index k the k-th mask; where masks overlap, the later one is seen. At most 255 are written.
///
/// # Panics
/// If a mask is not `width x height` pixels.
pub fn indexed(
    width: u32,
    height: u32,
    masks: impl IntoIterator<Item = (Mask, [u8; 3])>,
) -> Vec<u8> {
    let mut pixels = vec![0u8; width as usize * height as usize];
    let mut palette = vec![0u8; 3];
    for (index, (mask, color)) in (1u8..=255).zip(masks) {
        assert_eq!(
            (mask.width(), mask.height()),
            (width, height),
            "masks must be of one size"
        );
        palette.extend(color);
        for (pixel, &value) in pixels.iter_mut().zip(mask.data()) {
            if value != 0 {
                *pixel = index;
            }
        }
    }
    png(width, height, PALETTE, &palette, pixels.into_iter())
}

fn png(
    width: u32,
    height: u32,
    kind: u8,
    palette: &[u8],
    mut pixels: impl Iterator<Item = u8>,
) -> Vec<u8> {
    let mut rows = Vec::with_capacity((width as usize + 1) * height as usize);
    for _ in 0..height {
        // Each row begins with its filter: none.
        rows.push(0);
        rows.extend(pixels.by_ref().take(width as usize));
    }
    let mut header = Vec::with_capacity(13);
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, kind, 0, 0, 0]);
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, *b"IHDR", &header);
    if !palette.is_empty() {
        chunk(&mut file, *b"PLTE", palette);
    }
    chunk(&mut file, *b"IDAT", &zlib(&rows));
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(name);
    file.extend(data);
    let sum = crc(&file[start..]);
    file.extend(sum.to_be_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (entry, value) in table.iter_mut().zip(0u32..) {
        *entry = (0..8).fold(value, |value, _| {
            (value >> 1) ^ if value & 1 == 1 { 0xEDB8_8320 } else { 0 }
        });
    }
    let sum = bytes.iter().fold(u32::MAX, |sum, &byte| {
        table[((sum ^ u32::from(byte)) & 0xFF) as usize] ^ (sum >> 8)
    });
    !sum
}

fn adler(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1u32, 0u32);
    // So many steps stay below 2^32 between two reductions.
    for part in bytes.chunks(5552) {
        for &byte in part {
            low += u32::from(byte);
            high += low;
        }
        low %= 65_521;
        high %= 65_521;
    }
    (high << 16) | low
}

/// A zlib stream of one block with fixed codes (RFC 1950 and 1951).
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut bits = Bits {
        out: vec![0x78, 0x01],
        waiting: 0,
        count: 0,
    };
    // The last block, with fixed codes.
    bits.put(0b011, 3);
    for run in bytes.chunk_by(|a, b| a == b) {
        bits.symbol(u32::from(run[0]));
        let mut left = run.len() - 1;
        while left >= 3 {
            let length = left.min(LONGEST_MATCH);
            bits.length(length as u32);
            // Distance 1 is code 0, of five bits.
            bits.put(0, 5);
            left -= length;
        }
        for _ in 0..left {
            bits.symbol(u32::from(run[0]));
        }
    }
    bits.symbol(256);
    let mut out = bits.finish();
    out.extend(adler(bytes).to_be_bytes());
    out
}

struct Bits {
    out: Vec<u8>,
    waiting: u32,
    count: u32,
}

impl Bits {
    /// Adds bits, the lowest first.
    fn put(&mut self, value: u32, count: u32) {
        self.waiting |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.waiting as u8);
            self.waiting >>= 8;
            self.count -= 8;
        }
    }

    /// Adds a symbol of the fixed code of literals and lengths, the highest bit first.
    fn symbol(&mut self, symbol: u32) {
        let (code, count) = match symbol {
            0..=143 => (0x30 + symbol, 8),
            144..=255 => (0x190 + symbol - 144, 9),
            256..=279 => (symbol - 256, 7),
            _ => (0xC0 + symbol - 280, 8),
        };
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    /// Adds the length of a match, 3 to 258.
    fn length(&mut self, length: u32) {
        let over = length - 3;
        match length {
            258 => self.symbol(285),
            3..=10 => self.symbol(257 + over),
            _ => {
                // Four codes for each number of extra bits, from the second group on.
                let extra = over.ilog2() - 2;
                self.symbol(257 + 4 * extra + (over >> extra));
                self.put(over & ((1 << extra) - 1), extra);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.out.push(self.waiting as u8);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standards() {
        assert_eq!(crc(b"IEND"), 0xAE42_6082);
        assert_eq!(adler(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn a_file_has_its_parts() {
        let file = grey(&Mask::new(1, 1));
        assert_eq!(file[..8], SIGNATURE);
        assert_eq!(file[12..16], *b"IHDR");
        assert_eq!(file[16..29], [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
        assert_eq!(file[file.len() - 8..file.len() - 4], *b"IEND");
    }

    #[cfg(feature = "model")]
    mod decoded {
        use proptest::prelude::*;

        use super::super::*;

        fn read(file: &[u8]) -> image::DynamicImage {
            image::load_from_memory_with_format(file, image::ImageFormat::Png).unwrap()
        }

        #[test]
        fn every_length_of_a_run_is_read_again() {
            for length in 1..600u32 {
                let mask = Mask::from_fn(length + 2, 1, |x, _| x > 0 && x <= length);
                let grey = read(&grey(&mask)).into_luma8().into_raw();
                assert_eq!(Mask::from_data(length + 2, 1, grey), mask, "{length}");
            }
        }

        #[test]
        fn masks_keep_their_colours() {
            let left = Mask::from_fn(4, 2, |x, _| x < 1);
            let right = Mask::from_fn(4, 2, |x, _| x > 2);
            let file = indexed(4, 2, [(left, [255, 0, 9]), (right, [1, 2, 3])]);
            let pixels = read(&file).into_rgb8();
            let row: Vec<[u8; 3]> = (0..4).map(|x| pixels.get_pixel(x, 1).0).collect();
            assert_eq!(row, [[255, 0, 9], [0, 0, 0], [0, 0, 0], [1, 2, 3]]);
        }

        proptest! {
            #[test]
            fn masks_come_back(
                width in 1u32..90, height in 1u32..40, seed in any::<u64>(), run in 1u32..50,
            ) {
                let mask = Mask::from_fn(width, height, |x, y| {
                    (seed.rotate_left(x / run + y * 13) & 1) == 1
                });
                let grey = read(&grey(&mask)).into_luma8().into_raw();
                prop_assert!(grey.iter().all(|&value| value == 0 || value == 255));
                prop_assert_eq!(Mask::from_data(width, height, grey), mask);
            }
        }
    }
}
