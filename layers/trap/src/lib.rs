//! Breaks each ban of `layers/clippy.toml`, so that a ban that no longer bites is noticed.
//! Never part of anything.

pub fn clocks() -> (std::time::Instant, std::time::SystemTime) {
    (std::time::Instant::now(), std::time::SystemTime::now())
}

pub fn threads() {
    let _ = std::thread::spawn(|| {});
    let _ = std::thread::Builder::new().spawn(|| {});
    std::thread::sleep(std::time::Duration::ZERO);
}

pub fn files() {
    let _ = std::env::var("X");
    let _ = std::fs::read("x");
    let _ = std::fs::write("x", "y");
    let _ = std::fs::File::open("x");
}

pub fn sockets(_: std::net::TcpStream, _: std::net::TcpListener, _: std::net::UdpSocket) {}

pub fn maps(_: std::collections::HashMap<u8, u8>, _: std::collections::HashSet<u8>, _: std::hash::RandomState) {}
