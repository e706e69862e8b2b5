//! Which servers to try, and in which order.

use std::sync::Arc;

use relevo_protocol::info::ServerInfo;

use crate::options::ConnectOptions;

/// The most servers that are learned from INFO.
const LEARNED_MAX: usize = 64;

/// The port of an address that has none.
const DEFAULT_PORT: u16 = 4222;

/// The servers in order: those that were named, then those that servers told of.
#[derive(Debug)]
pub(super) struct Servers {
    named: Vec<Arc<str>>,
    learned: Vec<Arc<str>>,
    learns: bool,
    last: Option<Arc<str>>,
}

impl Servers {
    pub(super) fn new(options: &ConnectOptions) -> Self {
        let mut named: Vec<Arc<str>> = Vec::new();
        for address in options.servers.iter().map(|address| with_port(address)) {
            if !named.contains(&address) {
                named.push(address);
            }
        }
        Self {
            named,
            learned: Vec::new(),
            learns: options.discover,
            last: None,
        }
    }

    /// Each server once, beginning behind the one that was connected to last.
    pub(super) fn next_round(&self) -> Vec<Arc<str>> {
        let mut round: Vec<_> = self.named.iter().chain(&self.learned).cloned().collect();
        if let Some(last) = round
            .iter()
            .position(|server| Some(server) == self.last.as_ref())
        {
            round.rotate_left(last + 1);
        }
        round
    }

    pub(super) fn connected_to(&mut self, server: &Arc<str>) {
        self.last = Some(Arc::clone(server));
    }

    /// Takes over what a server says about its neighbours, in place of what was said before.
    pub(super) fn learn(&mut self, info: &ServerInfo) {
        if !self.learns || info.connect_urls.is_empty() {
            return;
        }
        self.learned.clear();
        for address in info.connect_urls.iter().map(|address| with_port(address)) {
            if self.learned.len() < LEARNED_MAX
                && !self.named.contains(&address)
                && !self.learned.contains(&address)
            {
                self.learned.push(address);
            }
        }
    }
}

/// `host:port` of an address that may begin with `nats://` and may have no port.
fn with_port(address: &str) -> Arc<str> {
    let address = address.trim();
    let address = address
        .strip_prefix("nats://")
        .unwrap_or(address)
        .trim_end_matches('/');
    let after_host = address.rsplit_once(']').map_or(address, |(_, after)| after);
    let has_port = after_host.contains(':');
    if has_port || address.is_empty() {
        Arc::from(address)
    } else {
        format!("{address}:{DEFAULT_PORT}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(&*with_port(input), expected);
    }

    #[test]
    fn an_address_without_a_port_has_the_port_of_nats() {
        check("host", "host:4222");
        check("host:1", "host:1");
        check("nats://host", "host:4222");
        check("nats://host:1/", "host:1");
        check("[::1]", "[::1]:4222");
        check("[::1]:1", "[::1]:1");
        check(" 127.0.0.1 ", "127.0.0.1:4222");
    }

    fn servers(named: &[&str]) -> Servers {
        let options = named
            .iter()
            .fold(ConnectOptions::new(), |options, name| options.server(*name));
        Servers::new(&options)
    }

    fn round(servers: &Servers) -> Vec<String> {
        servers
            .next_round()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_round_begins_behind_the_server_that_was_lost() {
        let mut servers = servers(&["a:1", "b:1", "a:1", "c:1"]);
        assert_eq!(round(&servers), ["a:1", "b:1", "c:1"]);
        servers.connected_to(&Arc::from("b:1"));
        assert_eq!(round(&servers), ["c:1", "a:1", "b:1"]);
        servers.connected_to(&Arc::from("c:1"));
        assert_eq!(round(&servers), ["a:1", "b:1", "c:1"]);
    }

    #[test]
    fn servers_that_a_server_tells_of_come_last_and_replace_each_other() {
        let mut servers = servers(&["a:1"]);
        servers.learn(&ServerInfo {
            connect_urls: vec!["a:1".into(), "d".into()],
            ..ServerInfo::default()
        });
        assert_eq!(round(&servers), ["a:1", "d:4222"]);
        servers.learn(&ServerInfo {
            connect_urls: vec!["e:1".into()],
            ..ServerInfo::default()
        });
        assert_eq!(round(&servers), ["a:1", "e:1"]);
        servers.learn(&ServerInfo::default());
        assert_eq!(round(&servers), ["a:1", "e:1"]);
    }

    #[test]
    fn no_more_than_64_servers_are_learned() {
        let mut servers = servers(&["a:1"]);
        let connect_urls = (0..100).map(|n| format!("h{n}:1")).collect();
        servers.learn(&ServerInfo {
            connect_urls,
            ..ServerInfo::default()
        });
        assert_eq!(round(&servers).len(), 1 + LEARNED_MAX);
    }
}
