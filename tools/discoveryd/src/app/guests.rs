//! Services of guests of the link: found once, and followed from then on.

use std::time::Duration;

use guifi_bus::Failure;

use super::{App, lock};
use crate::publisher::{Outcome, Seen};
use crate::service::{Host, Service};
use crate::{guest, health};

impl App {
    /// Completes a service of which only type and machine are known from what is heard on the
    /// link.
    pub(crate) async fn complete(&self, service: &mut Service, host: &str) -> Result<(), Failure> {
        if !service.global {
            return Err(Failure::Invalid(format!(
                "what '{host}' announces is on this link already: --global publishes it to the community"
            )));
        }
        if !service.txt.is_empty() {
            return Err(Failure::Invalid(
                "details are taken from what is heard, unless a port is given".to_owned(),
            ));
        }
        if !lock(&self.state).avahi {
            let why = "Avahi does not run: nothing is heard on the link".to_owned();
            return Err(Failure::Unavailable(why));
        }
        let looked = self.link.look(&service.r#type, self.is_bridge()).await;
        let heard = looked.map_err(|e| guifi_bus::error("cannot look at the link", e))?;
        let (local, place) = guest::choose(&heard, &service.r#type, host, &service.name)?;
        service.heard = Some(local.name.clone());
        service.port = place.port;
        service.txt = guest::txt(place);
        service.host = Some(guest::machine(place));
        Ok(service.validate()?)
    }

    /// Looks at one service of this box: where it is now, if it is a guest's, and whether it
    /// answers.
    pub(super) async fn see(&self, service: Service, patience: Duration) -> Seen {
        let (now, gone) = self.follow(&service).await;
        let outcome = match gone {
            true => Outcome::Gone,
            false if health::answers(&now, patience).await => Outcome::Answers,
            false => Outcome::Silent,
        };
        Seen {
            was: service,
            now,
            outcome,
        }
    }

    /// The service as it is announced now, and whether it is announced no more.
    async fn follow(&self, service: &Service) -> (Service, bool) {
        let mut now = service.clone();
        let Some(instance) = &service.heard else {
            return (now, false);
        };
        if !lock(&self.state).avahi {
            // Nothing is known of it, and nothing is said.
            return (now, false);
        }
        match self.link.locate(instance, &service.r#type).await {
            Ok(Some(place)) => {
                // Its name in the community stays, whatever it calls itself now.
                now.host = service.host.as_ref().map(|h| Host {
                    name: h.name.clone(),
                    addresses: guest::machine(&place).addresses,
                });
                (now.port, now.txt) = (place.port, guest::txt(&place));
                match now.validate() {
                    Ok(()) => (now, false),
                    Err(e) => {
                        log::debug!("'{}' cannot be followed: {e}", service.name);
                        (service.clone(), false)
                    }
                }
            }
            Ok(None) => (now, true),
            Err(e) => {
                log::debug!("cannot look for '{instance}' on the link: {e}");
                (now, false)
            }
        }
    }
}
