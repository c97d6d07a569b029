//! Changes to mutable shares.

use guifi_tahoe::gbs::ReadTestWrite;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::headers::{self, Secrets};
use super::reply::{self, Refusal};
use super::{Content, Shop, body};
use crate::pulse::Pulse;
use crate::store::{Account, Fault, Index, Secret, Writer};

/// The longest body of a change, in bytes: enough for a share of 100 MiB in three.
const MAX_CHANGE: usize = 48 << 20;

impl Shop {
    pub(super) async fn change(
        &self,
        index: Index,
        account: Account,
        request: Request<Incoming>,
        pulse: &Pulse,
    ) -> Result<Response<Content>, Refusal> {
        let wanted = [Secrets::Enabler, Secrets::Renew, Secrets::Cancel];
        let [enabler, renew, _] = headers::wanted(request.headers(), wanted)?;
        let writer = Writer {
            enabler: Secret::of(&enabler),
            lease: Secret::of(&renew),
            account,
        };
        let body::Whole { bytes, memory } =
            body::read(request, MAX_CHANGE, &self.memory, pulse).await?;
        let _change = self
            .changes
            .acquire()
            .await
            .map_err(|e| Fault::Disk(e.to_string()))?;
        let done = self
            .blocking(move |store| {
                let Ok(wish) = ReadTestWrite::decode(&bytes) else {
                    return Ok(None);
                };
                drop(bytes);
                let done = store.read_test_write(index, &wish, writer);
                drop((wish, memory));
                Ok(Some(done?.encode()))
            })
            .await?;
        done.map(reply::cbor).ok_or(Refusal::Bad("no such message"))
    }
}
