//! Cells from a server: as good as the server when it is well, and nothing lost when it is not.

#![cfg(feature = "remote")]

mod server;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tn_model::generation::{
    AttemptError, CellWriter, GenerateError, GenerationOptions, Generator, RemoteError, RemoteGenerator, RemoteOptions, Request,
    SampleRequests, Sampling,
};
use tn_model::{SentenceTokenizer, TokenizerOptions};
use tn_sentence::{CellPredictor, FinishReason, GeneratedRecord, SpatialSentence, TaskRecord, Vocabulary};

use server::{Dialect, MODEL, Received, Reply, Server};

const NEIGHBORS: &str = "<pos> X: 10, Y: 20 <meta> class: Astro <cs> GFAP AQP4 </cs>";

fn tasks(count: usize) -> Vec<TaskRecord> {
    let task = |number: usize| TaskRecord {
        cell_name: format!("cell-{number}"),
        prompt: NEIGHBORS.to_owned(),
        x: number as f64,
        class: "Astro".to_owned(),
        ..TaskRecord::default()
    };
    (0..count).map(task).collect()
}

/// Everything at once and hardly a pause, so that tests are quick.
fn remote(servers: &[&Server]) -> RemoteOptions {
    RemoteOptions {
        timeout: Duration::from_secs(10),
        attempts: 4,
        backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(2),
        api_key_variable: "NO_SUCH_VARIABLE".to_owned(),
        ..RemoteOptions::new(servers.iter().map(|server| server.url()))
    }
}

fn generation(samples: u32) -> GenerationOptions {
    GenerationOptions { samples, max_new_tokens: 40, ..GenerationOptions::default() }
}

fn write(options: RemoteOptions, tasks: &[TaskRecord], samples: u32) -> Vec<Result<Vec<GeneratedRecord>, GenerateError>> {
    let engine = RemoteGenerator::connect(options).expect("the server is there");
    CellWriter::new(engine, generation(samples)).unwrap().generate(tasks, || {})
}

fn whole(results: Vec<Result<Vec<GeneratedRecord>, GenerateError>>) -> Vec<GeneratedRecord> {
    results.into_iter().flat_map(|result| result.expect("the cell is written")).collect()
}

/// What a server that does all right writes.
fn undisturbed(tasks: &[TaskRecord], samples: u32) -> Vec<GeneratedRecord> {
    whole(write(remote(&[&Server::good()]), tasks, samples))
}

/// Checks that a server whose first answers are bad writes the same cells in the end.
fn check_recovers(name: &str, bad: impl Fn() -> Reply + Send + Sync + 'static) {
    let tasks = tasks(6);
    let server = Server::start(move |request| if request.number < 2 { bad() } else { Reply::Good });
    assert_eq!(whole(write(remote(&[&server]), &tasks, 2)), undisturbed(&tasks, 2), "{name}");
    assert_eq!(server.received().len(), 6 * 2 + 2, "{name}: two requests were repeated");
}

/// Checks that an answer that stays bad is an error of that cell, which names the server, and that the others are written.
fn check_gives_up(name: &str, expected: &str, bad: impl Fn() -> Reply + Send + Sync + 'static) {
    let tasks = tasks(4);
    let server = Server::start(move |request| if is_about(request, 2) { bad() } else { Reply::Good });
    let options = RemoteOptions { timeout: Duration::from_millis(100), ..remote(&[&server]) };
    let results = write(options, &tasks, 1);
    for (number, result) in results.iter().enumerate() {
        match result {
            Ok(records) => assert!(number != 2 && records[0].finish_reason == FinishReason::Closed, "{name}"),
            Err(GenerateError::Remote { cell_name, source: RemoteError::Failed { endpoint, attempts: 4, source } }) => {
                assert_eq!((cell_name.as_str(), endpoint), ("cell-2", &server.url()), "{name}");
                assert!(source.to_string().contains(expected), "{name}: {source}");
            }
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
    assert!(results[2].is_err(), "{name}");
}

/// Returns whether a request is about the task with a number: its header says `X: number`.
fn is_about(request: &Received, number: usize) -> bool {
    request.body["prompt"].as_str().is_some_and(|prompt| prompt.contains(&format!("<pos> X: {number}, Y: 0 ")))
}

#[test]
fn a_cell_is_header_and_continuation() {
    let tasks = tasks(3);
    for (record, task) in undisturbed(&tasks, 1).iter().zip(&tasks) {
        assert_eq!(&record.task, task);
        assert_eq!(record.finish_reason, FinishReason::Closed);
        assert!(record.model_prompt.ends_with("<meta> class: Astro <cs>"), "{}", record.model_prompt);
        assert!(record.generated_block.ends_with(&record.generated_text) && record.generated_text.ends_with("</cs>"));
        assert_eq!((record.repairs, record.n_tokens as usize), (0, record.generated_text.split_whitespace().count()));
        let (sentence, _) = SpatialSentence::parse_lenient(&record.generated_block);
        assert_eq!(sentence.cells()[0].position().x(), task.x);
    }
}

#[test]
fn every_option_is_said() {
    let server = Server::good();
    write(remote(&[&server]), &tasks(1), 1);
    let body = &server.received()[0].body;
    let expected = json!({
        "model": MODEL, "max_tokens": 40, "temperature": 0.3, "top_p": 0.95, "top_k": 10, "min_p": 0.0, "repetition_penalty": 1.0,
        "stop": ["</cs>"], "include_stop_str_in_output": true,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
}

#[test]
fn every_sample_has_its_own_seed() {
    let (tasks, server) = (tasks(3), Server::good());
    let records = whole(write(remote(&[&server]), &tasks, 4));
    assert_eq!(records.iter().map(|record| record.sample).collect::<Vec<_>>(), [0, 1, 2, 3].repeat(3));
    let mut seeds: Vec<u64> = server.received().iter().filter_map(|request| request.body["seed"].as_u64()).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 12);
}

#[test]
fn samples_together_are_one_request() {
    let (tasks, server) = (tasks(3), Server::good());
    let options = RemoteOptions { samples: SampleRequests::Together, ..remote(&[&server]) };
    let records = whole(write(options, &tasks, 4));
    assert_eq!(records.len(), 12);
    assert!(records.iter().all(|record| record.finish_reason == FinishReason::Closed));
    let received = server.received();
    assert!(received.len() == 3 && received.iter().all(|request| request.body["n"] == 4));
}

#[test]
fn a_request_that_fails_at_first_is_repeated() {
    check_recovers("500", || Reply::Status(500, "", "out of memory".to_owned()));
    check_recovers("503", || Reply::Status(503, "", String::new()));
    check_recovers("429", || Reply::Status(429, "Retry-After: 0\r\n", String::new()));
    check_recovers("half an answer", || Reply::Half);
    check_recovers("no answer", || Reply::Hangup);
    check_recovers("no JSON", || Reply::Body("<html>".to_owned()));
    check_recovers("cut JSON", || Reply::Body(r#"{"choices": [{"text": "A"#.to_owned()));
    check_recovers("no choices", || Reply::Body(r#"{"choices": []}"#.to_owned()));
    check_recovers("an abort", || Reply::Body(r#"{"choices": [{"text": " GFAP", "finish_reason": "abort"}]}"#.to_owned()));
}

#[test]
fn a_request_that_keeps_failing_is_an_error_of_its_cell() {
    check_gives_up("500", "status 500: out of memory", || Reply::Status(500, "", r#"{"error": {"message": "out of memory"}}"#.to_owned()));
    check_gives_up("late", "no answer within 0.1 s", || Reply::Late(Duration::from_millis(200)));
    check_gives_up("half", "connection broke", || Reply::Half);
    check_gives_up("no JSON", "cannot be used", || Reply::Body("{".to_owned()));
    check_gives_up("choices", "expected 1 continuations, found 0", || Reply::Body(r#"{"choices": []}"#.to_owned()));
}

#[test]
fn an_answer_that_is_late_is_asked_for_again() {
    let tasks = tasks(2);
    let server = Server::start(|request| if request.number == 0 { Reply::Late(Duration::from_millis(600)) } else { Reply::Good });
    let start = Instant::now();
    let options = RemoteOptions { timeout: Duration::from_millis(150), ..remote(&[&server]) };
    assert_eq!(whole(write(options, &tasks, 1)), undisturbed(&tasks, 1));
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let server = Server::start(move |request| {
        seen.lock().unwrap().push(Instant::now());
        if request.number == 0 { Reply::Status(429, "Retry-After: 1\r\n", String::new()) } else { Reply::Good }
    });
    // One at a time.
    let options = RemoteOptions { tokens_in_flight: 1, ..remote(&[&server]) };
    assert_eq!(whole(write(options, &tasks(2), 1)).len(), 2);
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_millis(990), "{:?}", times[1] - times[0]);
}

#[test]
fn a_refused_prompt_is_an_error_of_its_cell() {
    let too_long = r#"{"object": "error", "message": "This model's maximum context length is 100 tokens."}"#;
    let server = Server::start(move |request| match is_about(request, 1) {
        true => Reply::Status(400, "", too_long.to_owned()),
        false => Reply::Good,
    });
    let results = write(remote(&[&server]), &tasks(3), 1);
    assert!(results[0].is_ok() && results[2].is_ok());
    let Err(GenerateError::Remote { cell_name, source }) = &results[1] else { panic!("{:?}", results[1]) };
    assert!(cell_name == "cell-1" && source.is_about_prompt());
    assert!(source.to_string().contains("status 400: This model's maximum context length"), "{source}");
    assert_eq!(server.received().len(), 3, "a refused request is not repeated");
}

#[test]
fn a_server_that_goes_down_is_replaced_by_another() {
    let tasks = tasks(12);
    let (one, other) = (Server::good(), Server::good());
    let engine = RemoteGenerator::connect(remote(&[&one, &other])).unwrap();
    let writer = CellWriter::new(engine, generation(2)).unwrap();
    assert_eq!(whole(writer.generate(&tasks, || {})), undisturbed(&tasks, 2));
    drop(one);
    assert_eq!(whole(writer.generate(&tasks, || {})), undisturbed(&tasks, 2));
    drop(other);
    let results = writer.generate(&tasks[..2], || {});
    for result in results {
        let Err(GenerateError::Remote { source: RemoteError::Failed { source, .. }, .. }) = result else { panic!("{result:?}") };
        assert!(matches!(source, AttemptError::Unreachable { .. } | AttemptError::Disconnected { .. }), "{source}");
    }
}

#[test]
fn prompts_that_begin_alike_go_to_the_same_server() {
    let (one, other) = (Server::good(), Server::good());
    write(remote(&[&one, &other]), &tasks(20), 3);
    let mut servers: HashMap<String, [usize; 2]> = HashMap::new();
    for (index, server) in [&one, &other].into_iter().enumerate() {
        for request in server.received() {
            servers.entry(request.body["prompt"].to_string()).or_default()[index] += 1;
        }
    }
    assert!(servers.values().all(|counts| counts.contains(&0) && counts.contains(&3)), "{servers:?}");
    assert!(!one.received().is_empty() && !other.received().is_empty());
}

#[test]
fn a_server_that_is_down_from_the_beginning_is_left_out() {
    let (gone, there) = (Server::good(), Server::good());
    let urls = [gone.url(), there.url()];
    drop(gone);
    let options = RemoteOptions { endpoints: urls.to_vec(), ..remote(&[&there]) };
    assert_eq!(whole(write(options, &tasks(3), 1)), undisturbed(&tasks(3), 1));
    let options = RemoteOptions { endpoints: urls[..1].to_vec(), ..remote(&[&there]) };
    let error = RemoteGenerator::connect(options).err().unwrap();
    assert!(matches!(&error, RemoteError::Failed { endpoint, source: AttemptError::Unreachable { .. }, .. } if endpoint == &urls[0]));
}

#[test]
fn a_stop_begins_nothing_new_and_ends_pauses() {
    // The first prompts in their order fail until the pauses are long; the others are answered.
    let server = Server::start(|request| if is_about(request, 0) { Reply::Status(500, "", String::new()) } else { Reply::Good });
    let options = RemoteOptions { backoff: Duration::from_secs(60), max_backoff: Duration::from_secs(60), ..remote(&[&server]) };
    let engine = RemoteGenerator::connect(RemoteOptions { tokens_in_flight: 400, ..options }).unwrap();
    let writer = CellWriter::new(engine, generation(1)).unwrap();
    let (tasks, start) = (tasks(200), Instant::now());
    let delivered = Mutex::new(Vec::new());
    writer.generate_each(&tasks, |index, result| {
        let mut delivered = delivered.lock().unwrap();
        delivered.push((index, result.is_ok()));
        if delivered.len() >= 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let delivered = delivered.into_inner().unwrap();
    assert!((5..20).contains(&delivered.len()) && delivered.iter().all(|&(index, is_ok)| is_ok && index != 0), "{delivered:?}");
    assert!(server.received().len() < 25);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn tokens_in_flight_stay_within_their_limit() {
    const LIMIT: usize = 600;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (in_flight, maximum) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::start(move |request| {
        let tokens = request.body["prompt"].as_str().map_or(0, |prompt| prompt.len() * 2 / 3 + 1) + 40;
        maximum.fetch_max(in_flight.fetch_add(tokens, Ordering::SeqCst) + tokens, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(3));
        in_flight.fetch_sub(tokens, Ordering::SeqCst);
        Reply::Good
    });
    let options = RemoteOptions { tokens_in_flight: LIMIT, ..remote(&[&server]) };
    assert_eq!(whole(write(options, &tasks(40), 2)), undisturbed(&tasks(40), 2));
    let most = most.load(Ordering::SeqCst);
    assert!((LIMIT / 2..=LIMIT).contains(&most), "{most} tokens at once");
    // A request that is larger than the limit runs alone.
    let options = RemoteOptions { tokens_in_flight: 1, ..remote(&[&server]) };
    assert_eq!(whole(write(options, &tasks(5), 1)), undisturbed(&tasks(5), 1));
}

#[test]
fn cells_do_not_depend_on_the_order_of_answers() {
    let tasks = tasks(24);
    let server = Server::start(|request| Reply::Late(Duration::from_millis(tn_sentence::draw(7, request.number as u64) % 20)));
    let expected = undisturbed(&tasks, 3);
    assert_eq!(whole(write(remote(&[&server]), &tasks, 3)), expected);
    let reversed: Vec<TaskRecord> = tasks.iter().rev().cloned().collect();
    let mut records = whole(write(RemoteOptions { tokens_in_flight: 300, ..remote(&[&server]) }, &reversed, 3));
    records.sort_by_key(|record| (record.task.x as u32, record.sample));
    assert_eq!(records, expected);
}

#[test]
fn every_request_is_delivered_once() {
    let server = Server::start(|request| match request.number % 3 {
        0 => Reply::Status(500, "", String::new()),
        1 => Reply::Half,
        _ => Reply::Good,
    });
    let engine = RemoteGenerator::connect(RemoteOptions { attempts: 2, ..remote(&[&server]) }).unwrap();
    let requests: Vec<Request> = (0..50).map(|number| request(&format!("cell-{number}"), Sampling::default())).collect();
    let counts: Vec<AtomicUsize> = requests.iter().map(|_| AtomicUsize::new(0)).collect();
    engine.generate(&requests, &|index, result| {
        counts[index].fetch_add(1, Ordering::SeqCst);
        if let Ok(continuations) = result {
            assert_eq!(continuations.len(), 2);
        }
        ControlFlow::Continue(())
    });
    assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
}

#[test]
fn a_request_for_no_samples_delivers_none() {
    let server = Server::good();
    for samples in [SampleRequests::Separate, SampleRequests::Together] {
        let engine = RemoteGenerator::connect(RemoteOptions { samples, ..remote(&[&server]) }).unwrap();
        let none = Request { samples: 0, ..request("none", Sampling::default()) };
        let delivered = Mutex::new(Vec::new());
        engine.generate(&[none.clone(), request("two", Sampling::default()), none], &|index, result| {
            delivered.lock().unwrap().push((index, result.unwrap().len()));
            ControlFlow::Continue(())
        });
        let mut delivered = delivered.into_inner().unwrap();
        delivered.sort_unstable();
        assert_eq!(delivered, [(0, 0), (1, 2), (2, 0)]);
    }
}

fn request(id: &str, sampling: Sampling) -> Request {
    let header = format!("<pos> X: 1, Y: 1 <meta> class: {id} <cs>");
    Request { id: id.to_owned(), prompt: header.clone(), header, samples: 2, sampling, max_new_tokens: 40, seed: 42 }
}

/// Returns the option that a request needs and a server is found not to understand.
fn missing(dialect: Dialect, sampling: Sampling, samples: SampleRequests) -> Option<&'static str> {
    let mut missing = Vec::new();
    for is_strict in [false, true] {
        let server = Server::with(Dialect { is_strict, ..dialect }, vec![MODEL], |_| Reply::Good);
        let engine = RemoteGenerator::connect(RemoteOptions { samples, ..remote(&[&server]) }).unwrap();
        let found = Mutex::new(None);
        engine.generate(&[request("a", sampling)], &|_, result| {
            *found.lock().unwrap() = match result {
                Ok(continuations) => {
                    assert!(continuations.iter().all(|c| c.finish_reason == FinishReason::Closed && c.text.ends_with("</cs>")));
                    None
                }
                Err(GenerateError::Remote { source: RemoteError::Unsupported { endpoint, option }, .. }) if endpoint == server.url() => {
                    Some(option)
                }
                Err(error) => panic!("{error:?}"),
            };
            ControlFlow::Continue(())
        });
        missing.push(found.into_inner().unwrap());
    }
    assert_eq!(missing[0], missing[1], "whether an option is ignored or refused makes no difference");
    missing[0]
}

#[test]
fn an_option_that_is_needed_and_not_understood_is_named() {
    use SampleRequests::{Separate, Together};
    let published = Sampling::default();
    let with_min_p = Sampling { min_p: 0.1, ..Sampling::AS_TRAINED };
    assert_eq!(missing(Dialect::FULL, published, Separate), None);
    assert_eq!(missing(Dialect::FULL, with_min_p, Together), None);

    let no_top_k = Dialect { understands_top_k: false, ..Dialect::FULL };
    assert_eq!(missing(no_top_k, published, Separate), Some("top_k"));
    assert_eq!(missing(no_top_k, with_min_p, Separate), None);
    assert_eq!(missing(no_top_k, Sampling::GREEDY, Separate), None);

    let no_min_p = Dialect { understands_min_p: false, ..Dialect::FULL };
    assert_eq!(missing(no_min_p, with_min_p, Separate), Some("min_p"));
    assert_eq!(missing(no_min_p, published, Separate), None);

    let no_n = Dialect { understands_n: false, ..Dialect::FULL };
    assert_eq!(missing(no_n, published, Together), Some("n"));
    assert_eq!(missing(no_n, published, Separate), None);

    let no_stop = Dialect { keeps_stop: false, ..Dialect::FULL };
    assert_eq!(missing(no_stop, published, Separate), None);
    assert_eq!(missing(Dialect { names_stop: false, ..no_stop }, published, Separate), Some("include_stop_str_in_output"));
    assert_eq!(missing(Dialect { names_stop: false, ..Dialect::FULL }, published, Separate), None);
}

#[test]
fn prompts_are_sent_as_tokens_where_a_tokenizer_is_given() {
    let panel = Vocabulary::new(["GFAP", "AQP4"]).unwrap();
    let tokenizer = || SentenceTokenizer::train([NEIGHBORS.to_owned()], &panel, &TokenizerOptions::default()).unwrap();
    let server = Server::good();
    let engine = RemoteGenerator::connect(remote(&[&server])).unwrap().with_tokenizer(tokenizer()).unwrap();
    let record = CellWriter::new(engine, generation(1)).unwrap().samples(&tasks(1)[0]).unwrap().remove(0);
    let sent: Vec<u32> = serde_json::from_value(server.received()[0].body["prompt"].clone()).unwrap();
    assert_eq!(tokenizer().decode(&sent), record.model_prompt);

    let deaf = Server::with(Dialect { understands_ids: false, ..Dialect::FULL }, vec![MODEL], |_| Reply::Good);
    let error = RemoteGenerator::connect(remote(&[&deaf])).unwrap().with_tokenizer(tokenizer()).err().unwrap();
    assert!(matches!(error, RemoteError::Unsupported { option: "prompt (as token ids)", .. }));
}

#[test]
fn the_model_is_the_one_named_or_the_only_one() {
    let server = |models| Server::with(Dialect::FULL, models, |_| Reply::Good);
    let connect = |server: &Server, model: Option<&str>| {
        RemoteGenerator::connect(RemoteOptions { model: model.map(str::to_owned), ..remote(&[server]) })
    };
    let two = server(vec!["base", "adapter"]);
    assert_eq!(connect(&two, Some("adapter")).unwrap().model(), "adapter");
    assert_eq!(connect(&server(vec!["only"]), None).unwrap().model(), "only");
    let error = connect(&two, Some("other")).err().unwrap();
    assert!(error.to_string().ends_with(r#"does not serve the model "other"; it serves base, adapter"#), "{error}");
    assert!(matches!(connect(&two, None), Err(RemoteError::ModelNotNamed { served, .. }) if served.len() == 2));
    assert!(matches!(connect(&server(vec![]), None), Err(RemoteError::ModelNotNamed { .. })));
    assert_eq!(connect(&server(vec!["a\u{1b}[2J", "b"]), None).unwrap().model(), "b");
}

#[test]
fn the_key_comes_from_the_options_or_the_environment() {
    let server = Server::good();
    // Cargo sets this one for tests.
    write(RemoteOptions { api_key_variable: "CARGO_PKG_NAME".to_owned(), ..remote(&[&server]) }, &tasks(1), 1);
    write(remote(&[&server]), &tasks(1), 1);
    let both = RemoteOptions { api_key: Some("given".to_owned()), api_key_variable: "CARGO_PKG_NAME".to_owned(), ..remote(&[&server]) };
    write(both, &tasks(1), 1);
    let sent: Vec<Option<String>> = server.received().into_iter().map(|request| request.authorization).collect();
    assert_eq!(sent, [Some("Bearer tn-model".to_owned()), None, Some("Bearer given".to_owned())]);
}

#[test]
fn no_text_of_a_server_makes_anything_panic() {
    let texts = [
        "",
        " ",
        "</cs>",
        "\0\u{1b}[31m",
        "é<cs>é</c",
        "<cs> <cs> </cs>",
        " GFAP GFAP, ; <pos> X: nan",
        "\u{10ffff}",
        "{}[]\\\"",
        "</cs></cs>",
    ];
    let server = Server::start(move |request| {
        let text = texts[request.number % texts.len()];
        let choice = json!({ "text": text, "finish_reason": if request.number % 2 == 0 { "stop" } else { "length" }, "stop_reason": 7 });
        Reply::Body(json!({ "choices": [choice], "usage": { "completion_tokens": -3 } }).to_string())
    });
    let engine = RemoteGenerator::connect(remote(&[&server])).unwrap();
    let mut writer = CellWriter::new(engine, generation(1)).unwrap();
    for task in tasks(2 * texts.len()) {
        let cell = writer.predict(&task).unwrap();
        assert_eq!(cell.position().x(), task.x);
    }
}

#[test]
fn an_answer_to_a_probe_that_is_none_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.6\r\n");
        }
    });
    let server = Server::good();
    let error = RemoteGenerator::connect(RemoteOptions { endpoints: vec![url.clone()], ..remote(&[&server]) }).err().unwrap();
    assert!(matches!(&error, RemoteError::Failed { endpoint, .. } if endpoint == &url), "{error:?}");
}
