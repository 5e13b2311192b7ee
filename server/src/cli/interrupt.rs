use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use anyhow::Context;
use fclm_server::train::StopRequest;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Exit code after ctrl-c, as shells have it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;
/// Exit code after SIGTERM.
const TERMINATED: u8 = 143;

/// Waits for ctrl-c and SIGTERM while a long command runs. The first signal asks it to stop in good
/// order, the second one ends the process.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt {
    stop: StopRequest,
    /// The exit code that belongs to the first signal; 0 before it.
    code: Arc<AtomicU8>,
}

impl Interrupt {
    /// Begins to wait.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the system gives nothing to wait for signals with")?;
        let (mut interrupts, mut terminations) = {
            let _inside = runtime.enter();
            let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
            let [interrupts, terminations] = kinds.map(signal);
            (interrupts?, terminations?)
        };
        let interrupt = Self::default();
        let told = interrupt.clone();
        let wait = async move {
            while let Some(code) = tokio::select! {
                heard = interrupts.recv() => heard.map(|()| INTERRUPTED),
                heard = terminations.recv() => heard.map(|()| TERMINATED),
            } {
                told.take(code);
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(wait))
            .context("the system gives no thread to wait for signals")?;
        Ok(interrupt)
    }

    /// What the command looks at.
    pub(super) fn stop(&self) -> StopRequest {
        self.stop.clone()
    }

    /// The exit code of a command that has come to its end, or that a signal or a limit of time has
    /// stopped before.
    pub(super) fn exit_code(&self, is_finished: bool) -> ExitCode {
        ExitCode::from(self.code(is_finished))
    }

    fn code(&self, is_finished: bool) -> u8 {
        match is_finished {
            true => 0,
            false => self.code.load(Ordering::SeqCst),
        }
    }

    fn take(&self, code: u8) {
        if self.code.swap(code, Ordering::SeqCst) != 0 {
            end_at_once(code);
        }
        self.stop.make();
        let told =
            "fclm: stopping behind this step, with a checkpoint; a second signal ends at once";
        // A person who cannot be told is no reason to go on.
        let _ = writeln!(io::stderr(), "{told}");
    }
}

/// Files are whole or not there at any moment, so nothing has to be brought to an end.
#[expect(clippy::exit, reason = "no other thread can be asked to end")]
fn end_at_once(code: u8) {
    std::process::exit(code.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_stops_and_tells_the_exit_code() {
        let interrupt = Interrupt::default();
        let stop = interrupt.stop();
        assert!(!stop.is_made());
        assert_eq!(interrupt.code(false), 0);
        interrupt.take(TERMINATED);
        assert!(stop.is_made());
        assert_eq!(interrupt.code(false), 143);
        // Who was done all the same has not been stopped.
        assert_eq!(interrupt.code(true), 0);
    }
}
