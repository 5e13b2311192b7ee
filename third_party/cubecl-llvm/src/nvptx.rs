//! What is particular to NVIDIA's GPUs.

/// The version of PTX that a driver loads.
pub mod ptx_version {
    use std::fmt;

    /// A version of PTX, of which there is none: PTX comes from NVRTC.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum PtxVersion {}

    impl PtxVersion {
        /// None for every driver.
        pub fn for_driver(_driver: i32) -> Option<Self> {
            None
        }
    }

    impl fmt::Display for PtxVersion {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}
