//! See guifi-dns(1).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_dnsd::command::main()
}
