//! A gate before each embedded server: requests pass, or are caught and delivered later.
//!
//! What a slow network does to a request, made a tool: a caught request has left its sender and
//! has not reached the server. The sender knows nothing of it. Delivering it later, when others
//! have gone on, is the situation that fencing exists for (I2, I4).

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::host::{Backend, HostResponse, read};

type Rule = Box<dyn Fn(&Request<Bytes>) -> bool + Send + Sync>;

struct Armed {
    id: u64,
    matches: Rule,
    caught: mpsc::UnboundedSender<Held>,
}

/// The gate; clones are one gate.
#[derive(Clone, Default)]
pub struct Gate {
    armed: Arc<Mutex<(u64, Vec<Armed>)>>,
}

impl Gate {
    /// Catches every request that matches, until the trap is dropped.
    pub fn trap(&self, matches: impl Fn(&Request<Bytes>) -> bool + Send + Sync + 'static) -> Trap {
        let (caught, held) = mpsc::unbounded_channel();
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        armed.0 += 1;
        let id = armed.0;
        armed.1.push(Armed { id, matches: Box::new(matches), caught });
        Trap { gate: self.clone(), id, held }
    }

    /// Lets a request pass, or waits until somebody delivers it; none if nobody ever will.
    pub(super) async fn pass(
        &self,
        backend: &Arc<dyn Backend>,
        request: Request<Bytes>,
    ) -> Option<HostResponse> {
        let (answer, answered) = oneshot::channel();
        let caught = {
            let armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
            match armed.1.iter().find(|rule| (rule.matches)(&request)) {
                Some(rule) => {
                    let held = Held {
                        request: copy(&request),
                        backend: Arc::clone(backend),
                        answer: Some(answer),
                    };
                    rule.caught.send(held).is_ok()
                }
                None => false,
            }
        };
        if caught { answered.await.ok() } else { Some(backend.call(request).await) }
    }
}

/// Catches requests while it lives.
pub struct Trap {
    gate: Gate,
    id: u64,
    held: mpsc::UnboundedReceiver<Held>,
}

impl Trap {
    /// The next request caught.
    pub async fn next(&mut self) -> Held {
        let held = self.held.recv().await;
        held.expect("the gate keeps the sending half as long as the trap is armed")
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        let mut armed = self.gate.armed.lock().unwrap_or_else(PoisonError::into_inner);
        armed.1.retain(|rule| rule.id != self.id);
    }
}

/// A request that has left its sender and has not reached the server.
pub struct Held {
    request: Request<Bytes>,
    backend: Arc<dyn Backend>,
    answer: Option<oneshot::Sender<HostResponse>>,
}

/// What the server said to a delivered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Status code.
    pub status: StatusCode,
    /// Body.
    pub body: Bytes,
}

impl Delivered {
    /// The reason that the server gives, shortened to one line.
    #[must_use]
    pub fn message(&self) -> String {
        let json = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let said = json.as_ref().and_then(|status| status["message"].as_str()).map(str::to_owned);
        let text = said.unwrap_or_else(|| {
            let xml = String::from_utf8_lossy(&self.body);
            let code = xml.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next());
            code.unwrap_or_default().to_owned()
        });
        text.lines().next().unwrap_or_default().chars().take(200).collect()
    }
}

impl Held {
    /// The request as it was sent.
    #[must_use]
    pub fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    /// Hands the request to the server as it was sent, and the answer to its sender if that still
    /// waits.
    pub async fn deliver(mut self) -> Delivered {
        let (status, head, body) = read(self.backend.call(copy(&self.request)).await).await;
        let answer = HostResponse::full(head, body.clone());
        if let Some(sender) = self.answer.take() {
            // Nobody waits if the sender has given up; what was applied stays applied.
            let _ = sender.send(answer);
        }
        Delivered { status, body }
    }

    /// Hands a changed copy of the request to the server; its sender gets no answer.
    pub async fn deliver_as(&self, body: Bytes) -> Delivered {
        let mut request = copy(&self.request);
        request.headers_mut().remove(http::header::CONTENT_LENGTH);
        *request.body_mut() = body;
        let (status, _, body) = read(self.backend.call(request).await).await;
        Delivered { status, body }
    }

    /// A second hold of the same request, without a sender that waits.
    #[must_use]
    pub fn duplicate(&self) -> Held {
        Held { request: copy(&self.request), backend: Arc::clone(&self.backend), answer: None }
    }
}

/// Requests with extensions cannot be cloned as a whole; no server here reads extensions.
fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copied = Request::new(request.body().clone());
    *copied.method_mut() = request.method().clone();
    *copied.uri_mut() = request.uri().clone();
    *copied.version_mut() = request.version();
    *copied.headers_mut() = request.headers().clone();
    copied
}
