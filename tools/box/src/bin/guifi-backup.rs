//! See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    guifi_box::backup_main()
}
