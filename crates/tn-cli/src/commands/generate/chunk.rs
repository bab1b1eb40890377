//! The tasks between two saves, while their cells are written.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use tissuenarrator::model::generation::{GenerateError, RemoteError};
use tissuenarrator::sentence::{GeneratedRecord, TaskRecord};

use super::engine::Engine;
use crate::interrupt::Interrupt;
use crate::progress::Task;

type Cells = Result<Vec<GeneratedRecord>, GenerateError>;

/// Some tasks and what is there of their cells.
pub(super) struct Chunk<'t> {
    tasks: &'t [TaskRecord],
    cells: Vec<Option<Cells>>,
    failure: Option<RemoteError>,
}

impl<'t> Chunk<'t> {
    /// Begins with the rows that an earlier run has left.
    pub(super) fn new(tasks: &'t [TaskRecord], rows: Vec<GeneratedRecord>) -> Self {
        let mut rows = rows.into_iter().peekable();
        let cells = tasks.iter().map(|task| {
            let mut cells = Vec::new();
            while let Some(row) = rows.next_if(|row| row.task == *task && row.sample as usize == cells.len()) {
                cells.push(row);
            }
            (!cells.is_empty()).then_some(Ok(cells))
        });
        Self { tasks, cells: cells.collect(), failure: None }
    }

    /// Returns how many tasks are done.
    pub(super) fn done(&self) -> usize {
        self.cells.iter().filter(|cells| matches!(cells, Some(Ok(_)))).count()
    }

    /// Writes the cells that are missing, until the run is interrupted or servers fail.
    pub(super) fn write(&mut self, engine: &Engine, progress: &Task, interrupt: &Interrupt) {
        if interrupt.is_requested() {
            return;
        }
        let missing: Vec<usize> = (0..self.tasks.len()).filter(|&index| self.cells[index].is_none()).collect();
        let tasks: Cow<'_, [TaskRecord]> = match missing.len() == self.tasks.len() {
            true => self.tasks.into(),
            false => missing.iter().map(|&index| self.tasks[index].clone()).collect(),
        };
        let chunk = Mutex::new(&mut *self);
        engine.write(&tasks, |index, cells| {
            let mut chunk = chunk.lock().unwrap_or_else(PoisonError::into_inner);
            match cells {
                Err(GenerateError::Remote { source, .. }) if !source.is_about_prompt() => {
                    chunk.failure.get_or_insert(source);
                    return ControlFlow::Break(());
                }
                cells => chunk.cells[missing[index]] = Some(cells),
            }
            progress.advance(1);
            if interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Returns the cells of all tasks, or what came between.
    pub(super) fn finish(self) -> Result<Vec<Cells>, Unfinished> {
        if self.failure.is_none() && self.cells.iter().all(Option::is_some) {
            return Ok(self.cells.into_iter().flatten().collect());
        }
        let done = self.done();
        let rows = self.cells.into_iter().flatten().flatten().flatten().collect();
        Err(Unfinished { done, rows, failure: self.failure })
    }
}

/// A chunk that was not finished.
pub(super) struct Unfinished {
    /// Tasks that are done, and their rows.
    pub(super) done: usize,
    pub(super) rows: Vec<GeneratedRecord>,
    /// The failure of the servers; none when the run was interrupted.
    pub(super) failure: Option<RemoteError>,
}

#[cfg(test)]
mod tests {
    use tissuenarrator::sentence::FinishReason;

    use super::*;

    fn task(name: &str) -> TaskRecord {
        TaskRecord { cell_name: name.to_owned(), ..TaskRecord::default() }
    }

    fn row(name: &str, sample: u32) -> GeneratedRecord {
        GeneratedRecord {
            task: task(name),
            sample,
            model_prompt: String::new(),
            generated_text: String::new(),
            generated_block: String::new(),
            finish_reason: FinishReason::Closed,
            n_tokens: 1,
            repairs: 0,
        }
    }

    #[test]
    fn rows_of_an_earlier_run_come_to_their_tasks() {
        let tasks = ["a", "b", "b", "c", "d"].map(task);
        let chunk = Chunk::new(&tasks, vec![row("a", 0), row("a", 1), row("b", 0), row("b", 1), row("d", 0), row("d", 1)]);
        let found: Vec<usize> = chunk.cells.iter().map(|cells| cells.as_ref().map_or(0, |cells| cells.as_ref().unwrap().len())).collect();
        assert_eq!(found, [2, 2, 0, 0, 2]);
        assert_eq!(chunk.done(), 3);
        let unfinished = chunk.finish().err().unwrap();
        assert_eq!((unfinished.done, unfinished.rows.len()), (3, 6));
    }

    #[test]
    fn rows_of_other_tasks_are_not_taken() {
        let tasks = ["a", "b"].map(task);
        assert_eq!(Chunk::new(&tasks, vec![row("x", 0), row("a", 0)]).done(), 0);
        assert_eq!(Chunk::new(&tasks, vec![row("a", 1)]).done(), 0);
    }
}
