//! What all of LLVM's targets have in common.

/// What a device may advertise where LLVM compiles for it.
pub mod lowered_features {
    use cubecl_core::ir::DeviceProperties;

    use crate::NOT_BUILT_IN;

    /// A kind of GPU.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum GpuTarget {
        /// NVIDIA's.
        Nvptx,
    }

    /// Would take away what LLVM cannot compile for.
    ///
    /// # Panics
    /// Always: nothing can be compiled through LLVM.
    pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {
        unreachable!("{NOT_BUILT_IN}");
    }
}
