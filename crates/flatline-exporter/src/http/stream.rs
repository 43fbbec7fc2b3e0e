//! A connection that a slow client can't hold.

use super::connections::Connection;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long an answer may wait for its client. It counts from the first write that has to wait: how long the scrape took is
/// not the client's fault.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Fails writes once the client has taken too long to take its answer, however busily it drips, and notes whether it is
/// owed one.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    inner: S,
    known: Arc<Connection>,
    /// Set while something waits for the client.
    deadline: Option<Pin<Box<Sleep>>>,
    patience: Duration,
}

impl<S> Impatient<S> {
    /// Wraps a fresh connection.
    pub(super) fn new(inner: S, known: Arc<Connection>, patience: Duration) -> Self {
        Self { inner, known, deadline: None, patience }
    }

    /// Passes a write's outcome on, unless the deadline has passed.
    fn judge<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_pending() && self.deadline.is_none() {
            self.known.untaken();
            self.deadline = Some(Box::pin(tokio::time::sleep(self.patience)));
        }
        let overdue = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if !overdue || matches!(outcome, Poll::Ready(Err(_))) {
            return outcome;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not take its answer in time")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.known.written();
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.known.written();
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Pending => self.judge(cx, Poll::Pending),
            // Nothing is owed: an idle connection is no slow client, however long it is kept.
            done => {
                self.deadline = None;
                self.known.flushed();
                done
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(cx) {
            Poll::Pending => self.judge(cx, Poll::Pending),
            // Nothing is owed: an idle connection is no slow client, however long it is kept.
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Impatient;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_cut_off() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Impatient::new(server, Arc::default(), Duration::from_secs(60));
        client.write_all(b"GET").await.expect("room");
        server.read_exact(&mut [0; 3]).await.expect("sent");
        let error = server.write_all(&[0; 1000]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Impatient::new(server, Arc::default(), Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(70)).await;
        server.flush().await.expect("nothing is owed");
        client.write_all(b"GET").await.expect("room");
        server.read_exact(&mut [0; 3]).await.expect("sent");
        server.write_all(b"200").await.expect("in time again");
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_the_scrape_took_is_not_the_clients_fault() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Impatient::new(server, Arc::default(), Duration::from_secs(60));
        client.write_all(b"GET").await.expect("room");
        server.read_exact(&mut [0; 3]).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let reading = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            client.read_exact(&mut [0; 100]).await.expect("answered");
        };
        let (written, ()) = tokio::join!(server.write_all(&[0; 100]), reading);
        written.expect("the client took it in time");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_says_meanwhile_wins_it_no_time() {
        let (mut client, server) = tokio::io::duplex(16);
        let server = Impatient::new(server, Arc::default(), Duration::from_secs(60));
        let (mut reading, mut writing) = tokio::io::split(server);
        let chatter = async {
            while client.write_all(b"G").await.is_ok() && reading.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = chatter => panic!("the client never stops"),
            written = writing.write_all(&[0; 100]) => {
                assert_eq!(written.expect_err("nobody reads").kind(), std::io::ErrorKind::TimedOut);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_cut_off() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Impatient::new(server, Arc::default(), Duration::from_secs(60));
        let dripping = async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if client.read_u8().await.is_err() {
                    return;
                }
            }
        };
        tokio::spawn(dripping);
        let error = server.write_all(&[0; 1000]).await.expect_err("too slow");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
