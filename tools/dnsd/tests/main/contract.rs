//! The daemon against its contract: interface, proxies, manuals.

use crate::common;

use clap::CommandFactory as _;
use common::{Bus, Daemon, SOON};
use guifi_dnsd::cli::{Cli, Command, Resolv};
use guifi_testing::bus::contract;
use guifi_testing::{
    command_faults, document_faults, example, interface, key_faults, member_faults, page,
};

/// Waits for what goes over the bus.
fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

#[test]
fn the_daemon_introspects_its_interface_and_every_proxy_method_answers() {
    let bus = Bus::new();
    let _daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let written = contract(&interface("net.guifi.Dns1"));
    assert!(!written.is_empty());
    block_on(async {
        let seen = bus
            .introspect(guifi_bus::DNS.name, guifi_bus::DNS.path)
            .await;
        assert_eq!(contract(&seen), written);
        let connection = bus.connect().await;
        let dns = guifi_bus::DnsProxy::new(&connection).await.unwrap();
        let document = dns.describe().await.unwrap();
        assert!(document.starts_with('{'));
        dns.show("10.in-addr.arpa").await.unwrap();
        let error = dns.show("nowhere").await.unwrap_err().to_string();
        assert!(error.contains("net.guifi.Error.NotFound"), "{error}");
        let admin = guifi_bus::DnsAdminProxy::new(&connection).await.unwrap();
        admin.flush().await.unwrap();
        let error = admin.take("nowhere").await.unwrap_err().to_string();
        assert!(error.contains("net.guifi.Error.Failed"), "{error}");
        let made = admin.add_key("k", "hmac-sha256", "", &["vall.example"], &["vall.example"]);
        let made = made.await.unwrap();
        assert_eq!(admin.show_key("k").await.unwrap(), made);
        let listed = admin.list_keys().await.unwrap();
        assert!(
            listed.contains("vall.example") && !listed.contains("secret"),
            "{listed}"
        );
        admin.revoke_key("k").await.unwrap();
        let error = admin.show_key("k").await.unwrap_err().to_string();
        assert!(error.contains("net.guifi.Error.NotFound"), "{error}");
        admin.flush_name("a.example").await.unwrap();
        assert!(admin.flush_name("a..b").await.is_err());
        admin.log_queries(1, 1, "10.0.0.0/8", "a").await.unwrap();
        let error = admin.log_queries(1, 1, "x", "").await.unwrap_err();
        assert!(error.to_string().contains("net.guifi.Error.Invalid"));
        let error = admin.refresh("nowhere", false).await.unwrap_err();
        assert!(
            error.to_string().contains("net.guifi.Error.NotFound"),
            "{error}"
        );
    });
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = Vec::new();
    for (name, command) in [
        ("guifi-dnsd.8", Cli::command()),
        ("guifi-dns.1", Command::command()),
        ("guifi-dnsd-resolv.8", Resolv::command()),
    ] {
        let found = command_faults(&page(name), &command);
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    let keys = [
        "listen",
        "port",
        "workers",
        "allow",
        "cache_bytes",
        "zones",
        "transfer",
        "notify",
        "upstream.mode",
        "upstream.dnssec",
        "upstream.recursor",
        "upstream.servers",
        "upstream.zones",
        "upstream.authorities",
        "portal.service",
        "portal.reverse",
        "secondary.bytes",
        "secondary.records",
        "secondary.seconds",
        "secondary.idle_seconds",
        "tcp.connections",
        "tcp.per_client",
        "tcp.idle_seconds",
        "limit.per_answer",
        "limit.per_network",
        "limit.slip",
        "limit.known",
        "limit.except",
    ];
    faults.extend(key_faults(&page("guifi-dnsd.toml.5"), keys));
    let example = example("dnsd");
    for key in keys {
        let last = key.rsplit('.').next().unwrap();
        assert!(
            example.contains(&format!("\n{last} = ")),
            "{key} is not in the example"
        );
    }
    let page = page("net.guifi.Dns1.5");
    faults.extend(member_faults(&page, &interface("net.guifi.Dns1")));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_manual_shows_every_member_of_the_described_document() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let faults = document_faults(&page("net.guifi.Dns1.5"), &daemon.describe());
    assert!(faults.is_empty(), "{faults:#?}");
    // The same document either way.
    let bus_document = block_on(async {
        let connection = bus.connect().await;
        guifi_bus::DnsProxy::new(&connection)
            .await
            .unwrap()
            .describe()
            .await
            .unwrap()
    });
    let printed = daemon.dns(&["status", "--json"]).stdout;
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        format!("{bus_document}\n")
    );
}
