//! `guifi-completions DIR` writes what bash, zsh and fish need to complete the commands, from
//! the same types that parse their command lines. It runs when the packages are built and is
//! in none of them. The front door `guifi` has no such types: its completions are written by
//! hand, in `debian/completions/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _, Parser};
use clap_complete::{Shell, generate};
use guifi_core::Error;

/// Write the completions of every command.
#[derive(Debug, Parser)]
#[command(name = "guifi-completions", version)]
struct Cli {
    /// Where to put the directories bash, zsh and fish
    directory: PathBuf,
}

/// Entry of the program.
#[must_use]
pub fn main() -> ExitCode {
    guifi_core::run("guifi-completions", || write(&Cli::parse().directory))
}

/// Every command, in the order of their names.
#[must_use]
pub fn commands() -> Vec<Command> {
    vec![
        guifi_box::cli::Backup::command(),
        guifi_discoveryd::cli::Browse::command(),
        guifi_dnsd::cli::Command::command(),
        guifi_registryd::cli::Invite::command(),
        guifi_box::cli::Join::command(),
        guifi_box::cli::Leave::command(),
        guifi_mirrord::cli::Command::command(),
        guifi_peerd::command::Cli::command(),
        guifi_portald::cli::Command::command(),
        guifi_discoveryd::cli::Publish::command(),
        guifi_registryd::cli::Command::command(),
        guifi_box::cli::Status::command(),
        guifi_gatewayd::cli::Command::command(),
        guifi_discoveryd::cli::Unpublish::command(),
    ]
}

/// Writes `bash/NAME`, `zsh/_NAME` and `fish/NAME.fish` below `directory`.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] if a file cannot be written.
pub fn write(directory: &Path) -> Result<(), Error> {
    for command in commands() {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, format!("bash/{name}")),
            (Shell::Zsh, format!("zsh/_{name}")),
            (Shell::Fish, format!("fish/{name}.fish")),
        ] {
            let mut text = Vec::new();
            generate(shell, &mut command.clone(), &name, &mut text);
            save(&directory.join(file), &text)?;
        }
    }
    Ok(())
}

fn save(file: &Path, text: &[u8]) -> Result<(), Error> {
    let parent = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(file, text))
        .map_err(|e| Error::failed(format!("cannot write {}: {e}", file.display())))
}
