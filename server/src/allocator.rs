use libmimalloc_sys::{mi_option_set, mi_option_t};

/// Training and serving make and drop large tensors all the time, which this allocator keeps at
/// hand where the system's gives them back and clears them anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the bindings leave out.
const PURGE_DELAY: mi_option_t = 15;
/// How long freed memory waits before it goes back to the system.
const PURGE_DELAY_MS: std::ffi::c_long = 10_000;

/// Lets freed memory wait longer than mimalloc's own second: a training step is longer than that,
/// and the pages that come back between two steps cost a fifth of its time.
#[expect(unsafe_code, reason = "mimalloc's options have no safe interface")]
pub(crate) fn keep_memory_at_hand() {
    // SAFETY: the function only stores a number, under an index that mimalloc itself checks.
    unsafe { mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "mimalloc's options have no safe interface")]
    fn the_option_is_the_one_that_mimalloc_documents() {
        // SAFETY: the function only reads a number, under an index that mimalloc itself checks.
        let default = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(default, 1000, "mimalloc's own delay in milliseconds");
    }
}
