//! See guifi-mirror(1).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_mirrord::command_main()
}
