use std::collections::VecDeque;

use fclm_core::wire::LightDevice;

/// Which device is tried next, and which of those that work is used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    untried: VecDeque<LightDevice>,
    running: Option<LightDevice>,
    /// Devices that work, with the milliseconds of their encoding.
    ready: Vec<(LightDevice, f64)>,
    /// Whether the first that works is taken.
    takes_first: bool,
}

impl Trial {
    /// The devices of a browser, with the one that an earlier visit found to be the fastest.
    pub(super) fn new(has_gpu: bool, remembered: Option<LightDevice>) -> Self {
        let mut devices = vec![LightDevice::Cpu];
        if has_gpu {
            devices.insert(0, LightDevice::Gpu);
        }
        let remembered = remembered.filter(|device| devices.contains(device));
        devices.sort_by_key(|device| Some(*device) != remembered);
        Self {
            untried: devices.into(),
            running: None,
            ready: Vec::new(),
            takes_first: remembered.is_some(),
        }
    }

    /// The device that is to be started now, if one is.
    pub(super) fn start(&mut self) -> Option<LightDevice> {
        let is_settled = self.takes_first && !self.ready.is_empty();
        if self.running.is_some() || is_settled {
            return None;
        }
        self.running = self.untried.pop_front();
        self.running
    }

    /// A device works.
    pub(super) fn is_ready(&mut self, device: LightDevice, encode_ms: f64) {
        self.running = self.running.filter(|running| *running != device);
        self.ready.push((device, encode_ms));
    }

    /// Whether a device is known to work.
    pub(super) fn works(&self, device: LightDevice) -> bool {
        self.ready.iter().any(|(other, _)| *other == device)
    }

    /// A device does not work, or does so no longer. It is not tried again.
    pub(super) fn has_failed(&mut self, device: LightDevice) {
        self.running = self.running.filter(|running| *running != device);
        self.ready.retain(|(other, _)| *other != device);
        self.untried.retain(|other| *other != device);
    }

    /// The fastest device that works.
    pub(super) fn best(&self) -> Option<LightDevice> {
        let fastest = self.ready.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        fastest.map(|(device, _)| *device)
    }

    /// Once nothing is left to be measured: the devices that lost. They can be given up, and are
    /// tried again only where the winner fails.
    pub(super) fn settle(&mut self) -> Vec<LightDevice> {
        let is_open = self.running.is_some() || (!self.takes_first && !self.untried.is_empty());
        let Some(best) = self.best().filter(|_| !is_open) else {
            return Vec::new();
        };
        self.takes_first = true;
        let lost: Vec<LightDevice> = self
            .ready
            .iter()
            .map(|(device, _)| *device)
            .filter(|device| *device != best)
            .collect();
        self.ready.retain(|(device, _)| *device == best);
        self.untried.extend(&lost);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::LightDevice::{Cpu, Gpu};
    use super::*;

    #[test]
    fn both_are_tried_and_the_faster_one_is_kept() {
        let mut trial = Trial::new(true, None);
        assert_eq!(trial.start(), Some(Gpu));
        assert_eq!(trial.start(), None);
        assert!(!trial.works(Gpu));
        trial.is_ready(Gpu, 300.0);
        assert!(trial.works(Gpu));
        assert_eq!(trial.best(), Some(Gpu));
        assert!(trial.settle().is_empty());
        assert_eq!(trial.start(), Some(Cpu));
        trial.is_ready(Cpu, 120.0);
        assert_eq!(trial.settle(), [Gpu]);
        assert_eq!((trial.best(), trial.start()), (Some(Cpu), None));
        // The loser takes over where the winner fails.
        trial.has_failed(Cpu);
        assert_eq!((trial.best(), trial.start()), (None, Some(Gpu)));
        trial.has_failed(Gpu);
        assert_eq!((trial.best(), trial.start()), (None, None));
    }

    #[test]
    fn what_is_remembered_is_not_measured_against_the_other() {
        let mut trial = Trial::new(true, Some(Cpu));
        assert_eq!(trial.start(), Some(Cpu));
        trial.is_ready(Cpu, 500.0);
        assert!(trial.settle().is_empty());
        assert_eq!(trial.start(), None);
        trial.has_failed(Cpu);
        assert_eq!(trial.start(), Some(Gpu));
    }

    #[test]
    fn a_gpu_that_is_gone_is_forgotten() {
        let mut trial = Trial::new(false, Some(Gpu));
        assert_eq!(trial.start(), Some(Cpu));
        trial.has_failed(Cpu);
        assert_eq!((trial.start(), trial.best()), (None, None));
    }
}
