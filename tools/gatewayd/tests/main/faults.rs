//! Servers that vanish, hang, lie, are damaged or restart; a gateway that is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use crate::gateway::Gateway;
use crate::grid::{Grid, eventually, noise};

/// Changes a byte in the middle of a file that may be read only.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    overwrite(path, &bytes);
}

fn overwrite(path: &Path, bytes: &[u8]) {
    let old = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, old).unwrap();
}

fn same(gateway: &Gateway, cap: &str, bytes: &[u8]) {
    let got = gateway.get(&format!("/uri/{cap}"));
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(got.body == bytes);
}

#[test]
fn servers_that_vanish_or_hang_are_done_without() {
    let mut grid = Grid::new(4);
    let gateway = Gateway::new(&grid.yaml(), [2, 3, 4]);
    let bytes = noise(2_500_000, 1);
    let cap = gateway.put(&bytes);
    let root = gateway.ask("POST", "/uri?t=mkdir", b"").ok();
    grid.servers[0].kill();
    grid.servers[1].signal("STOP");
    same(&gateway, &cap, &bytes);
    grid.servers[1].signal("CONT");
    // One away: three of four are happy.
    let more = noise(70_000, 2);
    eventually("the server that hung is used again", || {
        let put = gateway.ask("PUT", "/uri", &more);
        (put.status == 200).then(|| put.text())
    });
    gateway
        .ask("PUT", &format!("/uri/{root}/x?t=uri"), cap.as_bytes())
        .ok();
    // Two away: clearly refused, nothing half is left.
    grid.servers[2].kill();
    let refused = gateway.ask("PUT", "/uri", &noise(70_000, 3));
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("3 are needed"),
        "{}",
        refused.text()
    );
    // Three away: not readable, said so; back again: readable.
    grid.servers[3].kill();
    assert_eq!(gateway.get(&format!("/uri/{cap}")).status, 410);
    for server in [0, 2, 3] {
        grid.servers[server].start();
    }
    eventually("the file is read again", || {
        (gateway.get(&format!("/uri/{cap}")).body == bytes).then_some(())
    });
}

#[test]
fn damaged_and_foreign_shares_are_noticed_and_repaired() {
    let grid = Grid::new(4);
    let gateway = Gateway::new(&grid.yaml(), [2, 4, 4]);
    let (one, other) = (noise(1_500_000, 1), noise(1_500_000, 2));
    let cap = gateway.put(&one);
    let share = |server: usize| grid.servers[server].shares()[0].clone();
    let paths = [share(0), share(1)];
    let second = gateway.put(&other);
    // One is damaged, another server has somebody else's bytes in its place.
    damage(&paths[0]);
    let foreign = grid.servers[1]
        .shares()
        .into_iter()
        .find(|path| *path != paths[1]);
    overwrite(&paths[1], &fs::read(foreign.unwrap()).unwrap());
    same(&gateway, &cap, &one);
    same(&gateway, &second, &other);
    let check = |query: &str| {
        let path = format!("/uri/{cap}?t=check&output=JSON&{query}");
        gateway.ask("POST", &path, b"").json()
    };
    let found = check("verify=true");
    assert_eq!(found["results"]["healthy"], false, "{found}");
    assert_eq!(found["results"]["count-shares-good"], 2, "{found}");
    assert_eq!(found["results"]["recoverable"], true);
    // Whether it succeeds is up to the servers: to have set aside what they were told is damaged.
    let repaired = check("verify=true&repair=true");
    assert_eq!(repaired["repair-attempted"], true, "{repaired}");
    same(&gateway, &cap, &one);
}

#[test]
fn shares_of_a_lost_server_are_made_anew_on_another() {
    let mut grid = Grid::new(5);
    let gateway = Gateway::new(&grid.yaml(), [2, 4, 4]);
    grid.servers[4].kill();
    let bytes = noise(1_500_000, 7);
    let cap = gateway.put(&bytes);
    let root = gateway.ask("POST", "/uri?t=mkdir", b"").ok();
    gateway
        .ask("PUT", &format!("/uri/{root}/x?t=uri"), cap.as_bytes())
        .ok();
    grid.servers[4].start();
    // It was left alone for a while.
    eventually("the gateway knows that it is back", || {
        let document = gateway.get("/?t=describe").json();
        let servers = document["servers"].as_array().unwrap().clone();
        let mut back = servers
            .iter()
            .filter(|server| server["nickname"] == "ours-4");
        back.any(|server| server["state"] == "up").then_some(())
    });
    grid.servers[0].kill();
    for cap in [&cap, &root] {
        let path = format!("/uri/{cap}?t=check&output=JSON&repair=true");
        let repaired = eventually("it is repaired", || {
            let repaired = gateway.ask("POST", &path, b"").json();
            (repaired["post-repair-results"]["results"]["healthy"] == true).then_some(repaired)
        });
        assert_eq!(
            repaired["post-repair-results"]["results"]["count-shares-good"],
            4
        );
    }
    // The verify cap is enough to repair, and the new share is a good one.
    grid.servers[1].kill();
    grid.servers[2].kill();
    same(&gateway, &cap, &bytes);
    assert_eq!(gateway.get(&format!("/uri/{root}/x?t=uri")).ok(), cap);
}

#[test]
fn a_server_that_restarts_in_the_middle_of_an_upload_costs_nothing() {
    let mut grid = Grid::new(4);
    let gateway = Gateway::new(&grid.yaml(), [2, 4, 4]);
    let bytes = noise(40_000_000, 5);
    thread::scope(|scope| {
        let upload = scope.spawn(|| gateway.ask("PUT", "/uri", &bytes));
        let incoming = grid.servers[1]
            .dir
            .path()
            .join("var/lib/guifi/storaged/incoming");
        eventually("the upload has begun", || {
            fs::read_dir(&incoming).ok()?.next().map(drop)
        });
        grid.servers[1].kill();
        grid.servers[1].start();
        let put = upload.join().unwrap();
        // All four must hold shares: either it came back in time, or it is clearly refused.
        match put.status {
            200 => same(&gateway, &put.text(), &bytes),
            status => {
                assert_eq!(status, 503, "{}", put.text());
                let again = eventually("it is stored", || {
                    let put = gateway.ask("PUT", "/uri", &bytes);
                    (put.status == 200).then(|| put.text())
                });
                same(&gateway, &again, &bytes);
            }
        }
    });
}

#[test]
fn a_wrong_key_on_a_known_address_is_no_server() {
    let grid = Grid::new(2);
    let yaml = grid.yaml();
    // The first one's address with the key of the second.
    let nurl = |number: usize| {
        let entry = grid.servers[number].entry(number);
        let line = entry.lines().find(|line| line.contains("- pb://")).unwrap();
        line.trim().trim_start_matches("- ").to_owned()
    };
    let hash = |nurl: &str| nurl[5..nurl.find('@').unwrap()].to_owned();
    let (first, second) = (nurl(0), nurl(1));
    let wrong = yaml.replace(&first, &first.replace(&hash(&first), &hash(&second)));
    let gateway = Gateway::new(&wrong, [1, 2, 2]);
    let refused = gateway.ask("PUT", "/uri", &noise(1000, 1));
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("certificate"), "{}", refused.text());
    assert!(grid.servers[0].shares().is_empty());
}

#[test]
fn a_gateway_that_is_killed_at_any_instant_lost_nothing_it_acknowledged() {
    let grid = Grid::new(3);
    let mut gateway = Gateway::new(&grid.yaml(), [2, 3, 3]);
    let root = gateway.ask("POST", "/uri?t=mkdir", b"").ok();
    let mut kept = Vec::new();
    for round in 0..6_u64 {
        let bytes = noise(300_000, round);
        let name = format!("f{round}");
        let path = format!("/uri/{root}/{name}");
        if gateway.ask("PUT", &path, &bytes).status < 300 {
            kept.push((name, bytes));
        }
        // One is under way when it ends.
        let dying = noise(3_000_000, 100 + round);
        let address = gateway.address();
        let request = format!(
            "PUT {path}-dying HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n"
        );
        let sender = thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let Ok(mut socket) = std::net::TcpStream::connect(address) else {
                return;
            };
            let _ = socket.write_all(request.as_bytes());
            let _ = socket.write_all(&dying);
            let _ = socket.read(&mut [0; 100]);
        });
        thread::park_timeout(std::time::Duration::from_millis(7 * round));
        gateway.kill();
        sender.join().unwrap();
        gateway.start();
    }
    for (name, bytes) in &kept {
        let got = gateway.get(&format!("/uri/{root}/{name}"));
        assert!(
            got.status == 200 && got.body == *bytes,
            "{name}: {}",
            got.status
        );
    }
    assert!(kept.len() >= 5);
}

#[test]
fn an_upload_that_was_cut_off_is_no_hindrance_to_the_next() {
    let grid = Grid::new(3);
    let mut gateway = Gateway::new(&grid.yaml(), [2, 3, 3]);
    let bytes = noise(40_000_000, 9);
    let incoming = |server: usize| {
        let state = grid.servers[server].dir.path().join("var/lib/guifi");
        fs::read_dir(state.join("storaged/incoming")).unwrap()
    };
    let (address, dying) = (gateway.address(), bytes.clone());
    let sender = thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        let head = format!(
            "PUT /uri HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            dying.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(&dying).unwrap();
        let _ = socket.read(&mut [0; 100]);
    });
    eventually("the upload has begun everywhere", || {
        (0..3)
            .all(|server| incoming(server).count() > 0)
            .then_some(())
    });
    gateway.kill();
    sender.join().unwrap();
    assert!((0..3).any(|server| incoming(server).count() > 0));
    gateway.start();
    let cap = gateway.put(&bytes);
    same(&gateway, &cap, &bytes);
    assert!((0..3).all(|server| incoming(server).count() == 0));
}

#[test]
fn the_same_contents_may_be_stored_many_times_at_once() {
    let grid = Grid::new(3);
    let gateway = Gateway::new(&grid.yaml(), [2, 3, 3]);
    let bytes = noise(2_000_000, 8);
    let caps: Vec<String> = thread::scope(|scope| {
        let puts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| gateway.put(&bytes)))
            .collect();
        puts.into_iter().map(|put| put.join().unwrap()).collect()
    });
    assert!(caps.iter().all(|cap| *cap == caps[0]));
    same(&gateway, &caps[0], &bytes);
}

#[test]
fn a_full_disk_of_the_gateway_is_said() {
    let grid = Grid::new(1);
    let gateway = Gateway::new(&grid.yaml(), [1, 1, 1]);
    let spool = gateway.path("var/cache/guifi/gatewayd");
    // No place to wait is as good as a full one.
    fs::remove_dir(&spool).unwrap();
    let refused = gateway.ask("PUT", "/uri", &noise(2_000_000, 1));
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("cannot keep the file in"),
        "{}",
        refused.text()
    );
    fs::create_dir(&spool).unwrap();
    gateway.put(&noise(2_000_000, 1));
}
