//! The daemon's life, from start to stop.

use std::sync::Arc;

use guifi_core::{Error, Root, notify};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::Cli;
use crate::config::Settings;
use crate::identity::Identity;
use crate::node::Node;
use crate::{bus, control, net, socket, sweep};

/// Runs the daemon until it is told to stop.
pub(crate) fn run(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        return Ok(());
    }
    // The QUIC library reports each closed connection as an error; what matters is said here.
    // Fails only if it was set before.
    let _ = tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::new());
    let mut settings = settings;
    // Each key has a life of its own, from the first stream to the last.
    while let Some(kept) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?
        .block_on(daemon(settings, root))?
    {
        log::info!("beginning anew with another key");
        settings = kept;
    }
    Ok(())
}

/// Serves until it is told to stop or the key has changed; then the settings are handed on.
async fn daemon(settings: Settings, root: &Root) -> Result<Option<Settings>, Error> {
    let watch =
        |kind| signal(kind).map_err(|e| Error::failed(format!("cannot watch signals: {e}")));
    let mut hang_up = watch(SignalKind::hangup())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let identity = Identity::load(root)?;
    let node = Node::new(root, settings, identity);
    let listener = socket::listener(root)?;
    tokio::spawn(control::serve(node.clone(), listener));
    tokio::spawn(sweep::run(node.clone()));
    bus::start(&node).await;
    notify::ready();
    notify::status("not joined");
    let stop = tokio::select! {
        () = wait(&node, &mut hang_up, &mut terminate, &mut interrupt) => true,
        () = node.succeeded.notified() => false,
    };
    if stop {
        notify::stopping();
    }
    net::offline(&node).await;
    node.save();
    node.let_go();
    Ok((!stop).then(|| Settings::clone(&node.settings())))
}

async fn wait(
    node: &Arc<Node>,
    hang_up: &mut Signal,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) {
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hang_up.recv() => {
                notify::reloading();
                reload(node);
                notify::ready();
            }
        }
    }
}

fn reload(node: &Arc<Node>) {
    match Settings::load(&node.root) {
        Ok(mut new) => {
            let old = node.settings();
            let bound = |s: &Settings| (s.port, s.relay, s.relay_port, s.relay_mbit);
            if node.net().is_some() && bound(&old) != bound(&new) {
                log::warn!("'port' and what begins with 'relay' count from the next start");
                (new.port, new.relay, new.relay_port, new.relay_mbit) = bound(&old);
            }
            node.set_settings(new);
        }
        Err(e) => log::warn!("{e}; keeping the old configuration"),
    }
}
