//! Runs the blocks of a kernel: block after block, the threads of a block as fibers that meet where a GPU's threads meet.
//!
//! A thread runs until it reaches a barrier of the block, an operation of its warp, or its end. When no lane of a warp can run, the lanes
//! that wait at the earliest operation in the text perform it together: lanes that fell behind in a branch or a loop catch up first, as
//! on a GPU. When no warp can go on, the barrier opens for all threads that live.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};

use crate::fibers::{Context, Stack, switch};

const WARP: usize = 32;
/// So many times all waiting threads look again in vain before the block is called stuck.
const PATIENCE: usize = 10_000;
/// What shared memory holds when a block starts: as floats, not a number.
const POISON: u8 = 0xff;
/// Bytes after the shared memory that a kernel must leave alone.
const GUARD: usize = 256;

type Operation = unsafe extern "C" fn(lanes: *mut *mut c_void, mask: u32);
/// Calls the kernel for the thread that [`State`] names, with arguments as `cuLaunchKernel` takes them.
pub(crate) type Entry = unsafe extern "C" fn(arguments: *mut *mut c_void);

/// What the kernel and the machine share; laid out like `host::State` in `host_cuda.h`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct State {
    thread: [u32; 3],
    block: [u32; 3],
    block_dim: [u32; 3],
    grid_dim: [u32; 3],
    shared: *mut u8,
    shared_size: usize,
    barrier: extern "C" fn(),
    collective: extern "C" fn(u32, Operation, *mut c_void, u32),
    poll: extern "C" fn(),
    fail: extern "C" fn(*const c_char),
}

/// Which lanes an operation of a warp needs; `host::Lanes` in `host_cuda.h`.
const LIVING: u32 = 1;
const ALL: u32 = 2;

#[derive(Clone, Copy, Debug)]
struct Meeting {
    site: u32,
    run: Operation,
    lane: *mut c_void,
    lanes: u32,
}

#[derive(Clone, Copy, Debug)]
enum Status {
    Ready,
    AtBarrier,
    AtMeeting(Meeting),
    Polling,
    Done,
}

#[derive(Debug)]
struct Fiber {
    context: Context,
    status: Status,
    thread: [u32; 3],
}

/// A launch of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    /// Runs one thread if `meets`, else all threads of a block.
    pub(crate) entry: Entry,
    /// Whether threads of a block wait for one another.
    pub(crate) meets: bool,
    pub(crate) grid_dim: [u32; 3],
    pub(crate) block_dim: [u32; 3],
    pub(crate) shared_size: usize,
    pub(crate) arguments: *mut *mut c_void,
}

/// The processor as a GPU with one multiprocessor.
#[derive(Debug)]
pub(crate) struct Machine {
    state: Box<State>,
    shared: Vec<u128>,
    stacks: Vec<Stack>,
    fibers: Vec<Fiber>,
    launch: Option<Launch>,
    current: usize,
    /// How often in a row no thread got on.
    idle: usize,
    scheduler: Context,
    failure: Option<String>,
}

// SAFETY: its pointers lead to its own memory or, during `run`, to the caller's.
unsafe impl Send for Machine {}

thread_local! {
    /// The machine that runs on this thread, for calls that come back from a kernel.
    static RUNNING: Cell<*mut Machine> = const { Cell::new(std::ptr::null_mut()) };
}

impl Machine {
    pub(crate) fn new() -> Self {
        let state = State {
            thread: [0; 3],
            block: [0; 3],
            block_dim: [0; 3],
            grid_dim: [0; 3],
            shared: std::ptr::null_mut(),
            shared_size: 0,
            barrier: kernel_barrier,
            collective: kernel_collective,
            poll: kernel_poll,
            fail: kernel_fail,
        };
        Self {
            state: Box::new(state),
            shared: Vec::new(),
            stacks: Vec::new(),
            fibers: Vec::new(),
            launch: None,
            current: 0,
            idle: 0,
            scheduler: Context::none(),
            failure: None,
        }
    }

    /// The address that a kernel's library is given to reach the machine.
    pub(crate) fn state(&mut self) -> *mut State {
        &raw mut *self.state
    }

    /// Runs all blocks of `launch`, x fastest.
    ///
    /// # Errors
    ///
    /// What the kernel did wrong: threads that wait for ever, a warp that came apart where it must not, a stack or shared memory overrun,
    /// or what a shim reported.
    ///
    /// # Safety
    ///
    /// The entry belongs to a library that was given [`state`](Self::state), and the arguments are as many and of such types as it takes.
    pub(crate) unsafe fn run(&mut self, launch: Launch) -> Result<(), String> {
        self.shared.resize((launch.shared_size + GUARD).div_ceil(16), 0);
        self.state.shared = self.shared.as_mut_ptr().cast();
        self.state.shared_size = launch.shared_size;
        self.state.block_dim = launch.block_dim;
        self.state.grid_dim = launch.grid_dim;
        self.launch = Some(launch);
        self.failure = None;
        let machine: *mut Self = self;
        let before = RUNNING.replace(machine);
        let [x, y, z] = launch.grid_dim;
        let blocks = (0..z).flat_map(|z| (0..y).flat_map(move |y| (0..x).map(move |x| [x, y, z])));
        // SAFETY: only this thread uses the machine, here and in the calls of the kernel, one at a time.
        let result = blocks.into_iter().try_for_each(|block| unsafe { (*machine).run_block(block, &launch) });
        RUNNING.set(before);
        result
    }

    fn run_block(&mut self, block: [u32; 3], launch: &Launch) -> Result<(), String> {
        self.state.block = block;
        self.shared_bytes().fill(POISON);
        self.start_fibers(launch);
        self.idle = 0;
        while self.run_warps()? {}
        self.check_memory(launch)
    }

    fn shared_bytes(&mut self) -> &mut [u8] {
        // SAFETY: the words of the vector, as bytes.
        unsafe { std::slice::from_raw_parts_mut(self.shared.as_mut_ptr().cast(), self.shared.len() * 16) }
    }

    /// One fiber for each thread, or one for all if they never meet.
    fn start_fibers(&mut self, launch: &Launch) {
        let [x, y, z] = if launch.meets { launch.block_dim } else { [1; 3] };
        let threads = (0..z).flat_map(|z| (0..y).flat_map(move |y| (0..x).map(move |x| [x, y, z])));
        self.fibers.clear();
        for (i, thread) in threads.enumerate() {
            if i == self.stacks.len() {
                self.stacks.push(Stack::new());
            }
            let context = self.stacks[i].start(fiber_main);
            self.fibers.push(Fiber { context, status: Status::Ready, thread });
        }
    }

    /// Runs every warp as far as it comes, and when none can go on, opens the barrier. False when all threads are done.
    fn run_warps(&mut self) -> Result<bool, String> {
        let mut moved = false;
        for first in (0..self.fibers.len()).step_by(WARP) {
            while self.run_lanes(first, false)? || self.run_lanes(first, true)? || self.hold_meeting(first)? {
                moved = true;
            }
        }
        if moved {
            self.idle = 0;
            return Ok(true);
        }
        if self.polling(0, self.fibers.len()) {
            self.idle += 1;
            let block = self.state.block;
            return if self.idle < PATIENCE {
                Ok(true)
            } else {
                Err(format!("block {block:?}: threads wait at a barrier that never opens"))
            };
        }
        let mut waiting = false;
        for fiber in &mut self.fibers {
            if matches!(fiber.status, Status::AtBarrier) {
                fiber.status = Status::Ready;
                waiting = true;
            }
        }
        Ok(waiting)
    }

    fn polling(&self, first: usize, last: usize) -> bool {
        self.fibers[first..last].iter().any(|fiber| matches!(fiber.status, Status::Polling))
    }

    /// Runs the lanes of a warp that can run, or lets those that poll look again. True if one got on.
    fn run_lanes(&mut self, first: usize, polling: bool) -> Result<bool, String> {
        let mut moved = false;
        for i in first..self.fibers.len().min(first + WARP) {
            let chosen =
                if polling { matches!(self.fibers[i].status, Status::Polling) } else { matches!(self.fibers[i].status, Status::Ready) };
            if chosen {
                self.resume(i)?;
                moved |= !polling || !matches!(self.fibers[i].status, Status::Polling);
            }
        }
        Ok(moved)
    }

    /// Performs the earliest operation that lanes of the warp wait for. True if there was one. Lanes that poll are waited for, as long as
    /// anything moves.
    fn hold_meeting(&mut self, first: usize) -> Result<bool, String> {
        let last = self.fibers.len().min(first + WARP);
        if self.idle == 0 && self.polling(first, last) {
            return Ok(false);
        }
        let lanes = &mut self.fibers[first..last];
        let meeting = |fiber: &Fiber| if let Status::AtMeeting(meeting) = fiber.status { Some(meeting) } else { None };
        let Some(earliest) = lanes.iter().filter_map(meeting).min_by_key(|meeting| meeting.site) else {
            return Ok(false);
        };
        let (mut arrived, mut mask) = ([std::ptr::null_mut(); WARP], 0u32);
        for (i, fiber) in lanes.iter().enumerate() {
            if let Some(meeting) = meeting(fiber).filter(|meeting| meeting.site == earliest.site) {
                arrived[i] = meeting.lane;
                mask |= 1 << i;
            }
        }
        let needed = match earliest.lanes {
            ALL => WARP,
            LIVING => lanes.iter().filter(|fiber| !matches!(fiber.status, Status::Done)).count(),
            _ => 0,
        };
        let count = mask.count_ones() as usize;
        if count < needed {
            let block = self.state.block;
            return Err(format!(
                "block {block:?}, warp {}: an operation of the warp is reached by {count} of {needed} lanes",
                first / WARP
            ));
        }
        // SAFETY: every lane of the mask brought what the operation of this site takes, on a stack that is suspended.
        unsafe { (earliest.run)(arrived.as_mut_ptr(), mask) };
        for (i, fiber) in lanes.iter_mut().enumerate() {
            if mask >> i & 1 == 1 {
                fiber.status = Status::Ready;
            }
        }
        self.failure.take().map_or(Ok(true), Err)
    }

    fn resume(&mut self, i: usize) -> Result<(), String> {
        self.current = i;
        self.state.thread = self.fibers[i].thread;
        let to = self.fibers[i].context;
        // SAFETY: the fiber was started or suspended by this machine and is not done.
        unsafe { switch(&raw mut self.scheduler, to) };
        self.failure.take().map_or(Ok(()), Err)
    }

    fn check_memory(&mut self, launch: &Launch) -> Result<(), String> {
        let block = self.state.block;
        if self.shared_bytes()[launch.shared_size..].iter().any(|&byte| byte != POISON) {
            return Err(format!("block {block:?} writes past the end of its {} bytes of shared memory", launch.shared_size));
        }
        if self.stacks[..self.fibers.len()].iter().any(Stack::overflowed) {
            return Err(format!("block {block:?}: a thread needs more stack than there is"));
        }
        Ok(())
    }
}

/// Suspends the running fiber.
fn suspend(status: Status) {
    let machine = RUNNING.get();
    // SAFETY: called from a kernel that this thread's machine resumed; the machine is not otherwise in use until the switch.
    unsafe {
        let Machine { fibers, current, scheduler, .. } = &mut *machine;
        let (fiber, scheduler) = (&mut fibers[*current], *scheduler);
        fiber.status = status;
        switch(&raw mut fiber.context, scheduler);
    }
}

extern "C" fn fiber_main() -> ! {
    // SAFETY: as in `suspend`; `Machine::run` vouches for the entry and its arguments.
    unsafe {
        let launch = (*RUNNING.get()).launch.expect("a fiber runs within a launch");
        (launch.entry)(launch.arguments);
    }
    suspend(Status::Done);
    unreachable!("a thread that is done is not resumed")
}

extern "C" fn kernel_barrier() {
    suspend(Status::AtBarrier);
}

extern "C" fn kernel_collective(site: u32, run: Operation, lane: *mut c_void, lanes: u32) {
    suspend(Status::AtMeeting(Meeting { site, run, lane, lanes }));
}

extern "C" fn kernel_poll() {
    suspend(Status::Polling);
}

/// Ends the launch. From a thread it does not return; from an operation of a warp it does, and the launch ends afterwards.
extern "C" fn kernel_fail(message: *const c_char) {
    // SAFETY: the kernel hands over a string literal; for the machine see `suspend`.
    let (message, machine) = unsafe { (CStr::from_ptr(message).to_string_lossy(), &mut *RUNNING.get()) };
    let (block, thread) = (machine.state.block, machine.state.thread);
    machine.failure.get_or_insert_with(|| format!("block {block:?}, thread {thread:?}: {message}"));
    if matches!(machine.fibers[machine.current].status, Status::Ready) {
        suspend(Status::Done);
    }
}
