//! Writes a zone of so many nodes to standard output, as the portal would: for measurements.
//!
//!     cargo run -p guifi-portald --example generate -- 50000 >zone.xml
//!
//! Of ten nodes one is a supernode with two access points, a server and a link to the one
//! before; the others are its clients. Interfaces are there twice, as in real files.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Nodes of a zone.
const ZONE: u64 = 500;
/// Nodes around one supernode, itself included.
const CELL: u64 = 10;

fn main() -> ExitCode {
    let nodes = std::env::args().nth(1).and_then(|word| word.parse().ok());
    match nodes {
        Some(nodes) if write(nodes).is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn address(node: u64, host: u64) -> String {
    format!(
        "10.{}.{}.{}",
        node >> 13 & 255,
        node >> 5 & 255,
        (node & 31) * 8 + host
    )
}

fn write(nodes: u64) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "<?xml version=\"1.0\" ?>")?;
    writeln!(
        out,
        "<cnml version=\"0.1\" server_id=\"1\" server_url=\"http://guifi.net\" generated=\"20260101 0105\">"
    )?;
    writeln!(
        out,
        " <class network_description=\"detail\" mapping=\"y\"/>"
    )?;
    writeln!(
        out,
        " <network nodes=\"{nodes}\" devices=\"0\" ap=\"0\" client=\"0\" services=\"0\" links=\"0\">"
    )?;
    writeln!(
        out,
        "  <zone id=\"1\" parent_id=\"3671\" title=\"Everything\" created=\"20100301 0910\" zone_nodes=\"{nodes}\" box=\"0,40,3,43\">"
    )?;
    for node in 0..nodes {
        if node % ZONE == 0 {
            let zone = 2 + node / ZONE;
            writeln!(
                out,
                "   <zone id=\"{zone}\" parent_id=\"1\" title=\"Zone {zone}\" created=\"20100301 0910\" zone_nodes=\"{ZONE}\" box=\"0,40,3,43\">&amp;lt;p&amp;gt;A place among hills &amp;amp; rivers.&amp;lt;/p&amp;gt;"
            )?;
        }
        one(&mut out, node)?;
        if node % ZONE == ZONE - 1 || node == nodes - 1 {
            writeln!(out, "   </zone>")?;
        }
    }
    writeln!(out, "  </zone>\n </network>\n</cnml>")?;
    out.flush()
}

fn one(out: &mut impl Write, node: u64) -> io::Result<()> {
    let (id, super_) = (10_000 + node, node.is_multiple_of(CELL));
    let device = 200_000 + node * 2;
    let (lat, lon) = (
        40.0 + node as f64 * 0.000_05,
        0.5 + (node % 997) as f64 * 0.002,
    );
    writeln!(
        out,
        "    <node id=\"{id}\" title=\"Node{id}\" lat=\"{lat:.6}\" lon=\"{lon:.6}\" antenna_elevation=\"9\" status=\"Working\" created=\"20120504 1030\" updated=\"20230911 0400\" devices=\"1\" links=\"1\">"
    )?;
    let main = address(node, 1);
    writeln!(
        out,
        "     <device id=\"{device}\" mainipv4=\"{main}\" title=\"Node{id}Rd1\" type=\"radio\" status=\"Working\" created=\"20120504 1040\" firmware=\"AirOsv3.6+\" name=\"5Ghz Nano/NanoLoco/Bullet/Lite/Pico\">A comment &lt;b&gt;in HTML&lt;/b&gt;"
    )?;
    let port = 500_000 + node * 4;
    if super_ {
        for radio in 0..2 {
            writeln!(
                out,
                "      <radio id=\"{radio}\" device_id=\"{device}\" ssid=\"Node{id}AP{radio}\" mode=\"ap\" protocol=\"802.11n\" channel=\"5500\" antenna_angle=\"120\" antenna_gain=\"16\" clients_accepted=\"Yes\" snmp_name=\"wlan{}\">",
                radio + 1
            )?;
            interface(out, port + radio, "wLan/Lan", &address(node, 1 + radio))?;
            if radio == 0 {
                for client in node + 1..node + CELL {
                    link(out, client, client, "ap/client")?;
                }
            } else if node > 0 {
                link(out, node, node - CELL, "wds")?;
            }
            writeln!(out, "       </interface>\n      </radio>")?;
        }
        for radio in 0..2 {
            interface(out, port + radio, "wLan/Lan", &address(node, 1 + radio))?;
            writeln!(out, "       </interface>")?;
        }
    } else {
        writeln!(
            out,
            "      <radio id=\"0\" device_id=\"{device}\" ssid=\"Node{id}CPE0\" mode=\"client\" protocol=\"802.11n\" antenna_angle=\"30\" antenna_gain=\"14\" clients_accepted=\"No\" snmp_name=\"ath0\">"
        )?;
        interface(out, port, "Wan", &main)?;
        link(out, node, node - node % CELL, "ap/client")?;
        writeln!(out, "       </interface>\n      </radio>")?;
        interface(out, port, "Wan", &main)?;
        writeln!(out, "       </interface>")?;
    }
    writeln!(out, "     </device>")?;
    if super_ {
        server(out, node)?;
    }
    writeln!(out, "    </node>")
}

fn server(out: &mut impl Write, node: u64) -> io::Result<()> {
    let (id, device) = (10_000 + node, 200_001 + node * 2);
    let kind = ["Proxy", "DNS", "NTP", "SNPgraphs"][(node / CELL % 4) as usize];
    writeln!(
        out,
        "     <device id=\"{device}\" mainipv4=\"{}\" title=\"Node{id}Srv\" type=\"server\" status=\"Working\" created=\"20120504 1040\">",
        address(node, 5)
    )?;
    interface(out, 500_003 + node * 4, "Lan", &address(node, 5))?;
    writeln!(out, "       </interface>")?;
    writeln!(
        out,
        "      <service id=\"{}\" title=\"srv{id}\" type=\"{kind}\" status=\"Working\" created=\"20150610 1105\"/>",
        1_000_000 + node
    )?;
    writeln!(out, "     </device>")
}

fn interface(out: &mut impl Write, id: u64, kind: &str, address: &str) -> io::Result<()> {
    writeln!(
        out,
        "       <interface id=\"{id}\" type=\"{kind}\" mac=\"02:00:00:{:02x}:{:02x}:{:02x}\" ipv4=\"{address}\" mask=\"255.255.255.224\">",
        id >> 16 & 255,
        id >> 8 & 255,
        id & 255
    )
}

/// A link is numbered after the node that has it as its way up.
fn link(out: &mut impl Write, number: u64, far: u64, kind: &str) -> io::Result<()> {
    writeln!(
        out,
        "        <link id=\"{}\" linked_device_id=\"{}\" linked_node_id=\"{}\" linked_interface_id=\"{}\" link_type=\"{kind}\" link_status=\"Working\"/>",
        3_000_000 + number,
        200_000 + far * 2,
        10_000 + far,
        500_000 + far * 4
    )
}
