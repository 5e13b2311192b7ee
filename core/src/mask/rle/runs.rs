/// Collects run lengths; the first run is of zeros.
#[derive(Default)]
pub(super) struct Runs {
    ended: Vec<u32>,
    value: u8,
    length: usize,
}

impl Runs {
    /// So many pixels of a value, 0 or 1, follow.
    pub(super) fn add(&mut self, value: u8, length: usize) {
        if length == 0 {
            return;
        }
        if value != self.value {
            self.ended.push(self.length as u32);
            self.value = value;
            self.length = 0;
        }
        self.length += length;
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Vec<u32> {
        self.ended.push(self.length as u32);
        self.ended
    }
}
