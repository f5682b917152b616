//! A real DHCP server and router: dnsmasq, at the other end of one nic.
//!
//! Behind nic N are 10.77.N.0/24 and fd77:N::/64; the server is their number 1.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Elsewhere, PATIENCE};

/// What a server hands out. Nothing by default.
#[derive(Clone, Default)]
pub struct Offers {
    /// Addresses of 10.77.N.0/24 by their last number, with the server as router and name server.
    pub v4: Option<RangeInclusive<u8>>,
    /// Of IPv4, another router than the server.
    pub router: Option<std::net::Ipv4Addr>,
    /// Addresses of fd77:N::/64 by their last number, through DHCPv6.
    pub v6: Option<RangeInclusive<u16>>,
    /// What routers say of themselves.
    pub announce: Announce,
    /// Seconds of a lease, and of an announced prefix; dnsmasq makes less than 120 to 120.
    pub lease: u32,
    /// After how many seconds DHCPv4 clients renew and rebind (T1, T2).
    pub renew: Option<(u32, u32)>,
}

/// Router advertisements.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Announce {
    /// None.
    #[default]
    Nothing,
    /// That there is a router, and that addresses come by DHCPv6 (for [`Offers::v6`]).
    Router,
    /// That there is a router, and a prefix from which everybody takes an address (SLAAC).
    Prefix,
}

/// A server. It starts and stops; what it has leased survives that.
pub struct Server {
    pub place: Elsewhere,
    number: usize,
    dir: TempDir,
    dnsmasq: Option<Child>,
}

impl Server {
    /// A place for one behind the nic with that number.
    pub fn behind(number: usize) -> Server {
        let place = Elsewhere::new();
        let mut commands = format!("addr add 10.77.{number}.1/24 dev peer{number}\n");
        // A kernel without IPv6 has neither.
        if Path::new("/proc/sys/net/ipv6").exists() {
            commands += &format!("addr add fd77:{number}::1/64 dev peer{number} nodad\n");
        }
        place.take(&format!("peer{number}"), &commands);
        let dir = tempfile::Builder::new().prefix("dnsmasq").tempdir().unwrap();
        Server { place, number, dir, dnsmasq: None }
    }

    /// Starts, or starts anew with other offers; it serves when this returns.
    pub fn start(&mut self, offers: &Offers) {
        self.stop();
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let mut command = self.place.command("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0"]);
        command.args(["--user=root", "--group=root", "--bind-interfaces", "--no-ping", "--dhcp-authoritative"]);
        command.arg("--log-dhcp").arg(format!("--log-facility={}", path("log")));
        command.arg(format!("--dhcp-leasefile={}", path("leases"))).arg(format!("--pid-file={}", path("pid")));
        command.arg(format!("--interface=peer{}", self.number)).args(offers.arguments(self.number));
        let _ = fs::remove_file(path("pid"));
        self.dnsmasq = Some(command.stdin(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        // It says its number once it has its sockets.
        while fs::read_to_string(path("pid")).unwrap_or_default().is_empty() {
            let ended = self.dnsmasq.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "no dnsmasq: {ended:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Gone without a word, as a server that has failed.
    pub fn stop(&mut self) {
        if let Some(mut dnsmasq) = self.dnsmasq.take() {
            let _ = dnsmasq.kill();
            dnsmasq.wait().unwrap();
        }
    }

    /// It no longer knows what it has leased; only while it is stopped.
    pub fn forget(&mut self) {
        assert!(self.dnsmasq.is_none());
        let _ = fs::remove_file(self.dir.path().join("leases"));
    }

    /// The addresses that are leased, in order.
    pub fn leases(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("leases")).unwrap_or_default();
        // `EXPIRY MAC ADDRESS NAME ID`, with a line `duid ..` above the IPv6 ones.
        let address = |line: &str| line.split(' ').nth(2).map(str::to_owned);
        let mut all: Vec<String> = text.lines().filter_map(address).collect();
        all.sort();
        all
    }

    /// All that it has said, with each option of each message.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("the log of dnsmasq:\n{}", self.log());
        }
    }
}

impl Offers {
    fn arguments(&self, n: usize) -> Vec<String> {
        let lease = self.lease;
        let mut arguments = Vec::new();
        if let Some(range) = &self.v4 {
            let (first, last) = range.clone().into_inner();
            arguments.push(format!("--dhcp-range=10.77.{n}.{first},10.77.{n}.{last},255.255.255.0,{lease}"));
            let own = std::net::Ipv4Addr::new(10, 77, u8::try_from(n).unwrap(), 1);
            arguments.push(format!("--dhcp-option=3,{}", self.router.unwrap_or(own)));
            arguments.push(format!("--dhcp-option=6,{own}"));
        }
        if let Some(range) = &self.v6 {
            let (first, last) = range.clone().into_inner();
            arguments.push(format!("--dhcp-range=fd77:{n}::{first:x},fd77:{n}::{last:x},64,{lease}"));
        }
        if self.announce == Announce::Prefix {
            arguments.push(format!("--dhcp-range=fd77:{n}::,ra-only,64,{lease}"));
        }
        if self.announce != Announce::Nothing {
            arguments.extend(["--enable-ra".to_owned(), format!("--ra-param=peer{n},4,600")]);
        }
        if let Some((renew, rebind)) = self.renew {
            arguments
                .extend([(58, renew), (59, rebind)].map(|(option, s)| format!("--dhcp-option-force={option},{s}")));
        }
        arguments
    }
}
