//! `net.guifi.Discovery1` on the system bus.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use guifi_bus::{DISCOVERY, Failure, sealed_file};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, OwnedVariant, interface};

use crate::app::App;
use crate::service::{Check, Host, Service};

/// How long changes are collected before they are told.
const COLLECT: Duration = Duration::from_millis(100);
/// TXT strings of one service: more do not fit the limit in bytes.
const MAX_TXT: usize = 650;

struct Reads(Arc<App>);
struct Admin(Arc<App>);

#[interface(name = "net.guifi.Discovery1")]
impl Reads {
    async fn describe(&self) -> String {
        self.0.describe()
    }

    async fn browse(&self, r#type: &str, scope: &str, zone: &str) -> Result<OwnedFd, Failure> {
        if !r#type.is_empty() {
            crate::service::check_type(r#type)?;
        }
        if !matches!(scope, "local" | "community" | "all") {
            return Err(Failure::Invalid(format!(
                "'{scope}' is not a scope: local, community or all"
            )));
        }
        let lines = self.0.browse(r#type, scope, zone).await;
        Ok(sealed_file(lines.as_bytes())?)
    }

    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, sequence: u64) -> zbus::Result<()>;
}

/// The options of `Publish`: who sees it, where it runs, how it is checked.
fn options(
    given: &HashMap<String, OwnedVariant>,
    kind: &str,
) -> Result<(bool, Option<String>, Check), Failure> {
    let (mut global, mut host, mut check) = (false, None, None);
    for (key, value) in given {
        let wrong = |_| Failure::Invalid(format!("option '{key}' has the wrong type"));
        match key.as_str() {
            "global" => global = bool::try_from(value.clone()).map_err(wrong)?,
            "host" => host = Some(String::try_from(value.clone()).map_err(wrong)?),
            "check" => {
                let text = String::try_from(value.clone()).map_err(wrong)?;
                check = Some(Check::try_from(text).map_err(Failure::Invalid)?);
            }
            other => return Err(Failure::Invalid(format!("there is no option '{other}'"))),
        }
    }
    // A UDP service cannot be asked by connecting.
    let default = if kind.ends_with("._udp") {
        Check::None
    } else {
        Check::Tcp
    };
    Ok((
        global,
        host.filter(|h| !h.is_empty()),
        check.unwrap_or(default),
    ))
}

/// The machine that a name or an address means.
async fn host(text: &str) -> Result<Host, Failure> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let name = text.replace(['.', ':'], "-");
        return Ok(Host {
            name: format!("host-{}", name.trim_matches('-')),
            addresses: vec![address],
        });
    }
    let unknown = |why: &str| Failure::NotFound(format!("the host '{text}' is not found{why}"));
    let found = tokio::net::lookup_host((text, 0))
        .await
        .map_err(|e| unknown(&format!(": {e}")))?;
    let mut addresses: Vec<IpAddr> = found.map(|a| a.ip()).take(8).collect();
    addresses.sort();
    addresses.dedup();
    let label = text
        .split('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    Ok(Host {
        name: label,
        addresses,
    })
}

#[interface(name = "net.guifi.Discovery1.Admin")]
impl Admin {
    async fn publish(
        &self,
        name: String,
        r#type: String,
        port: u16,
        txt: Vec<String>,
        options: HashMap<String, OwnedVariant>,
    ) -> Result<String, Failure> {
        let (global, machine, check) = self::options(&options, &r#type)?;
        if txt.len() > MAX_TXT {
            return Err(Failure::Invalid(format!("over {MAX_TXT} details")));
        }
        let mut service = Service {
            name,
            r#type,
            port,
            txt,
            global,
            check,
            host: None,
            heard: None,
        };
        if let (0, Some(machine)) = (port, &machine) {
            crate::service::check_type(&service.r#type)?;
            self.0.complete(&mut service, machine).await?;
            return Ok(self.0.publish(service).await?.to_string());
        }
        // What is wrong with the words is said before anybody is asked for a host.
        service.validate()?;
        if let Some(machine) = machine {
            service.host = Some(host(&machine).await?);
            service.validate()?;
        }
        Ok(self.0.publish(service).await?.to_string())
    }

    async fn unpublish(&self, name: &str, r#type: &str) -> Result<u32, Failure> {
        self.0.unpublish(name, r#type).await
    }
}

/// Puts the object on the bus; the name comes when all is ready.
pub(crate) async fn serve(connection: &Connection, app: &Arc<App>) -> zbus::Result<()> {
    let server = connection.object_server();
    server.at(DISCOVERY.path, Reads(app.clone())).await?;
    server.at(DISCOVERY.path, Admin(app.clone())).await?;
    connection.request_name(DISCOVERY.name).await.map(|_| ())
}

/// Tells of changes for ever.
pub(crate) async fn tell(connection: Connection, app: Arc<App>) {
    let Ok(emitter) = SignalEmitter::new(&connection, DISCOVERY.path) else {
        return;
    };
    loop {
        let sequence = app.next_change().await;
        if let Err(e) = Reads::changed(&emitter, sequence).await {
            log::debug!("cannot signal: {e}");
        }
        tokio::time::sleep(COLLECT).await;
    }
}
