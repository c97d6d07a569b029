//! `guifi-storaged`.

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_storaged::main()
}
