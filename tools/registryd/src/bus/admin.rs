//! `net.guifi.Registry1.Admin`: joining, leaving, and what administrators write.

use std::collections::HashMap;
use std::time::Duration;

use guifi_bus::Failure;
use guifi_core::Error;
use serde_json::{Value, json};
use zbus::{OwnedVariant, interface};

use super::{GOODBYE, RESTART, key_of, put, remove, started};
use crate::describe;
use crate::engine::{Engine, Handle, now};
use crate::join::{self, Options, Outcome};
use crate::node::{Node, Now};
use crate::rights;

pub(super) struct Admin(pub(super) Handle);

/// Runs a task that blocks, in a thread of its own.
async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(task).await;
    Ok(done.map_err(|e| Failure::Failed(e.to_string()))??)
}

fn options(given: &HashMap<String, OwnedVariant>) -> Result<Options, Failure> {
    let mut options = Options::default();
    for (key, value) in given {
        let wrong = |_| Failure::Invalid(format!("option '{key}' has the wrong type"));
        let text = || String::try_from(value.clone()).map_err(wrong);
        match key.as_str() {
            "community" => options.community = text()?,
            "domain" => options.domain = text()?,
            "terms" => options.terms = text()?,
            "zone" => options.zone = text()?,
            "name" => options.name = text()?,
            "invitation" => options.invitation = text()?,
            "closed" => options.closed = bool::try_from(value.clone()).map_err(wrong)?,
            "administrators" => {
                options.administrators = Vec::try_from(value.clone()).map_err(wrong)?;
            }
            "create" => options.create = bool::try_from(value.clone()).map_err(wrong)?,
            "seeds" => options.seeds = Vec::try_from(value.clone()).map_err(wrong)?,
            other => return Err(Failure::Invalid(format!("there is no option '{other}'"))),
        }
    }
    Ok(options)
}

fn may_administer(kind: &str) -> Result<(), Failure> {
    if rights::is_reserved(kind) {
        return Err(Failure::NotAllowed(format!(
            "{kind} records are the registry's own"
        )));
    }
    Ok(())
}

impl Admin {
    /// Asks the node of a box that has joined; its answer is a document.
    async fn node(
        &self,
        mut work: impl FnMut(&mut Node, Now) -> Result<Value, Error> + Send + 'static,
    ) -> Result<String, Failure> {
        let answer = started(&self.0, RESTART, move |engine| {
            let node = engine.node()?;
            work(node, now())
        });
        Ok(answer.await??.to_string())
    }
}

#[interface(name = "net.guifi.Registry1.Admin")]
impl Admin {
    async fn join(&self, options: HashMap<String, OwnedVariant>) -> Result<String, Failure> {
        let options = self::options(&options)?;
        let handle = self.0.clone();
        match blocking(move || join::join(&handle, &options)).await? {
            Outcome::Member(document) => Ok(document.to_string()),
            Outcome::Waits(what) => Err(Failure::Waiting(what)),
        }
    }

    async fn leave(&self) -> Result<(), Failure> {
        self.0.ask(|engine| Ok(engine.node().map(|_| ()))).await??;
        self.0.send(Engine::say_goodbye);
        tokio::time::sleep(GOODBYE).await;
        self.0.ask(|engine| Ok(engine.forget())).await??;
        Ok(())
    }

    async fn probe(&self, seed: String) -> Result<String, Failure> {
        let handle = self.0.clone();
        let offer = blocking(move || {
            let client = handle.client()?;
            if handle.call(|engine| engine.node().is_ok())? {
                return Err(Error::failed("this box is a member of a community already")
                    .hint("guifi-leave first"));
            }
            let offer = join::probe(&client, &seed).map(|offer| offer.json());
            // Looking is not joining: no endpoint stays behind.
            handle.send(Engine::offline);
            offer
        });
        Ok(offer.await?.to_string())
    }

    async fn read_invitation(&self, invitation: String) -> Result<String, Failure> {
        Ok(join::read_invitation(&invitation)?.to_string())
    }

    async fn invite(&self, uses: u32, lifetime_seconds: u64) -> Result<String, Failure> {
        let mut right = [0; 32];
        getrandom::fill(&mut right)
            .map_err(|e| Failure::Failed(format!("no randomness to be had: {e}")))?;
        let life = Duration::from_secs(lifetime_seconds);
        self.node(move |node, now| node.invite(uses, life, right, now))
            .await
    }

    async fn invitations(&self) -> Result<String, Failure> {
        self.node(|node, now| Ok(json!(node.invitations(now))))
            .await
    }

    async fn revoke(&self, which: String) -> Result<String, Failure> {
        self.node(move |node, now| node.revoke(&which, now)).await
    }

    async fn pending(&self) -> Result<String, Failure> {
        self.node(|node, now| Ok(json!(node.pending(now)))).await
    }

    async fn approve(&self, who: String) -> Result<String, Failure> {
        self.node(move |node, now| node.approve(&who, now)).await
    }

    async fn refuse(&self, who: String) -> Result<String, Failure> {
        self.node(move |node, now| node.refuse(&who, now)).await
    }

    async fn sponsored(&self, key: String) -> Result<String, Failure> {
        let key = key_of(&key)?;
        self.node(move |node, now| node.sponsored(key, now)).await
    }

    async fn ban(&self, key: String, with_sponsored: bool) -> Result<String, Failure> {
        let key = key_of(&key)?;
        self.node(move |node, now| node.ban(key, with_sponsored, now))
            .await
    }

    async fn appoint(&self, key: String) -> Result<String, Failure> {
        let key = key_of(&key)?;
        self.node(move |node, now| node.appoint(key, now)).await
    }

    async fn dismiss(&self, key: String) -> Result<String, Failure> {
        let key = key_of(&key)?;
        self.node(move |node, now| node.dismiss(key, now)).await
    }

    async fn rotate(&self) -> Result<String, Failure> {
        let (old, new) = self.0.ask(|engine| Ok(engine.rotate())).await??;
        tokio::time::sleep(GOODBYE).await;
        self.0.ask(move |engine| Ok(engine.succeed(new))).await??;
        Ok(json!({"old": old, "key": new}).to_string())
    }

    async fn confirm_key(&self, key: String) -> Result<String, Failure> {
        let key = key_of(&key)?;
        self.node(move |node, now| node.confirm_key(key, now)).await
    }

    async fn confirm_name(
        &self,
        name: String,
        zone: String,
        key: String,
    ) -> Result<String, Failure> {
        let key = match key.as_str() {
            "" => None,
            key => Some(key_of(key)?),
        };
        self.node(move |node, now| node.confirm_name(&name, &zone, key, now))
            .await
    }

    async fn put(
        &self,
        kind: String,
        name: String,
        body: String,
        lifetime_seconds: u32,
    ) -> Result<u64, Failure> {
        may_administer(&kind)?;
        put(&self.0, kind, name, &body, lifetime_seconds).await
    }

    async fn remove(&self, kind: String, name: String) -> Result<(), Failure> {
        may_administer(&kind)?;
        remove(&self.0, kind, name).await
    }

    async fn verify(&self) -> Result<String, Failure> {
        let records = self
            .0
            .ask(|engine| Ok(engine.node().map(|n| n.snapshot().collect::<Vec<_>>())))
            .await??;
        Ok(blocking(move || Ok(describe::verified(&records)))
            .await?
            .to_string())
    }
}
