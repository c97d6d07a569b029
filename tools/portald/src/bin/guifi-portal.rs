//! See guifi-portal(1).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_portald::command_main()
}
