//! See guifi-store(1).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_gatewayd::command_main()
}
