//! Service types in words.

/// Types that people meet, and what they are.
const WORDS: [(&str, &str); 35] = [
    ("_airplay._tcp", "AirPlay"),
    ("_caldavs._tcp", "Calendar"),
    ("_carddavs._tcp", "Contacts"),
    ("_cloud9._tcp", "Editor"),
    ("_daap._tcp", "Music library"),
    ("_dns._udp", "Name server"),
    ("_domain._udp", "Name server"),
    ("_ftp._tcp", "File transfer"),
    ("_git._tcp", "Git repository"),
    ("_googlecast._tcp", "Chromecast"),
    ("_guifi-peer._udp", "Community box"),
    ("_http._tcp", "Web site"),
    ("_https._tcp", "Secure web site"),
    ("_imap._tcp", "Mail"),
    ("_imaps._tcp", "Mail"),
    ("_ipp._tcp", "Printer"),
    ("_ipps._tcp", "Printer"),
    ("_irc._tcp", "Chat"),
    ("_ldap._tcp", "Directory"),
    ("_mpd._tcp", "Music player"),
    ("_mqtt._tcp", "Message broker"),
    ("_nfs._tcp", "Network disk"),
    ("_ntp._udp", "Clock"),
    ("_printer._tcp", "Printer"),
    ("_pdl-datastream._tcp", "Printer"),
    ("_rfb._tcp", "Remote screen"),
    ("_rtsp._tcp", "Video stream"),
    ("_scanner._tcp", "Scanner"),
    ("_sftp-ssh._tcp", "File transfer"),
    ("_sip._udp", "Telephone"),
    ("_smb._tcp", "Network disk"),
    ("_ssh._tcp", "Remote terminal"),
    ("_webdav._tcp", "Network disk"),
    ("_workstation._tcp", "Computer"),
    ("_xmpp-client._tcp", "Chat"),
];

/// What a service of this type is, for a table.
pub(crate) fn of(kind: &str) -> String {
    WORDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(kind))
        .map_or_else(|| kind.to_owned(), |(_, words)| (*words).to_owned())
}
