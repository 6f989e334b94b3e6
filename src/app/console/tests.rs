//! What operators ask, without a server: whose answer is whose, and when the cores are asked.

use super::super::{Answer, Goodbye, Notice};
use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What was asked for.
#[derive(Default)]
struct Desktop {
    now: Instant,
    responses: Vec<(User, ApiResponse)>,
    measured: u32,
    told: Vec<String>,
}

impl Effects<()> for Desktop {
    fn reply(&mut self, _: Message<'_>) {}

    fn broadcast(&mut self, notice: Notice<'_>) {
        self.told.push(notice.text.to_owned());
    }

    fn tell(&mut self, _: &[User], _: Notice<'_>) {}

    fn say(&mut self, _: User, _: Message<'_>) {}

    fn turn_away(&mut self, _: User) {}

    fn dismiss(&mut self, _: User, _: Goodbye) {}

    fn answer(&mut self, _: User, _: Answer) {}

    fn respond(&mut self, asker: User, response: ApiResponse) {
        self.responses.push((asker, response));
    }

    fn forward(&mut self, _: Core, item: std::convert::Infallible) {
        match item {}
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn is_behind(&self, _: User) -> bool {
        false
    }

    fn measure(&mut self) {
        self.measured += 1;
    }

    fn hold(&mut self) {}

    fn release(&mut self, _: User) {}
}

fn call(method: CallMethod) -> ApiCall<'static> {
    ApiCall {
        method,
        path: REPORT,
        query: "from=1",
        permit: 0,
        text: "",
    }
}

fn console(seconds: Option<Live<String>>) -> (Console, ConsoleLine, Arc<AtomicU64>) {
    let rung = Arc::new(AtomicU64::new(0));
    let rings = Arc::clone(&rung);
    let line = ConsoleLine::new(Arc::new(move || {
        rings.fetch_add(1, Relaxed);
    }));
    let plan = ConsolePlan {
        lines: vec![line.clone()],
        seconds,
    };
    let mut console = Console::new(plan);
    console.started(Core(0), 1);
    (console, line, rung)
}

#[test]
fn each_asker_gets_its_answer_and_who_has_gone_gets_none() {
    let (mut console, line, rung) = console(None);
    let mut desk = Desktop::default();
    for user in [7, 8, 9] {
        console.called(User(user), call(CallMethod::Get), &mut desk);
    }
    console.hung_up(User(8), &mut desk);
    assert_eq!(rung.load(Relaxed), 3);
    let questions = line.take_questions();
    assert_eq!(
        (&*questions[0].path, &*questions[0].query),
        (REPORT, "from=1")
    );
    for question in questions.iter().rev() {
        let response = ApiResponse::json(200, question.number.to_string());
        let number = question.number;
        line.reply(ConsoleReply { number, response });
    }
    let at = console.deadline().unwrap();
    console.expired(at, &mut desk);
    let told = desk.responses.iter().map(|(user, it)| (user.0, &*it.text));
    assert_eq!(told.collect::<Vec<_>>(), [(9, "3"), (7, "1")]);
    // Nobody waits: nobody looks.
    assert_eq!(console.deadline(), None);
}

#[test]
fn more_than_is_read_at_a_time_is_refused_and_so_are_other_methods_and_no_logs() {
    let (mut console, _line, _) = console(None);
    let mut desk = Desktop::default();
    for user in 0..=limits::CONSOLE_QUESTIONS as u64 {
        console.called(User(user), call(CallMethod::Get), &mut desk);
    }
    console.called(User(99), call(CallMethod::Post), &mut desk);
    let mut without = Console::new(ConsolePlan::default());
    without.called(User(100), call(CallMethod::Get), &mut desk);
    let told = desk.responses.iter().map(|(_, it)| it.status);
    assert_eq!(told.collect::<Vec<_>>(), [503, 405, 404]);
    assert!(desk.responses[2].1.text.contains("--logs DIR"));
}

#[test]
fn the_first_core_asks_all_once_a_second_for_the_logs() {
    let seconds = Live::default();
    let (mut console, _line, _) = console(Some(seconds.clone()));
    let mut desk = Desktop::default();
    let now = Instant::from_nanos(5);
    console.expired(now, &mut desk);
    console.measured("{}", &mut desk);
    assert_eq!((desk.measured, console.deadline()), (1, Some(now + SECOND)));
    assert_eq!(
        seconds.news(&mut 0).as_deref().map(String::as_str),
        Some("{}")
    );
    console.started(Core(1), 2);
    assert_eq!(console.deadline(), None);
}

#[test]
fn the_dashboard_tells_what_it_has_asked_for_and_nothing_else() {
    let (mut dash, mut desk) = (Dash::default(), Desktop::default());
    let now = Instant::from_nanos(5);
    dash.awake(now);
    dash.measured("for others", &mut desk);
    assert_eq!(dash.deadline(), Some(now));
    dash.expired(now, &mut desk);
    dash.measured("{}", &mut desk);
    dash.measured("for others", &mut desk);
    assert_eq!((desk.measured, &*desk.told), (1, &["{}".to_owned()][..]));
    assert_eq!(dash.deadline(), Some(now + SECOND));
}
