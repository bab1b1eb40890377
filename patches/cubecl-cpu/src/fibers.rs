//! Threads of a block as fibers: each has a stack of its own and runs until it hands control back.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::arch::naked_asm;

/// Most of it is never touched, and the system gives memory only for what is.
const STACK_SIZE: usize = 256 << 10;
const CANARY: u128 = 0x5afe_57ac_c0de_cafe_5afe_57ac_c0de_cafe;

/// Where a fiber, or who runs fibers, was interrupted: its stack pointer, with the registers that survive a call pushed below.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
#[allow(dead_code, reason = "read by assembly")]
pub(crate) struct Context(*mut u8);

impl Context {
    pub(crate) const fn none() -> Self {
        Self(std::ptr::null_mut())
    }
}

/// Saves the present context in `from` and goes on in `to`.
///
/// # Safety
///
/// `to` was saved by this function or made by [`Stack::start`], on this thread, and was not resumed since; its stack lives.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(from: *mut Context, to: Context) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15", //
        "mov [rdi], rsp",
        "mov rsp, rsi", //
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// A fiber's stack, kept from block to block.
#[derive(Debug)]
pub(crate) struct Stack(*mut u8);

impl Stack {
    const LAYOUT: Layout = match Layout::from_size_align(STACK_SIZE, 64) {
        Ok(layout) => layout,
        Err(_) => panic!("a valid layout"),
    };

    pub(crate) fn new() -> Self {
        // SAFETY: the size is not zero.
        let base = unsafe { alloc(Self::LAYOUT) };
        if base.is_null() {
            handle_alloc_error(Self::LAYOUT);
        }
        // SAFETY: the stack grows down from its end, so its first bytes are the last to be used.
        unsafe { base.cast::<u128>().write(CANARY) };
        Self(base)
    }

    /// A context that calls `main`, which must not return, at the top of the stack.
    pub(crate) fn start(&mut self, main: extern "C" fn() -> !) -> Context {
        // The six registers that `switch` pops, the address it returns to, and a word so that `main` finds the stack aligned as after a call.
        const FRAME: usize = 8;
        // SAFETY: the frame lies within the stack, and the end of the stack is aligned to 64 bytes.
        unsafe {
            let top = self.0.add(STACK_SIZE).cast::<usize>().sub(FRAME);
            for i in 0..FRAME {
                top.add(i).write(0);
            }
            top.add(6).write(main as usize);
            Context(top.cast())
        }
    }

    /// Whether the stack was too small for what ran on it.
    pub(crate) fn overflowed(&self) -> bool {
        // SAFETY: `new` wrote these bytes.
        unsafe { self.0.cast::<u128>().read_volatile() != CANARY }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.0, Self::LAYOUT) };
    }
}
