//! `guifi-leave`: says good-bye; the key stays.

use guifi_bus::{RegistryAdminProxy, RegistryProxy};
use guifi_core::Error;
use serde_json::Value;

use crate::cli::Leave;
use crate::terminal::{confirm, is_interactive, print, say, tame};

pub(crate) async fn run(cli: &Leave) -> Result<(), Error> {
    let connection = guifi_bus::connect().await?;
    let failed = |e| guifi_bus::error("cannot leave", e);
    let reads = RegistryProxy::new(&connection).await.map_err(failed)?;
    let state: Value =
        serde_json::from_str(&reads.describe().await.map_err(failed)?).unwrap_or_default();
    let name = tame(
        state
            .pointer("/community/name")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    let administrators = state["administrators"].as_array().map_or(0, Vec::len);
    let last = state["administrator"] == true && administrators == 1;
    if last && state["members"].as_u64().unwrap_or_default() > 1 {
        say(&format!(
            "this box is the last administrator of {name}: nobody can admit or ban there any more\n\
             hint: guifi-registry appoint KEY makes another one first"
        ));
    }
    if !cli.yes && state["joined"].as_bool().unwrap_or_default() {
        if !is_interactive() {
            return Err(Error::usage("nobody is there to confirm").hint("guifi-leave --yes"));
        }
        if !confirm(&format!(
            "Leave the community {name}; its records on this box are removed"
        ))? {
            return Err(Error::failed("not left"));
        }
    }
    let admin = RegistryAdminProxy::new(&connection).await.map_err(failed)?;
    admin.leave().await.map_err(failed)?;
    print(&if cli.json {
        "{\"left\":true}\n".to_owned()
    } else {
        format!("left the community {name}; the key of this box is kept\n")
    })
}
