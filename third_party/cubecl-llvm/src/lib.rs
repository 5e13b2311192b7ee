//! Stands in for `cubecl-llvm`, CubeCL's compiler by way of LLVM.
//!
//! `cubecl-cuda` has two compilers: one writes CUDA C++ for NVRTC, the other goes through LLVM to
//! PTX. Both are always linked, and the LLVM one's build script downloads a bundle of LLVM of a
//! gigabyte. FCLM's kernels are CUDA C++ (the feature `cpp` of `cubecl-cuda`), so the other one is
//! never called. This crate has its name, its version and exactly the items that
//! `cubecl-cuda 0.11.3` names; the workspace puts it in the place of the published crate by
//! `[patch.crates-io]`.
//!
//! What would compile returns an error, and what cannot return one panics: `cubecl-cuda` comes here
//! only where its feature `cpp` is off, against which a test of `fclm-server` guards. CubeCL's CPU
//! and AMD runtimes need the published crate and do not build with this one.

pub mod nvptx;
pub mod shared;

use std::convert::Infallible;
use std::ffi::c_char;
use std::fmt;

use cubecl_core::environment::backtrace::BackTrace;
use cubecl_core::ir::{attributes::BufferIOAttr, nvidia::SmArch};
use cubecl_core::prelude::KernelDefinition;
use cubecl_core::{CompilationError, Compiler};

use crate::nvptx::ptx_version::PtxVersion;

/// Why there is no result.
pub(crate) const NOT_BUILT_IN: &str = "the LLVM compiler is not built in: kernels are compiled as \
     CUDA C++, for which the feature `cpp` of cubecl-cuda has to be on";

/// What code is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA's PTX.
    #[default]
    Nvptx,
}

/// The compiler, which compiles nothing.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What code is made for.
    pub target: LlvmTarget,
}

/// What a kernel is compiled for.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// AMD's architecture, of which there is none here.
    pub arch: Option<Infallible>,
    /// NVIDIA's architecture.
    pub sm_arch: Option<SmArch>,
    /// The PTX version to write.
    pub ptx_version: Option<PtxVersion>,
    /// Whether a launch passes its scalars in the kernel's parameters.
    pub grid_constants: bool,
}

/// A kernel as PTX.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// PTX, closed by a zero.
    pub ptx: Vec<c_char>,
    /// The text for logs.
    pub ir: String,
    /// Bytes of shared memory for one launch.
    pub shared_memory_size: usize,
    /// What the kernel does with each buffer.
    pub io: Vec<BufferIOAttr>,
}

/// A compiled kernel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlironArtifact {
    /// For [`LlvmTarget::Nvptx`].
    NvptxCode(NvptxModule),
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NvptxCode(module) => f.write_str(&module.ir),
        }
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: NOT_BUILT_IN.to_owned(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
