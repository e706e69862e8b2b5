//! `relevo up`: two brokers and a gateway as three processes of this binary, on this machine.
//!
//! Directory: `a/` and `b/` are the brokers' stores, `gateway/` the gateway's state, `*.log` what they
//! log, `*.peer` where each broker finds the other, `relevo.key` the key that the stores are sealed
//! with, `up.json` what runs and where, `up.lock` what keeps a second `relevo up` out.

mod child;
mod health;
mod summary;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use clap::Args;

use crate::broker::HostPort;
use crate::exit::Failure;
use crate::key;
use crate::supervised::{Report, stop_wanted};
use crate::up::child::Child;
use crate::up::summary::{BrokerEntry, GatewayEntry, Summary};

/// How long all children together may take until all of it serves.
const START_MAX: Duration = Duration::from_secs(60);
const KEY_FILE: &str = "relevo.key";
const SUMMARY_FILE: &str = "up.json";
const LOCK_FILE: &str = "up.lock";

/// Flags of `relevo up`.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Where everything is stored; made when missing. Started again on it, it goes on where it stopped.
    #[arg(long, value_name = "DIR", default_value = "relevo-data")]
    dir: PathBuf,
    /// Where NATS clients and telnet reach the gateway; port 0 is any free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4222")]
    nats: HostPort,
    /// Where the gateway serves HTTP; port 0 is any free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    http: HostPort,
    /// Where the two brokers take clients themselves; port 0 is any free one.
    #[arg(
        long,
        value_name = "HOST:PORT,HOST:PORT",
        default_value = "127.0.0.1:4223,127.0.0.1:4224",
        value_delimiter = ',',
        num_args = 1
    )]
    broker_nats: Vec<HostPort>,
    /// Seal the stores with the keys in this file instead of one made in the directory.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Leave new stores unsealed. Refused for a sealed directory.
    #[arg(long, conflicts_with = "key")]
    no_seal: bool,
    /// Serve the original API too (/crearCola/… and so on). It changes state on GET.
    #[arg(long)]
    original_api: bool,
}

/// Runs `relevo up` until it is told to stop.
pub(crate) async fn run(arguments: UpArguments) -> Result<(), Failure> {
    let [nats_a, nats_b] = arguments.broker_nats.as_slice() else {
        return Err(Failure::plain(
            "--broker-nats takes two addresses, like 127.0.0.1:4223,127.0.0.1:4224",
        ));
    };
    let dir = &arguments.dir;
    std::fs::create_dir_all(dir)
        .map_err(|error| Failure::new(format!("make directory {}", dir.display()), error))?;
    let _lock = lock(dir)?;
    let stop = stop_wanted(false)?;
    tokio::pin!(stop);
    summary::remove(&dir.join(SUMMARY_FILE))?;
    let key = sealing(&arguments)?;
    let mut family = Family::start(&arguments, [nats_a, nats_b], key.as_deref());
    let started = tokio::select! {
        started = tokio::time::timeout(START_MAX, family.serve(&arguments)) => Some(started),
        () = &mut stop => None,
    };
    let outcome = match started {
        None => Ok(()),
        Some(Ok(Ok(()))) => family.watch(stop).await,
        Some(Ok(Err(failure))) => Err(failure),
        Some(Err(_)) => Err(Failure::plain(format!(
            "not all parts serve after {} s; look into the logs in {}",
            START_MAX.as_secs(),
            dir.display()
        ))),
    };
    family.stop().await;
    let removed = summary::remove(&dir.join(SUMMARY_FILE));
    outcome.and(removed)
}

/// Keeps a second `relevo up` out of the directory for as long as the file is open.
fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join(LOCK_FILE);
    let tried = || format!("lock {}", path.display());
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = options
        .open(&path)
        .map_err(|error| Failure::new(tried(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::plain(format!(
            "another relevo up runs on {}; stop it, or choose another --dir",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Failure::new(tried(), error)),
    }
}

/// The key file to seal with, made on the first start.
fn sealing(arguments: &UpArguments) -> Result<Option<PathBuf>, Failure> {
    let own = arguments.dir.join(KEY_FILE);
    let first_start = !["a", "b"]
        .iter()
        .any(|name| arguments.dir.join(name).exists());
    if arguments.no_seal {
        if own.exists() {
            return Err(Failure::plain(format!(
                "{} is sealed with {}; start it without --no-seal, or choose another --dir",
                arguments.dir.display(),
                own.display()
            )));
        }
        return Ok(None);
    }
    if let Some(key) = &arguments.key {
        return Ok(Some(key.clone()));
    }
    if own.exists() {
        return Ok(Some(own));
    }
    if !first_start {
        return Ok(None);
    }
    key::make(&own)?;
    say(&format!(
        "made {}: the stores are sealed with it. It lies beside them; --key FILE keeps it elsewhere.",
        own.display()
    ));
    Ok(Some(own))
}

/// The three processes.
struct Family {
    brokers: [Child; 2],
    gateway: Option<Child>,
}

impl Family {
    fn start(arguments: &UpArguments, nats: [&HostPort; 2], key: Option<&Path>) -> Self {
        let dir = &arguments.dir;
        let broker = |name: &'static str, nats: &HostPort| {
            let peer_file = dir.join(format!("{name}.peer"));
            // An address of an earlier start would only be knocked at in vain.
            let _ = std::fs::remove_file(&peer_file);
            let mut flags: Vec<std::ffi::OsString> = vec!["broker".into(), "--supervised".into()];
            let mut flag = |flag: &str, value: &std::ffi::OsStr| {
                flags.push(flag.into());
                flags.push(value.into());
            };
            flag("--name", name.as_ref());
            flag("--nats", nats.0.as_ref());
            flag("--peer-listen", "127.0.0.1:0".as_ref());
            flag("--peer-file", peer_file.as_ref());
            flag("--monitor", "127.0.0.1:0".as_ref());
            flag("--store", dir.join(name).as_ref());
            if let Some(key) = key {
                flag("--key", key.as_ref());
            }
            if arguments.no_seal {
                flags.push("--no-seal".into());
            }
            Child::new(name, dir, flags)
        };
        Self {
            brokers: [broker("a", nats[0]), broker("b", nats[1])],
            gateway: None,
        }
    }

    /// Starts everything and returns when it serves.
    async fn serve(&mut self, arguments: &UpArguments) -> Result<(), Failure> {
        let dir = &arguments.dir;
        for broker in &mut self.brokers {
            broker.start()?;
        }
        let mut entries = Vec::new();
        for (broker, other) in self.brokers.iter_mut().zip(["b", "a"]) {
            let Report::Broker {
                nats,
                peer: Some(peer),
                monitor: Some(monitor),
            } = broker.report().await?
            else {
                return Err(Failure::plain(format!(
                    "broker {} reports no addresses",
                    broker.name
                )));
            };
            summary::write(&dir.join(format!("{other}.peer")), peer.as_bytes())?;
            entries.push(BrokerEntry {
                name: broker.name.to_owned(),
                nats,
                peer,
                monitor,
                pid: broker.pid(),
                store: dir.join(broker.name),
                log: broker.log.clone(),
            });
        }
        let mut flags: Vec<std::ffi::OsString> = vec!["gateway".into(), "--supervised".into()];
        let state = dir.join("gateway");
        for (flag, value) in [
            ("--nats", arguments.nats.0.as_ref()),
            ("--http", arguments.http.0.as_ref()),
            ("--state", state.as_os_str()),
        ] {
            flags.extend([flag.into(), value.into()]);
        }
        for entry in &entries {
            flags.extend(["--broker".into(), (&entry.nats).into()]);
        }
        if arguments.original_api {
            flags.push("--original-api".into());
        }
        let gateway = self.gateway.insert(Child::new("gateway", dir, flags));
        gateway.start()?;
        let Report::Gateway { nats, http } = gateway.report().await? else {
            return Err(Failure::plain("the gateway reports no addresses"));
        };
        let gateway = GatewayEntry {
            nats,
            http,
            pid: gateway.pid(),
            log: gateway.log.clone(),
        };
        let addresses: Vec<String> = std::iter::once(&gateway.http)
            .chain(entries.iter().map(|entry| &entry.monitor))
            .cloned()
            .collect();
        self.unless_dead(health::all_serve(&addresses)).await?;
        let summary = Summary {
            gateway,
            brokers: entries,
        };
        let text = serde_json::to_vec_pretty(&summary)
            .map_err(|error| Failure::new("describe what runs", error))?;
        summary::write(&dir.join(SUMMARY_FILE), &text)?;
        say(&summary.tour());
        say("ready");
        Ok(())
    }

    /// Waits for `work`, unless a child dies first.
    async fn unless_dead(&mut self, work: impl Future<Output = ()>) -> Result<(), Failure> {
        let [a, b] = &mut self.brokers;
        let died = tokio::select! {
            () = work => return Ok(()),
            () = a.death() => a,
            () = b.death() => b,
            () = Child::death_of(self.gateway.as_mut()) => {
                return Err(self.gateway.as_ref().map_or_else(
                    || Failure::plain("the gateway ended"),
                    Child::obituary,
                ));
            }
        };
        Err(died.obituary())
    }

    /// Returns when the family is to stop. A child that dies is reported, the others go on; when none
    /// is left, that is a failure.
    async fn watch(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<(), Failure> {
        loop {
            let [a, b] = &mut self.brokers;
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = a.death() => a.mourn(),
                () = b.death() => b.mourn(),
                () = Child::death_of(self.gateway.as_mut()) => {
                    if let Some(gateway) = &mut self.gateway {
                        gateway.mourn();
                    }
                }
            }
            let gateway_lives = self.gateway.as_ref().is_some_and(Child::lives);
            if !gateway_lives && !self.brokers.iter().any(Child::lives) {
                return Err(Failure::plain("every part has ended; look into the logs"));
            }
        }
    }

    /// Stops the gateway, then the brokers.
    async fn stop(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.stop().await;
        }
        let [a, b] = &mut self.brokers;
        tokio::join!(a.stop(), b.stop());
    }
}

/// Tells the user. A reader that has gone away needs no answer.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
