//! The transport daemon; all of it is in the library.

fn main() -> std::process::ExitCode {
    guifi_peerd::daemon_main()
}
