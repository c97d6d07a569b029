//! Secrets that servers are given: to renew and cancel leases, to write mutable shares.
//! Source: `docs/specifications/lease.rst` and `src/allmydata/util/hashutil.py`.

use crate::hash::{Hash, pair, tagged};
use crate::{Key, StorageIndex};

/// Identity of a server in all that is derived for it: SHA-1 of its first certificate.
pub type TubId = [u8; 20];

/// What renews and cancels a lease, at one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Lease {
    /// Renews it.
    pub renew: Hash,
    /// Cancels it.
    pub cancel: Hash,
}

impl Lease {
    /// The secrets of who has `lease_secret` (`private/secret` in Tahoe), for a file at a server.
    #[must_use]
    pub fn derive(lease_secret: &[u8], index: &StorageIndex, server: &TubId) -> Self {
        let secret = |client: &[u8], file: &[u8], bucket: &[u8]| {
            // The client's secret is the tag here, and the name is what is hashed.
            let client = tagged(lease_secret, client);
            pair(bucket, &pair(file, &client, index), server)
        };
        Self {
            renew: secret(
                b"allmydata_client_renewal_secret_v1",
                b"allmydata_file_renewal_secret_v1",
                b"allmydata_bucket_renewal_secret_v1",
            ),
            cancel: secret(
                b"allmydata_client_cancel_secret_v1",
                b"allmydata_file_cancel_secret_v1",
                b"allmydata_bucket_cancel_secret_v1",
            ),
        }
    }
}

/// What lets a server change the mutable shares of a file.
#[must_use]
pub fn write_enabler(writekey: &Key, server: &TubId) -> Hash {
    let master = tagged(
        b"allmydata_mutable_writekey_to_write_enabler_master_v1",
        writekey,
    );
    pair(
        b"allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1",
        &master,
        server,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn counting<const N: usize>() -> [u8; N] {
        std::array::from_fn(|i| u8::try_from(i).unwrap_or_default())
    }

    #[test]
    fn the_official_vectors() {
        let lease = Lease::derive(&counting::<32>(), &counting(), &[0x11; 20]);
        assert_eq!(
            HEXLOWER.encode(&lease.renew),
            "74b413128f0818b14887b7fb80363ccc44778f29a047ab34484d99cb3065a70c"
        );
        assert_eq!(
            HEXLOWER.encode(&lease.cancel),
            "4600b160ba81d1cfea91da0dee5026c9e9054fdc60839dd099cd70c0e1488d10"
        );
        assert_eq!(
            HEXLOWER.encode(&write_enabler(&counting(), &[0x11; 20])),
            "acdca7e81ef85f3f638663cd6ddbbbddd156daecaf88f90b3bd2750af2938f85"
        );
    }
}
