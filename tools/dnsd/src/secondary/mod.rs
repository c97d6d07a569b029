//! Zones of other servers, of which this box keeps a copy: fetched as a whole or by their
//! changes, asked for again as their SOA record says (RFC 1034 section 4.3.5).

pub mod stream;
pub mod timers;
pub mod wire;
