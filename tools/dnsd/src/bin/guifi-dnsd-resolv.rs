//! See guifi-dnsd-resolv(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_dnsd::resolv::main()
}
