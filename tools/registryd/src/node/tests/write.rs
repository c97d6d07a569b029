//! Writing own records.
use super::*;

#[test]
fn writes_faster_than_the_pace_wait_and_equal_ones_cost_nothing() {
    let mut town = Town::new(1);
    for n in 0..99 {
        // Twenty of a type count.
        town.put(0, &format!("_t{}._tcp/{n}", n / 20), n);
    }
    town.put(0, "_t0._tcp/0", 0);
    town.put(0, "x", 1);
    let now = town.now(0);
    let body: Map<String, Value> = json!({"n": 2}).as_object().unwrap().clone();
    let error = town
        .node(0)
        .put("service", "x", body, Duration::ZERO, now)
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Later(wait) if wait <= SECOND * 10),
        "{error:?}"
    );
    town.run(SECOND * 11);
    town.put(0, "x", 2);
}

#[test]
fn the_twenty_first_service_of_a_type_is_refused_at_once() {
    let mut town = Town::new(1);
    (0..20).for_each(|n| town.put(0, &format!("_x._tcp/{n}"), n));
    let now = town.now(0);
    let error = town
        .node(0)
        .put("service", "_x._tcp/z", Map::new(), Duration::ZERO, now)
        .unwrap_err();
    assert!(matches!(error, WriteError::Invalid(why) if why.contains("20 services")));
}

#[test]
fn no_record_lives_shorter_than_it_takes_to_renew_it() {
    let mut town = Town::new(2);
    town.run(SECOND * 5);
    let now = town.now(1);
    let node = town.node(1);
    node.put("service", "_x._tcp/a", Map::new(), SECOND, now)
        .unwrap();
    town.run(Duration::from_secs(3600));
    let key = RecordKey {
        owner: town.signers[1].key(),
        kind: "service".into(),
        name: "_x._tcp/a".into(),
    };
    assert!(town.node(0).book().view().get(&key).is_some());
}

#[test]
fn what_had_to_be_checked_at_a_start_is_sure_at_the_next() {
    let mut town = Town::new(2);
    town.run(Duration::from_secs(30));
    let path = town.dirs[1].path().join("registry.db");
    town.kill(1);
    let stored = Store::open(&path).unwrap();
    let count = stored.records.len();
    assert!(count > 2 && stored.unsure.is_empty());
    drop(stored);
    let direct = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(
        direct.execute("UPDATE record SET sum = NULL", []),
        Ok(count)
    );
    drop(direct);
    assert_eq!(Store::open(&path).unwrap().unsure.len(), count);
    town.boot(1);
    town.kill(1);
    assert!(Store::open(&path).unwrap().unsure.is_empty());
}
