//! Talking with a person, where there is one.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::Error;

/// Whether somebody can be asked: input and messages both go to a terminal.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Says something beside the result.
pub fn say(text: &str) {
    // Nobody is told about a closed standard error.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Asks a question; an empty answer means `default`.
///
/// # Errors
/// [`crate::Kind::Failed`] if there is no answer.
pub fn ask(question: &str, default: &str) -> Result<String, Error> {
    let shown = if default.is_empty() {
        String::new()
    } else {
        format!(" [{default}]")
    };
    let mut err = io::stderr();
    write!(err, "{question}{shown}: ")
        .and_then(|()| err.flush())
        .map_err(Error::stdout)?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    match read {
        Ok(0) => Err(Error::failed("no answer")),
        Ok(_) if line.trim().is_empty() => Ok(default.to_owned()),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(e) => Err(Error::failed(format!("cannot read the answer: {e}"))),
    }
}

/// Asks for a yes.
///
/// # Errors
/// As [`ask`].
pub fn confirm(question: &str) -> Result<bool, Error> {
    let answer = ask(&format!("{question} (yes/no)"), "no")?;
    // Yes in the languages of our users.
    Ok(matches!(
        answer.to_lowercase().as_str(),
        "y" | "yes" | "s" | "si" | "sí"
    ))
}

/// Text from elsewhere, without what a terminal would obey.
pub fn tame(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

/// Writes the result.
///
/// # Errors
/// As [`Error::stdout`].
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}
