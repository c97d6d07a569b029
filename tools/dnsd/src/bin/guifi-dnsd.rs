//! See guifi-dnsd(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_dnsd::main()
}
