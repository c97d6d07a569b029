//! See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_registryd::invite_main()
}
