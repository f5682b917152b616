//! A DHCP server with leases of seconds, which dnsmasq does not give.

use std::fs::File;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::lab::Lab;

/// Grants 10.77.0.`last` while it speaks, to be renewed after two seconds.
pub struct Server {
    pub last: Arc<AtomicU8>,
    /// How long a lease lasts, more than four.
    pub seconds: Arc<AtomicU32>,
    pub speaks: Arc<AtomicBool>,
    pub discovers: Arc<AtomicU32>,
}

impl Server {
    /// Serves in the lab's far namespace until the test's process ends.
    pub fn start(lab: &Lab) -> Server {
        let server = Server {
            last: Arc::new(AtomicU8::new(50)),
            seconds: Arc::new(AtomicU32::new(6)),
            speaks: Arc::new(AtomicBool::new(true)),
            discovers: Arc::default(),
        };
        let (last, seconds) = (Arc::clone(&server.last), Arc::clone(&server.seconds));
        let (speaks, discovers) = (Arc::clone(&server.speaks), Arc::clone(&server.discovers));
        let namespace = File::open(format!("/proc/{}/ns/net", lab.far_pid())).unwrap();
        thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let socket = UdpSocket::bind("0.0.0.0:67").unwrap();
            socket.set_broadcast(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let mut packet = [0; 1500];
            while let Ok(length) = socket.recv(&mut packet) {
                let packet = &packet[..length];
                if option(packet, 53) == Some(&[1]) {
                    discovers.fetch_add(1, Ordering::Relaxed);
                }
                if speaks.load(Ordering::Relaxed)
                    && let Some(answer) = answer(packet, last.load(Ordering::Relaxed), seconds.load(Ordering::Relaxed))
                {
                    socket.send_to(&answer, "255.255.255.255:68").unwrap();
                }
            }
        });
        server
    }
}

fn option(packet: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = packet.get(240..)?;
    while let [kind, length, ..] = *rest {
        let value = rest.get(2..2 + usize::from(length))?;
        if kind == code {
            return Some(value);
        }
        rest = &rest[2 + usize::from(length)..];
    }
    None
}

/// RFC 2131: an offer, an acknowledgement, or a refusal of any other address.
fn answer(packet: &[u8], last: u8, seconds: u32) -> Option<Vec<u8>> {
    let granted = [10, 77, 0, last];
    let asked: [u8; 4] = match option(packet, 50) {
        Some(asked) => asked.try_into().ok()?,
        None => packet.get(12..16)?.try_into().ok()?,
    };
    let kind = match option(packet, 53)? {
        [1] => 2,
        [3] if asked == granted => 5,
        [3] => 6,
        _ => return None,
    };
    let mut answer = packet.get(..236)?.to_vec();
    answer[0] = 2;
    answer[12..16].fill(0);
    answer[16..20].copy_from_slice(if kind == 6 { &[0; 4] } else { &granted });
    answer.extend([99, 130, 83, 99, 53, 1, kind, 54, 4, 10, 77, 0, 1]);
    if kind != 6 {
        for (code, seconds) in [(51, seconds), (58, 2), (59, 4)] {
            answer.extend([code, 4]);
            answer.extend(seconds.to_be_bytes());
        }
        answer.extend([1, 4, 255, 255, 255, 0]);
    }
    answer.push(255);
    Some(answer)
}
