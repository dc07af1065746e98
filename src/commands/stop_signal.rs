//! Being asked to stop: by a service manager, by Ctrl-C, or by the terminal that is closed.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from the moment it is made.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl StopSignal {
    /// From now on these signals no longer end the process by themselves.
    pub fn listen() -> std::io::Result<Self> {
        // What `nohup` started is to outlive its terminal.
        let hangup = match ignores_hangup() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Ends when one has come.
    pub async fn wait(&mut self) {
        let Self { terminate, interrupt, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hung_up => {}
        }
    }
}

fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_first_ignored(&status))
}

// A hexadecimal number with a bit for each signal, the first one's lowest: that is SIGHUP.
fn is_first_ignored(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).is_some_and(|bits| bits & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::is_first_ignored;

    #[test]
    fn a_hangup_is_ignored_where_nohup_began() {
        assert!(is_first_ignored("Name:\tcostwake\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!is_first_ignored("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n"));
        assert!(!is_first_ignored(""));
    }
}
