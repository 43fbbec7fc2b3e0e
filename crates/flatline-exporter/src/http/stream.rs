//! A connection that a slow client can't hold.

use super::connections::Connection;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long after the last byte of a request its answer must have been taken.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Fails writes once the client has taken too long to take its answer, however busily it drips, and notes whether it is
/// owed one.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    inner: S,
    known: Arc<Connection>,
    deadline: Pin<Box<Sleep>>,
    patience: Duration,
}

impl<S> Impatient<S> {
    /// Wraps a fresh connection.
    pub(super) fn new(inner: S, known: Arc<Connection>, patience: Duration) -> Self {
        Self { inner, known, deadline: Box::pin(tokio::time::sleep(patience)), patience }
    }

    /// Passes a write's outcome on, unless the deadline has passed.
    fn judge<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(outcome, Poll::Ready(Err(_))) || self.deadline.as_mut().poll(cx).is_pending() {
            return outcome;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not take its answer in time")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            let deadline = Instant::now() + self.patience;
            self.deadline.as_mut().reset(deadline);
        }
        Poll::Ready(Ok(()))
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
