//! Streams that members open to this box (protocol `storage` of guifi-peerd(8)): the same HTTP
//! without TLS, the peer's proven key being the account.

use std::sync::Arc;
use std::time::Duration;

use guifi_streams::{Client, ClientError, Key, Listener, SOCKET, Stream, reset};
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::http::{Owner, Who};
use crate::serve::attend;
use crate::state::App;
use crate::store::{Fault, Result};
use crate::{announce, door};

/// The protocol.
const PROTOCOL: &str = "storage";
/// Streams that wait to be taken.
const BACKLOG: u32 = 32;
/// After peerd went, or was not there.
const RETRY: Duration = Duration::from_secs(30);

/// Takes streams while this box is in a community.
pub(crate) async fn serve(app: Arc<App>) {
    let mut joined = app.joined.subscribe();
    loop {
        if !*joined.borrow_and_update() {
            // The sender lives as long as the daemon.
            let _ = joined.changed().await;
            continue;
        }
        match listen(&app).await {
            Ok(listener) => {
                app.state().streams = true;
                announce::settle(&app).await;
                take(&app, Arc::new(listener)).await;
                app.state().streams = false;
            }
            Err(e) => log::debug!("no streams: {e}"),
        }
        tokio::select! {
            () = sleep(RETRY) => {}
            _ = joined.changed() => {}
        }
    }
}

async fn listen(app: &App) -> std::result::Result<Listener, ClientError> {
    let socket = app.root.join(SOCKET);
    let listen = move || Client::connect(&socket)?.listen(PROTOCOL, BACKLOG);
    tokio::task::spawn_blocking(listen)
        .await
        .map_err(|_| ClientError::Closed)?
}

/// Takes streams until peerd goes or the community is left.
async fn take(app: &Arc<App>, listener: Arc<Listener>) {
    let (send, mut coming) = mpsc::channel(1);
    let waiting = listener.clone();
    let thread = std::thread::Builder::new()
        .name("streams".to_owned())
        .spawn(move || {
            while let Ok(stream) = waiting.accept() {
                if send.blocking_send(stream).is_err() {
                    break;
                }
            }
        });
    if let Err(e) = thread {
        log::warn!("cannot take streams: {e}");
        return;
    }
    let mut joined = app.joined.subscribe();
    // Who is inside is sent away when this box is no member any more.
    let mut inside = JoinSet::new();
    loop {
        while inside.try_join_next().is_some() {}
        tokio::select! {
            stream = coming.recv() => match stream {
                Some(stream) => enter(app, stream, &mut inside),
                None => break,
            },
            _ = joined.changed() => if !*joined.borrow_and_update() { break },
        }
    }
    listener.close();
}

fn enter(app: &Arc<App>, stream: Stream, inside: &mut JoinSet<()>) {
    let bounds = app.settings().connections;
    let pass = app
        .door
        .enter(door::Client::Key(stream.peer), bounds.connections);
    let Some(pass) = pass.filter(|_| stream.member) else {
        stream.reset(reset::BUSY);
        return;
    };
    let app = app.clone();
    inside.spawn(async move {
        match (owner(&app, stream.peer).await, asynchronous(&stream)) {
            (Ok(owner), Ok(socket)) => {
                attend(&app.shop, Who::Owner(Arc::new(owner)), socket, bounds.idle).await;
            }
            (Err(e), _) => {
                log::warn!("no account for {}: {e}", stream.peer);
                stream.reset(reset::BUSY);
            }
            (_, Err(e)) => log::warn!("cannot serve a stream: {e}"),
        }
        drop(pass);
    });
}

fn asynchronous(stream: &Stream) -> std::io::Result<UnixStream> {
    let socket = stream.socket.try_clone()?;
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// The account of a key, with what is told of it.
pub(crate) async fn owner(app: &App, key: Key) -> Result<Owner> {
    let name = key.to_string();
    let swissnum = app.identity.swissnum_of(&name);
    let (owner, opens) = (name.clone(), swissnum.clone());
    let account = app
        .blocking(move |store| store.enter(&owner, &opens))
        .await?;
    let nurls: Vec<String> = announce::announcement(app)
        .nurls
        .into_iter()
        .map(|mut nurl| {
            nurl.swissnum.clone_from(&swissnum);
            nurl.to_string()
        })
        .collect();
    let document = serde_json::to_string(&json!({
        "owner": name,
        "swissnum": swissnum,
        "nurls": nurls,
    }));
    Ok(Owner {
        key,
        account,
        document: document.map_err(|e| Fault::Disk(e.to_string()))?,
    })
}
