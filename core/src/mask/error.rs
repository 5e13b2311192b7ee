use thiserror::Error;

/// Why a mask could not be read or combined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MaskError {
    /// A side is zero.
    #[error("a mask of {width} x {height} pixels has no pixels")]
    NoPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The mask is over the caller's limit, or over what run lengths can count.
    #[error("a mask of {width} x {height} pixels is over the limit of {max_pixels} pixels")]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in pixels.
        max_pixels: u64,
    },
    /// The compressed string holds a character that is none of the 64 it may use.
    #[error("the RLE string has the byte {byte} at position {position}, which is no RLE character")]
    BadCharacter {
        /// The byte found.
        byte: u8,
        /// Where it is, in bytes.
        position: usize,
    },
    /// The compressed string ends in the middle of a number.
    #[error("the RLE string ends in the middle of a run length")]
    Truncated,
    /// A run length is negative or too long to count.
    #[error("run {index} of the RLE is out of range")]
    RunOutOfRange {
        /// Which run, from 0.
        index: usize,
    },
    /// The runs cover more or fewer pixels than the mask has.
    #[error("the RLE's runs cover {covered} pixels, but {width} x {height} makes {pixels}")]
    WrongSum {
        /// Pixels that the runs cover, as far as they were counted.
        covered: u64,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pixels that they must cover.
        pixels: u64,
    },
    /// Two masks that should be of one size are not.
    #[error("masks of {}x{} and {}x{} pixels cannot be combined", left[0], left[1], right[0], right[1])]
    SizesDiffer {
        /// Width and height of the first.
        left: [u32; 2],
        /// Width and height of the second.
        right: [u32; 2],
    },
    /// There is nothing to combine.
    #[error("no mask was given")]
    NoMasks,
    /// A polygon has no points, an odd number of coordinates, or one that is not a number.
    #[error("polygon {index} is no list of x, y pairs")]
    BadPolygon {
        /// Which polygon, from 0.
        index: usize,
    },
    /// A polygon lies so far outside or is so long that drawing it would not end.
    #[error("polygon {index} is too large to draw")]
    PolygonTooLarge {
        /// Which polygon, from 0.
        index: usize,
    },
    /// A text is no path data of SVG.
    #[error("position {position} of the path is no command or number that may stand there")]
    BadPath {
        /// Where the reader stopped, in bytes.
        position: usize,
    },
}
