//! Cells that servers write.

use crate::folder::Folder;
use crate::server::{Dialect, Reply, Server};

const TASKS: &str = "generate tasks.parquet --backend openai --max-new-tokens 60";

#[test]
fn a_server_writes_the_cells() {
    let (folder, server) = (Folder::with_tables(), Server::good());
    let generate = format!("{TASKS} --samples 2 --url {}", server.url());
    let result = folder.json(&format!("{generate} -o out.parquet"));
    let tasks = result["tasks"].as_u64().expect("a number");
    assert_eq!(result["cells"].as_u64(), Some(2 * tasks));
    assert_eq!(result["finish_reason"]["closed"].as_u64(), Some(2 * tasks));
    assert_eq!(result["repairs"], 0);
    assert_eq!(server.received().len() as u64, 2 * tasks);
    folder.run("score out.parquet --k 10");

    // The same again, one by one at two servers; and nothing is asked when all is there.
    let other = Server::good();
    folder.run(&format!("{generate},{} -o again.parquet --in-flight-tokens 1", other.url()));
    assert!(folder.bytes("out.parquet") == folder.bytes("again.parquet"));
    let before = server.received().len();
    folder.run(&format!("{generate} -o out.parquet --resume"));
    assert_eq!(server.received().len(), before);
}

#[test]
fn a_run_whose_server_fails_goes_on_from_what_is_written() {
    let folder = Folder::with_tables();
    let whole = Server::good();
    folder.run(&format!("{TASKS} --url {} -o whole.parquet", whole.url()));
    let tasks = whole.received().len();

    // One request at a time; the sixth one fails.
    let failing = Server::start(|request| if request.number < 5 { Reply::Good } else { Reply::Status(500, "", "no memory".to_owned()) });
    let generate = format!("{TASKS} -o part.parquet --in-flight-tokens 1");
    let output = folder.output(&format!("{generate} --attempts 1 --url {}", failing.url()));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in [&format!("the servers failed after 5 of {tasks} tasks"), &failing.url(), "status 500: no memory", "--resume"] {
        assert!(message.contains(part), "expected {part:?} in: {message}");
    }
    assert!(folder.has("part.parquet.partial") && !folder.has("part.parquet"));

    // A server with another model, and one that does not say where it stopped, do not go on, and spoil nothing.
    let other = Server::with(Dialect::FULL, vec!["other"], |_| Reply::Good);
    folder.fail(&format!("{generate} --resume --url {}", other.url()), 3, &["model-name", "tissue", "other"]);
    let silent = Server::with(Dialect { keeps_stop: false, names_stop: false, ..Dialect::FULL }, vec!["tissue"], |_| Reply::Good);
    let message = folder.fail(&format!("{generate} --resume --url {}", silent.url()), 2, &["include_stop_str_in_output", "another server"]);
    assert!(!message.contains("leave out --model") && !message.contains("--resume"), "{message}");

    let good = Server::good();
    folder.run(&format!("{generate} --resume --url {}", good.url()));
    assert_eq!(good.received().len(), tasks - 5, "what was written is not written again");
    assert!(folder.bytes("whole.parquet") == folder.bytes("part.parquet"));
    assert!(!folder.has("part.parquet.partial"));
}

#[test]
fn a_refused_prompt_is_a_row_without_a_cell() {
    let folder = Folder::with_tables();
    let server = Server::start(|request| match request.number {
        0 => Reply::Status(400, "", r#"{"error": {"message": "too long"}}"#.to_owned()),
        _ => Reply::Good,
    });
    let output = folder.output(&format!("{TASKS} --url {} -o out.parquet --json", server.url()));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(result["finish_reason"]["error"], 1);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("1 of ") && message.contains("status 400: too long"), "{message}");
}

#[test]
fn a_server_that_cannot_be_used_leaves_nothing_behind() {
    let folder = Folder::with_tables();
    let gone = Server::good().url();
    folder.fail(&format!("{TASKS} --url {gone} -o out.parquet"), 1, &[&gone, "cannot connect"]);

    let failing = Server::start(|_| Reply::Status(500, "", String::new()));
    let parts = [&failing.url(), "status 500"];
    folder.fail(&format!("{TASKS} --url {} -o out.parquet --attempts 1", failing.url()), 1, &parts.map(|part| part as &str));

    let models = Server::with(Dialect::FULL, vec!["base", "adapter"], |_| Reply::Good);
    let generate = format!("{TASKS} --url {} -o out.parquet", models.url());
    folder.fail(&generate, 2, &["2 models", "base, adapter", "--model-name"]);
    folder.fail(&format!("{generate} --model-name other"), 2, &["does not serve", "base, adapter", "--model-name"]);
    folder.run(&format!("{generate} --model-name adapter"));

    let plain = Server::with(Dialect { understands_top_k: false, ..Dialect::FULL }, vec!["m"], |_| Reply::Good);
    let generate = format!("{TASKS} --url {} -o other.parquet", plain.url());
    folder.fail(&generate, 2, &["does not understand the option top_k", "--top-k 0"]);
    folder.run(&format!("{generate} --top-k 0"));
}

#[test]
fn what_servers_cannot_do_is_wrong_usage() {
    let folder = Folder::with_tables();
    let generate = format!("{TASKS} --url http://localhost:1 -o out.parquet");
    folder.fail(&format!("{generate} --consensus"), 2, &["--consensus", "--backend openai", "probabilities", "only the text"]);
    folder.fail(&format!("{generate} --panel genes.txt"), 2, &["--panel", "--backend openai"]);
    folder.fail(&format!("{generate} --adapter run"), 2, &["--adapter", "--model-name"]);
    folder.fail("generate tasks.parquet -o out.parquet --backend openai", 2, &["--backend openai needs --url"]);
    folder.fail("generate tasks.parquet -o out.parquet", 2, &["--backend local needs --model"]);
    for option in ["--url http://localhost:1", "--model-name m", "--in-flight-tokens 9", "--timeout 9", "--attempts 9"] {
        let name = option.split(' ').next().unwrap_or_default();
        let generate = format!("generate tasks.parquet -o out.parquet --model run {option}");
        folder.fail(&generate, 2, &[&format!("{name} needs --backend openai")]);
    }
}
