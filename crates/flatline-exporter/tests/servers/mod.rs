//! Servers for probes to ask, over HTTP and HTTPS.

#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file and uses its part")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use tempfile::NamedTempFile;

/// Serves every connection on a thread of its own until the test ends.
pub fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Reads a request's head and returns its path.
pub fn path_of(stream: &mut impl Read) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    lines.map_while(Result::ok).find(String::is_empty)?;
    Some(path)
}

/// Answers with a whole body.
pub fn respond(stream: &mut impl Write, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}");
}

/// An authority, and servers with certificates of it.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut wanted = CertificateParams::new(Vec::new()).expect("names");
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(wanted, KeyPair::generate().expect("key")).expect("signed"))
    }

    /// Its certificate, as a file.
    pub fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::new().expect("file");
        std::fs::write(file.path(), self.0.pem()).expect("write");
        file
    }

    /// Says ok to everyone who trusts its certificate, which ends on New Year's Day of that year.
    pub fn server(&self, name: &str, ends: i32) -> SocketAddr {
        let key = KeyPair::generate().expect("key");
        let mut wanted = CertificateParams::new(vec![name.to_owned()]).expect("names");
        wanted.not_before = rcgen::date_time_ymd(2015, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(ends, 1, 1);
        let certificate = wanted.signed_by(&key, &self.0).expect("signed");
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate");
        let config = Arc::new(config);
        serve(move |mut stream| {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("connection");
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            if path_of(&mut tls).is_some() {
                respond(&mut tls, "200 OK", "", "ok");
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        })
    }
}
