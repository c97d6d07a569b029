//! Reading: one thread with a connection of its own that answers questions of the bus, beside
//! whatever is being taken in.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use guifi_bus::Failure;
use guifi_core::Error;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store;

type Question = Box<dyn FnOnce(Result<&Connection, String>) + Send>;

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Library(Sender<Question>);

impl Library {
    /// Starts it; the database exists.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(path: &Path) -> Result<Self, Error> {
        let (sender, questions) = channel();
        let path = path.to_owned();
        std::thread::Builder::new()
            .name("library".into())
            .spawn(move || serve(&path, &questions))
            .map_err(|e| Error::failed(format!("cannot start a thread: {e}")))?;
        Ok(Self(sender))
    }

    /// Asks a question, of one state of the data.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the database cannot be read.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = oneshot::channel();
        let ask: Question = Box::new(move |connection| {
            let answer = connection.and_then(|connection| {
                let state = connection
                    .unchecked_transaction()
                    .map_err(|e| e.to_string())?;
                question(&state).map_err(|e| e.to_string())
            });
            // Nobody waits if the caller went away.
            let _ = tell.send(answer);
        });
        let gone = || Failure::Unavailable("the daemon is stopping".into());
        self.0.send(ask).map_err(|_| gone())?;
        let answer = told.await.map_err(|_| gone())?;
        answer.map_err(|e| Failure::Failed(format!("cannot read what is kept: {e}")))
    }
}

fn serve(path: &Path, questions: &Receiver<Question>) {
    let mut connection = None;
    while let Ok(question) = questions.recv() {
        if connection.is_none() {
            match store::reader(path) {
                Ok(opened) => connection = Some(opened),
                Err(e) => {
                    question(Err(e.to_string()));
                    continue;
                }
            }
        }
        if let Some(connection) = &connection {
            question(Ok(connection));
        }
    }
}
