#pragma once
#include "cuda/barrier"
namespace cooperative_groups {
struct thread_block {};
inline thread_block this_thread_block() { return {}; }
}  // namespace cooperative_groups
