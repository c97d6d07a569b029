//! See guifi-mirrord(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_mirrord::daemon_main()
}
