use burn::tensor::Device;
use clap::Args;
use fclm_server::device::DeviceChoice;

/// What the model runs on.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct DeviceArg {
    /// What to run on: cpu, cuda:N for the NVIDIA GPU of that number, or auto: the first of them
    /// that there is, else the CPU.
    #[arg(long, value_name = "NAME", default_value_t)]
    device: DeviceChoice,
}

impl DeviceArg {
    /// The device.
    pub(super) fn open(self) -> anyhow::Result<Device> {
        Ok(self.device.open()?)
    }
}
