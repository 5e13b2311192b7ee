//! What the model runs on: the CPU, or an NVIDIA GPU in a build with the feature `cuda`.
//!
//! A GPU needs more than itself: NVIDIA's driver, CUDA's run-time compiler and CUDA's headers are
//! looked for when the first kernel is compiled, far from whoever could say what is missing. So
//! [`DeviceChoice::open`] looks for all of them first.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// What to run on, as `--device` names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first NVIDIA GPU where this build can use one and the driver shows one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number, counted from 0.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error("there is no device {0:?}; write auto, cpu, or cuda:0 for the first NVIDIA GPU")]
    Unknown(String),
    /// This build has no code for it.
    #[error(
        "this build cannot use {0}: it was made without the feature `cuda`; \
         `cargo build --release --workspace --features fclm-server/cuda` makes one that can"
    )]
    NotBuilt(DeviceChoice),
    /// It is not there, or something that it needs is not.
    #[error("{device} cannot be used: {reason}; --device cpu does without it")]
    Unusable {
        /// What was asked for.
        device: DeviceChoice,
        /// What is missing, and what helps.
        reason: String,
    },
    /// GPUs cannot add up what they have computed.
    #[error(
        "several GPUs need NVIDIA's NCCL (libnccl.so), which is not found; install it, and let \
         LD_LIBRARY_PATH name its folder, or name one GPU only"
    )]
    NoNccl,
}

impl DeviceChoice {
    /// The device, once everything that it needs has been found.
    ///
    /// # Errors
    /// Where this build cannot use it, or something is missing. [`DeviceChoice::Auto`] falls back
    /// to the CPU only where there is no GPU: a GPU that could be used, were it not for a missing
    /// header, is an error rather than a slow answer.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cuda(index) => cuda::open(index),
            Self::Auto if cuda::is_there() => cuda::open(0),
            Self::Auto | Self::Cpu => Ok(Device::flex()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown(text.to_owned())),
        }
    }
}

/// Whether a device is the CPU, which has finished an operation when it returns.
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Whether several NVIDIA GPUs can work together.
///
/// # Errors
/// Where the library by which they do is not found.
pub fn check_nccl() -> Result<(), DeviceError> {
    match cuda::has_nccl() {
        true => Ok(()),
        false => Err(DeviceError::NoNccl),
    }
}

/// How a device is named to people. Starts a GPU.
pub fn name_of(device: &Device) -> String {
    cuda::name_of(device).unwrap_or_else(|| "CPU (flex)".to_owned())
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use burn::tensor::Device;

    use super::{DeviceChoice, DeviceError};

    pub(super) fn is_there() -> bool {
        false
    }

    pub(super) fn open(index: usize) -> Result<Device, DeviceError> {
        Err(DeviceError::NotBuilt(DeviceChoice::Cuda(index)))
    }

    pub(super) fn name_of(_device: &Device) -> Option<String> {
        None
    }

    pub(super) fn has_nccl() -> bool {
        false
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use burn::tensor::Device;
    use cubecl_cuda::install::cuda_path;
    use cudarc::driver::CudaContext;
    use cudarc::nvrtc::{CompileError, compile_ptx};

    use super::{DeviceChoice, DeviceError};

    /// A header that many kernels include.
    const HEADER: &str = "cuda_fp16.h";
    /// A kernel that does nothing.
    const KERNEL: &str = "extern \"C\" __global__ void nothing() {}";

    /// Whether the driver shows a GPU.
    pub(super) fn is_there() -> bool {
        gpus().is_ok_and(|count| count > 0)
    }

    pub(super) fn open(index: usize) -> Result<Device, DeviceError> {
        let unusable = |reason: String| DeviceError::Unusable {
            device: DeviceChoice::Cuda(index),
            reason,
        };
        let count = gpus().map_err(unusable)?;
        if index >= count {
            return Err(unusable(format!(
                "the driver shows {count} GPUs, which are numbered from 0"
            )));
        }
        check_headers().map_err(unusable)?;
        check_compiler().map_err(unusable)?;
        Ok(Device::cuda(index))
    }

    pub(super) fn name_of(device: &Device) -> Option<String> {
        let identity = device.identity()?;
        Some(format!("{} (CUDA)", identity.name))
    }

    /// How many GPUs the driver shows.
    fn gpus() -> Result<usize, String> {
        if !has_driver() {
            return Err("NVIDIA's driver (libcuda.so) is not installed".to_owned());
        }
        match CudaContext::device_count() {
            Ok(count) => Ok(usize::try_from(count).unwrap_or_default()),
            Err(error) => Err(match error.error_string() {
                Ok(text) => format!("NVIDIA's driver says: {}", text.to_string_lossy()),
                Err(_) => format!("NVIDIA's driver says: {error}"),
            }),
        }
    }

    /// Whether the headers are where kernels are compiled against them.
    fn check_headers() -> Result<(), String> {
        match cuda_path().map(|cuda| cuda.join("include")) {
            Some(include) if include.join(HEADER).is_file() => Ok(()),
            Some(include) => Err(format!(
                "CUDA's headers are not in {}; let CUDA_PATH name the folder of the CUDA toolkit",
                include.display()
            )),
            None => Err(
                "CUDA's headers are not found; install the CUDA toolkit, or let CUDA_PATH name \
                 its folder"
                    .to_owned(),
            ),
        }
    }

    /// Whether the run-time compiler works and writes what the driver can read.
    fn check_compiler() -> Result<(), String> {
        if !has_compiler() {
            return Err(
                "CUDA's run-time compiler (libnvrtc.so) is not found; install the CUDA toolkit, \
                 and let LD_LIBRARY_PATH name its folder lib64"
                    .to_owned(),
            );
        }
        if let Some((driver, compiler)) = versions()
            && driver < compiler
        {
            let dotted = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
            return Err(format!(
                "NVIDIA's driver is for CUDA up to {} and the run-time compiler is of CUDA {}; \
                 install a newer driver or an older toolkit",
                dotted(driver),
                dotted(compiler)
            ));
        }
        match compile_ptx(KERNEL) {
            Ok(_) => Ok(()),
            Err(CompileError::CompileError { nvrtc, log, .. }) => Err(format!(
                "CUDA's run-time compiler fails ({nvrtc}): {}",
                log.to_string_lossy().trim()
            )),
            Err(error) => Err(format!("CUDA's run-time compiler fails: {error}")),
        }
    }

    #[expect(
        unsafe_code,
        reason = "loading a library may run code and is never safe"
    )]
    pub(super) fn has_nccl() -> bool {
        // SAFETY: the library is NVIDIA's own, and loading it does nothing else.
        unsafe { cudarc::nccl::sys::is_culib_present() }
    }

    #[expect(
        unsafe_code,
        reason = "loading a library may run code and is never safe"
    )]
    fn has_driver() -> bool {
        // SAFETY: the library is NVIDIA's own, and loading it does nothing else.
        unsafe { cudarc::driver::sys::is_culib_present() }
    }

    #[expect(
        unsafe_code,
        reason = "loading a library may run code and is never safe"
    )]
    fn has_compiler() -> bool {
        // SAFETY: the library is NVIDIA's own, and loading it does nothing else.
        unsafe { cudarc::nvrtc::sys::is_culib_present() }
    }

    /// The newest CUDA of the driver and that of the run-time compiler, 13000 for 13.0. Both have
    /// to be there.
    #[expect(unsafe_code, reason = "neither version has a safe interface")]
    fn versions() -> Option<(i32, i32)> {
        let (mut driver, mut major, mut minor) = (0, 0, 0);
        // SAFETY: the calls only write to the integers that they are given, which outlive them.
        let (driver_done, compiler_done) = unsafe {
            (
                cudarc::driver::sys::cuDriverGetVersion(&mut driver),
                cudarc::nvrtc::sys::nvrtcVersion(&mut major, &mut minor),
            )
        };
        driver_done.result().ok()?;
        compiler_done.result().ok()?;
        Some((driver, major * 1000 + minor * 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_they_are_written() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:12", DeviceChoice::Cuda(12)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), text);
        }
        let first = "cuda".parse::<DeviceChoice>().unwrap();
        assert_eq!(first, DeviceChoice::Cuda(0));
        for wrong in ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cpu:0"] {
            let sentence = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(
                sentence.starts_with(&format!("there is no device {wrong:?};")),
                "{sentence}"
            );
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        let device = DeviceChoice::Cpu.open().unwrap();
        assert!(is_cpu(&device));
        assert!(is_cpu(&device.clone().autodiff()));
        assert_eq!(name_of(&device), "CPU (flex)");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_the_feature_names_it() {
        let sentence = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(sentence.contains("cannot use cuda:1"), "{sentence}");
        assert!(
            sentence.contains("--features fclm-server/cuda"),
            "{sentence}"
        );
        assert!(is_cpu(&DeviceChoice::Auto.open().unwrap()));
        let sentence = check_nccl().unwrap_err().to_string();
        assert!(sentence.contains("libnccl.so"), "{sentence}");
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_gpu_that_is_not_there_is_refused() {
        let sentence = DeviceChoice::Cuda(9999).open().unwrap_err().to_string();
        assert!(
            sentence.starts_with("cuda:9999 cannot be used: "),
            "{sentence}"
        );
    }

    /// The other compiler is a stand-in that compiles nothing.
    #[cfg(feature = "cuda")]
    #[test]
    fn kernels_are_written_as_cuda_cpp() {
        use cubecl_cuda::compiler::CudaBackend;

        assert_eq!(CudaBackend::default(), CudaBackend::Cpp);
    }
}
