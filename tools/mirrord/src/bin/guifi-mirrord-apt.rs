//! See guifi-mirrord-apt(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_mirrord::apt_main()
}
