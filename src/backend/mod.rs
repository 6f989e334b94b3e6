//! Asks the application behind the server over HTTP, on a thread of its own: what the cores want to
//! know, each question a request, and what they tell, many in one. On another it passes requests on
//! that no route takes.

mod breaker;
mod client;
mod passing;
mod signature;

pub use client::BackendClient;
pub use passing::{PassTarget, Passer};

use crate::app::backend::{HookCall, HookLine, HookOutcome, HookPlan, HookReply};
use crate::limits;
use breaker::Breaker;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};

/// Wakes the thread.
#[derive(Clone, Debug, Default)]
pub struct BackendBell(Arc<Notify>);

impl BackendBell {
    /// A line for each of so many cores, whose far end this wakes.
    #[must_use]
    pub fn lines(&self, cores: usize) -> Vec<HookLine> {
        let wake: Arc<dyn Fn() + Send + Sync> = {
            let notify = Arc::clone(&self.0);
            Arc::new(move || notify.notify_one())
        };
        (0..cores)
            .map(|_| HookLine::new(Arc::clone(&wake)))
            .collect()
    }
}

/// The thread that asks.
#[derive(Debug)]
pub struct Backend {
    ends: Arc<AtomicBool>,
    bell: BackendBell,
    thread: JoinHandle<()>,
}

/// What the tasks of the thread share.
struct Desk {
    client: BackendClient,
    plan: HookPlan,
    places: Semaphore,
    breaker: Mutex<Breaker>,
}

impl Backend {
    /// Begins to ask.
    ///
    /// # Errors
    /// There can be no thread, or no runtime on it.
    pub fn start(
        client: BackendClient,
        plan: HookPlan,
        bell: BackendBell,
        at_once: usize,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let ends = Arc::new(AtomicBool::new(false));
        let desk = Arc::new(Desk {
            client,
            plan,
            places: Semaphore::new(at_once),
            breaker: Mutex::new(Breaker::default()),
        });
        let (notify, is_over) = (Arc::clone(&bell.0), Arc::clone(&ends));
        let thread = std::thread::Builder::new()
            .name("backend".to_owned())
            .spawn(move || runtime.block_on(follow(&desk, &notify, &is_over)))?;
        Ok(Self { ends, bell, thread })
    }

    /// The cores have ended: what they told is told, as far as there is time for an answer.
    pub fn finish(self) {
        self.ends.store(true, Release);
        self.bell.0.notify_one();
        let _ = self.thread.join();
    }
}

/// Asks what the cores want to know until the end.
async fn follow(desk: &Arc<Desk>, bell: &Notify, is_over: &AtomicBool) {
    let mut tells = VecDeque::new();
    let telling = Arc::new(AtomicBool::new(false));
    loop {
        let is_last = is_over.load(Acquire);
        for line in &desk.plan.lines {
            for call in line.take_calls() {
                match call.number {
                    None if tells.len() < limits::HOOK_TELLS_OPEN => tells.push_back(call),
                    None => drop(desk.plan.counts.lost.fetch_add(1, Relaxed)),
                    Some(number) => {
                        let (desk, line) = (Arc::clone(desk), line.clone());
                        tokio::spawn(async move {
                            let outcome = desk.ask(&call).await;
                            line.reply(HookReply { number, outcome });
                        });
                    }
                }
            }
        }
        if is_last {
            while !tells.is_empty() {
                desk.tell(batch(&mut tells)).await;
            }
            return;
        }
        if !tells.is_empty() && !telling.swap(true, Acquire) {
            let (desk, telling, bundle) =
                (Arc::clone(desk), Arc::clone(&telling), batch(&mut tells));
            tokio::spawn(async move {
                desk.tell(bundle).await;
                telling.store(false, Release);
            });
        }
        match tells.is_empty() {
            true => bell.notified().await,
            false => drop(timeout(limits::HOOK_TELL_TIME, bell.notified()).await),
        }
    }
}

fn batch(tells: &mut VecDeque<HookCall>) -> Vec<HookCall> {
    let count = tells.len().min(limits::HOOK_TELLS);
    tells.drain(..count).collect()
}

impl Desk {
    /// Asks one question, once more if that may help: what became of it.
    async fn ask(&self, call: &HookCall) -> HookOutcome {
        let mut body = Vec::with_capacity(256);
        call.write(&mut body);
        let began = crate::engine::now();
        let asked = timeout(self.plan.time, self.answered(body)).await;
        let counts = &self.plan.counts;
        match asked {
            Ok(Some(words)) => {
                counts.answered.fetch_add(1, Relaxed);
                counts.times.note(crate::engine::now().since(began));
                HookOutcome::Said(words)
            }
            Ok(None) => {
                counts.failed.fetch_add(1, Relaxed);
                HookOutcome::Failed
            }
            Err(_) => {
                self.note(false);
                counts.failed.fetch_add(1, Relaxed);
                HookOutcome::Failed
            }
        }
    }

    async fn answered(&self, body: Vec<u8>) -> Option<Box<crate::app::backend::HookWords>> {
        let counts = &self.plan.counts;
        let place = self.places.acquire().await.ok()?;
        if !self.breaker().lets_through(crate::engine::now()) {
            counts.rejected.fetch_add(1, Relaxed);
            return None;
        }
        let body = bytes::Bytes::from(body);
        let mut answer = self.client.ask(body.clone()).await;
        if answer.is_worth_another() && self.breaker().takes_retry() {
            counts.retried.fetch_add(1, Relaxed);
            answer = self.client.ask(body).await;
        }
        drop(place);
        self.note(answer.is_from_there());
        answer.words()
    }

    /// Tells something; once more if that fails.
    async fn tell(&self, calls: Vec<HookCall>) {
        let mut body = vec![b'['];
        for (at, call) in calls.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            call.write(&mut body);
        }
        body.push(b']');
        let body = bytes::Bytes::from(body);
        for attempt in 0..2 {
            if attempt > 0 {
                sleep(Duration::from_millis(100)).await;
            }
            if !self.breaker().lets_through(crate::engine::now()) {
                continue;
            }
            let told = timeout(self.plan.time, self.client.ask(body.clone())).await;
            let is_told = told.is_ok_and(|it| it.is_from_there());
            self.note(is_told);
            if is_told {
                return;
            }
        }
        let lost = calls.len() as u64;
        self.plan.counts.lost.fetch_add(lost, Relaxed);
    }

    /// The application answered, or did not.
    fn note(&self, is_there: bool) {
        let mut breaker = self.breaker();
        breaker.note(is_there, crate::engine::now());
        let counts = &self.plan.counts;
        counts.opened.store(breaker.opened(), Relaxed);
        counts.open.store(breaker.is_open().into(), Relaxed);
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
