//! Work on tasks that saves as it goes, stops when it is asked to, and goes on later.

mod chunk;
mod shards;

use std::error::Error;
use std::ops::ControlFlow;

use tissuenarrator::io::TableRecord;
use tissuenarrator::model::generation::RemoteError;
use tissuenarrator::sentence::TaskRecord;

use self::chunk::{Chunk, Unfinished};
pub(crate) use self::shards::Shards;
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::progress::{Console, chain};

/// A row of what is made from tasks.
pub(crate) trait TaskRow: TableRecord {
    /// Returns whether this is the row number `nth`, from 0, that was made from a task, which is the row `row` of its table.
    fn is_of(&self, task: &TaskRecord, row: usize, nth: usize) -> bool;

    /// Returns the row of a task that could not be run.
    fn failed(task: &TaskRecord, row: usize, error: &str) -> Self;
}

/// Why a task could not be run.
pub(crate) trait TaskFailure: Error + Into<CliError> {
    /// Returns what fails all other tasks too, if that is the reason.
    fn of_all_tasks(self) -> Result<RemoteError, Self> {
        Err(self)
    }
}

/// Takes the rows of the task with an index, from any thread, and says whether to go on.
pub(crate) type Deliver<'d, R, E> = dyn Fn(usize, Result<Vec<R>, E>) -> ControlFlow<()> + Sync + 'd;

/// A run over all tasks of a table.
pub(crate) struct TaskRun<'r, R> {
    /// What is shown beside the progress.
    pub(crate) name: &'static str,
    /// What becomes of tasks that fail while others do not.
    pub(crate) failed: &'static str,
    pub(crate) tasks: &'r [TaskRecord],
    pub(crate) shards: &'r Shards<'r, R>,
    /// What asks the run to stop between two tasks.
    pub(crate) interrupt: &'r Interrupt,
}

impl<R: TaskRow + Send> TaskRun<'_, R> {
    /// Does what was not done before, and shows all rows to `done`, in the order of the tasks.
    ///
    /// `work` gets tasks with their rows in the table, and delivers each one's result by its index among them.
    pub(crate) fn go<E: TaskFailure + Send>(
        &self,
        console: &Console,
        work: impl Fn(&[TaskRecord], &[usize], &Deliver<'_, R, E>),
        mut done: impl FnMut(&[R]),
    ) -> Result<(), CliError> {
        let progress = console.task(self.name, "tasks", self.tasks.len() as u64);
        let save_every = self.shards.tasks_per_shard();
        for (number, tasks) in self.tasks.chunks(save_every).enumerate() {
            let rows = match self.shards.read(number)? {
                Some(rows) => {
                    progress.skip(tasks.len() as u64);
                    rows
                }
                None => {
                    let mut chunk = Chunk::new(tasks, number * save_every, self.shards.read_part(number)?);
                    progress.skip(chunk.done() as u64);
                    chunk.work(&work, &progress, self.interrupt);
                    let results = chunk.finish().map_err(|unfinished| self.stop(unfinished, number))?;
                    let rows = self.check_failures(results, tasks, number).inspect_err(|_| self.shards.abandon())?;
                    self.shards.write(number, &rows)?;
                    rows
                }
            };
            done(&rows);
        }
        Ok(())
    }

    /// Saves what there is, and returns why the run does not go on.
    fn stop(&self, unfinished: Unfinished<R>, shard: usize) -> CliError {
        let Unfinished { done, rows, failure } = unfinished;
        if let Err(error) = self.shards.write_part(shard, &rows) {
            return error;
        }
        let done_before = shard * self.shards.tasks_per_shard();
        let (done, total) = ((done_before + done) as u64, self.tasks.len() as u64);
        match failure {
            None => CliError::Interrupted { done, total, unit: "tasks" },
            Some(source) if done == 0 => {
                self.shards.abandon();
                CliError::Servers(source)
            }
            // Going on would not help: the options of this run are not for this server.
            Some(source @ RemoteError::Unsupported { .. }) => CliError::Servers(source),
            Some(source) => CliError::ServersFailed { done, total, source },
        }
    }

    /// Turns failed tasks into rows that say so. If all of the first tasks fail, so will the others.
    fn check_failures<E: TaskFailure>(
        &self,
        results: Vec<Result<Vec<R>, E>>,
        tasks: &[TaskRecord],
        shard: usize,
    ) -> Result<Vec<R>, CliError> {
        let failures = results.iter().filter(|result| result.is_err()).count();
        let mut first_failure = None;
        let mut rows = Vec::new();
        for ((result, task), row) in results.into_iter().zip(tasks).zip(shard * self.shards.tasks_per_shard()..) {
            match result {
                Ok(of_task) => rows.extend(of_task),
                Err(error) => {
                    rows.push(R::failed(task, row, &chain(&error)));
                    first_failure.get_or_insert(error);
                }
            }
        }
        match first_failure {
            Some(error) if failures == tasks.len() && shard == 0 => {
                Err(CliError::EveryTaskFailed { tasks: failures, source: Box::new(error.into()) })
            }
            Some(error) => {
                tracing::warn!("{failures} of {} tasks {}; the first one: {}", tasks.len(), self.failed, chain(&error));
                Ok(rows)
            }
            None => Ok(rows),
        }
    }
}
