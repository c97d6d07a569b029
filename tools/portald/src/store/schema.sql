-- Data come in generations: one import of one source. Of things in several sources the
-- newest generation counts, with all that belongs to it there.
CREATE TABLE IF NOT EXISTS source (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    gen INTEGER NOT NULL UNIQUE,
    fetched INTEGER NOT NULL,  -- microseconds: when the data came
    checked INTEGER NOT NULL,  -- microseconds: when the portal last said that they are current
    generated TEXT NOT NULL,
    etag TEXT,
    modified TEXT,
    token TEXT,
    entries INTEGER NOT NULL,
    faults INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS zone (
    gen INTEGER NOT NULL, id INTEGER NOT NULL, parent INTEGER, title TEXT NOT NULL,
    time_zone TEXT NOT NULL, ntp_servers TEXT NOT NULL, dns_servers TEXT NOT NULL,
    graph_server INTEGER,      -- NULL inherited, -1 nobody
    created TEXT, updated TEXT,
    UNIQUE (id, gen)
);
CREATE TABLE IF NOT EXISTS node (
    gen INTEGER NOT NULL, id INTEGER NOT NULL, zone INTEGER NOT NULL, title TEXT NOT NULL,
    latitude REAL, longitude REAL, elevation INTEGER, status TEXT NOT NULL,
    graph_server INTEGER, created TEXT, updated TEXT,
    UNIQUE (id, gen)
);
CREATE INDEX IF NOT EXISTS node_title ON node (title COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS device (
    gen INTEGER NOT NULL, id INTEGER NOT NULL, node INTEGER NOT NULL, title TEXT NOT NULL,
    kind TEXT NOT NULL, status TEXT NOT NULL, address INTEGER, firmware TEXT NOT NULL,
    model TEXT NOT NULL, snmp_index INTEGER, graph_server INTEGER, created TEXT, updated TEXT,
    UNIQUE (id, gen)
);
CREATE INDEX IF NOT EXISTS device_node ON device (node);
CREATE INDEX IF NOT EXISTS device_address ON device (address) WHERE address IS NOT NULL;
CREATE TABLE IF NOT EXISTS radio (
    gen INTEGER NOT NULL, device INTEGER NOT NULL, id INTEGER NOT NULL, ssid TEXT NOT NULL,
    mode TEXT NOT NULL, protocol TEXT NOT NULL, channel INTEGER, antenna_angle INTEGER,
    antenna_gain REAL, antenna_azimuth INTEGER, clients_accepted INTEGER,
    snmp_name TEXT NOT NULL, snmp_index INTEGER,
    UNIQUE (device, id, gen)
);
CREATE TABLE IF NOT EXISTS interface (
    gen INTEGER NOT NULL, id INTEGER NOT NULL, device INTEGER NOT NULL, radio INTEGER,
    kind TEXT NOT NULL, mac TEXT, address INTEGER, mask INTEGER,
    UNIQUE (id, gen)
);
CREATE INDEX IF NOT EXISTS interface_device ON interface (device);
CREATE INDEX IF NOT EXISTS interface_address ON interface (address) WHERE address IS NOT NULL;
CREATE TABLE IF NOT EXISTS link (
    gen INTEGER NOT NULL, id INTEGER NOT NULL,
    interface INTEGER NOT NULL, device INTEGER NOT NULL, node INTEGER NOT NULL,
    far_interface INTEGER NOT NULL, far_device INTEGER NOT NULL, far_node INTEGER NOT NULL,
    kind TEXT NOT NULL, status TEXT NOT NULL,
    UNIQUE (id, interface, gen)
);
CREATE INDEX IF NOT EXISTS link_interface ON link (interface);
CREATE INDEX IF NOT EXISTS link_far_interface ON link (far_interface);
CREATE TABLE IF NOT EXISTS service (
    gen INTEGER NOT NULL, id INTEGER NOT NULL, device INTEGER NOT NULL, title TEXT NOT NULL,
    kind TEXT NOT NULL, status TEXT NOT NULL, created TEXT, updated TEXT,
    UNIQUE (id, gen)
);
CREATE INDEX IF NOT EXISTS service_device ON service (device);
CREATE INDEX IF NOT EXISTS service_title ON service (title COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS proxy (
    gen INTEGER NOT NULL, position INTEGER NOT NULL, nick TEXT NOT NULL, host TEXT NOT NULL,
    port INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS member (
    gen INTEGER NOT NULL, position INTEGER NOT NULL, proxy INTEGER NOT NULL, mode TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS domains (gen INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS address (
    gen INTEGER NOT NULL, address INTEGER NOT NULL, device INTEGER NOT NULL, nick TEXT NOT NULL,
    UNIQUE (address, device, gen)
);
CREATE VIEW IF NOT EXISTS live_zone AS SELECT * FROM zone z
    WHERE NOT EXISTS (SELECT 1 FROM zone m WHERE m.id = z.id AND m.gen > z.gen);
CREATE VIEW IF NOT EXISTS live_node AS SELECT * FROM node n
    WHERE NOT EXISTS (SELECT 1 FROM node m WHERE m.id = n.id AND m.gen > n.gen);
PRAGMA user_version = 1;
