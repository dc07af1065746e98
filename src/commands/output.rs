//! Where commands print to.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes to the output of the process. A reader that has gone (`| head`) is no failure of the command; one whose disk is
/// full is told where it is seen.
pub(super) fn write(words: Arguments<'_>) {
    to(&mut std::io::stdout().lock(), words);
}

fn to(out: &mut impl Write, words: Arguments<'_>) {
    match out.write_fmt(words).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => eprintln!("The output could not be written: {error}."),
        _ => {}
    }
}
