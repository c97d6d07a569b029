//! See guifi-gatewayd(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_gatewayd::daemon_main()
}
