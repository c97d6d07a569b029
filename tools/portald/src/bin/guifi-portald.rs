//! See guifi-portald(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_portald::daemon_main()
}
